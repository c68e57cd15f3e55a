//! The one thing that Nix takes but always warns of.

use crate::ast::Span;

/// The warning for a [`RemarkKind::OrCall`](crate::ast::RemarkKind::OrCall) of a file with this `source`. `place` prints
/// an offset (`/a/default.nix:3:5`).
pub fn or_warning(source: &[u8], call: Span, place: impl FnOnce(u32) -> String) -> String {
    let range = call.start as usize..call.end as usize;
    let text = source.get(range).unwrap_or_default();
    let snippet = String::from_utf8_lossy(text)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    format!(
        "at {}: This expression uses `or` as an identifier in a way that will change in a future Nix release.\n\
         Wrap this entire expression in parentheses to preserve its current meaning:\n    ({snippet})\n\
         Give feedback at https://github.com/NixOS/nix/pull/11121",
        place(call.start)
    )
}
