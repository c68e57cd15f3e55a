//! Names and sizes in reports.

use std::collections::BTreeSet;

use nix_formats::{printable, shortened, size};

/// Longer names are cut: none that Kubernetes or Nix accepts and that matters here is.
const NAME_LIMIT: usize = 120;

/// A name from a file, bounded and in one line.
pub(crate) fn word(name: &str) -> String {
    let name = shortened(name, NAME_LIMIT);
    let printable = printable(name.as_bytes(), false);
    let text = String::from_utf8_lossy(&printable);
    let plain = |c: char| {
        if c.is_whitespace() || is_invisible(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    let text: String = text.chars().map(plain).collect();
    if text.is_empty() {
        "\u{fffd}".to_owned()
    } else {
        text
    }
}

/// Characters that change the order of others, or that are not seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// By how much a size changes, with its sign.
pub fn size_change(before: u64, after: u64) -> String {
    let sign = if after < before { "-" } else { "+" };
    format!("{sign}{}", size(before.abs_diff(after)))
}

/// Versions of a package: `∅` if there is none of it, `ε` for a name without a version.
pub(crate) fn versions(versions: &BTreeSet<String>) -> String {
    const FEW: usize = 4;
    if versions.is_empty() {
        return "∅".to_owned();
    }
    let shown = versions.iter().take(FEW);
    let shown: Vec<&str> = shown
        .map(|version| if version.is_empty() { "ε" } else { version })
        .collect();
    let more = versions.len().saturating_sub(FEW);
    let text = shown.join(", ");
    if more > 0 {
        format!("{text} and {more} more")
    } else {
        text
    }
}
