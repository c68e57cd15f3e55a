//! What built-in builders say, in the words and colours in which it ends up in logs.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

const MAGENTA: &str = "\u{1b}[35;1m";
const RED: &str = "\u{1b}[31;1m";
const PLAIN: &str = "\u{1b}[0m";

/// Why a built-in builder failed, as it is printed.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    /// An error of Nix's own. Lines after the first stand below it.
    pub(super) fn error(message: impl Display) -> Self {
        let message = message.to_string();
        let mut lines = message.split('\n');
        let mut text = format!("{RED}error:{PLAIN} {}", lines.next().unwrap_or_default());
        for line in lines {
            let indent = if line.is_empty() { "" } else { "       " };
            text.extend(["\n", indent, line]);
        }
        Self(text)
    }

    /// An error that came up while something else was done.
    pub(super) fn traced(doing: impl Display, message: impl Display) -> Self {
        let Self(error) = Self::error(message);
        Self(format!(
            "{RED}error:{PLAIN}\n       … {doing}\n\n       {error}"
        ))
    }

    /// An error of the operating system.
    pub(super) fn system(message: impl Display, error: &io::Error) -> Self {
        Self::error(format_args!("{message}: {}", shown(description(error))))
    }

    /// An error that Nix's language's library raises, which is printed as it is.
    pub(super) fn exception(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A part of a message that differs from case to case.
pub(super) fn shown(part: impl Display) -> String {
    format!("{MAGENTA}{part}{PLAIN}")
}

/// A path in a message that is one part of it.
pub(super) fn shown_path(path: &Path) -> String {
    shown(quoted(path))
}

/// A path in quotes.
pub(super) fn quoted(path: &Path) -> String {
    let text = path
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{text}\"")
}

/// Warns, by a line that those who read the log show as a warning.
pub(super) fn warn(message: impl Display) {
    let message = format!("{MAGENTA}warning:{PLAIN} {message}");
    let line = serde_json::json!({"action": "msg", "level": 1, "msg": message});
    // A log that cannot be written to ends the build elsewhere.
    let _ = writeln!(io::stderr(), "@nix {line}");
}

/// What the operating system calls an error.
pub(crate) fn description(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
