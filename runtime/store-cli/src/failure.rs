//! How a failed run is told.

use niphas_store::{OpenError, RealiseError, StoreError};
use nix_formats::printable;
use std::io::{IsTerminal, Write, stderr};

/// Why a command failed, with its causes, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let hint = hint(&error);
        Self { error, hint }
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(OpenError::InUse { .. }) = error.downcast_ref() {
        return Some("list, ls, cat, dump, du and export only read, and work all the same".into());
    }
    let is_damage = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<StoreError>();
        cause.is_some_and(StoreError::is_damage)
    };
    if error.chain().any(is_damage) {
        return Some("fetch it again with `niphas-store verify --repair`".into());
    }
    error.downcast_ref().and_then(hint_of_realising)
}

/// No other process has the store open, so garbage can be collected.
fn hint_of_realising(error: &RealiseError) -> Option<String> {
    if error.is_out_of_space() {
        return Some(
            "collect garbage with `niphas-store gc`, or give the store's file system more space"
                .into(),
        );
    }
    error.hint()
}

impl Failure {
    /// A realisation's, which others may wait for too.
    pub(crate) fn shared(error: std::sync::Arc<RealiseError>) -> Self {
        let hint = hint_of_realising(&error);
        Self {
            error: error.into(),
            hint,
        }
    }

    /// A failure that the user can do something about.
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            hint: Some(hint.into()),
        }
    }

    /// Prints the failure to standard error.
    pub(crate) fn report(&self) {
        let word = if in_colour() {
            "\x1b[31;1merror:\x1b[0m"
        } else {
            "error:"
        };
        let mut lines = vec![self.error.to_string()];
        let causes = self.error.chain().skip(1);
        lines.extend(causes.map(|cause| format!("  caused by: {cause}")));
        lines.extend(self.hint.iter().map(|hint| format!("hint: {hint}")));
        // Names and messages in it are those of caches.
        let text = lines.join("\n");
        let text = String::from_utf8_lossy(&printable(text.as_bytes(), false)).into_owned();
        // Where even this cannot be written there is nobody to tell.
        let _ = writeln!(stderr(), "{word} {text}");
    }
}

/// Whether standard error is to be coloured.
pub(crate) fn in_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    set("CLICOLOR_FORCE") || stderr().is_terminal()
}
