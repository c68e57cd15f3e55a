//! How a failed run is told.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A report in Nix's form, "error: …" with source lines.
    Nix(String),
    /// Anything else, with its causes.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

impl Failure {
    /// Prints the failure to standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let text = match self {
            Failure::Nix(report) => report.clone(),
            Failure::Other(error) => {
                let mut text = format!("error: {error}");
                for cause in error.chain().skip(1) {
                    text.push_str(&format!("\n  caused by: {cause}"));
                }
                text
            }
        };
        match text.strip_prefix("error:") {
            Some(rest) if in_colour() => eprintln!("\x1b[31;1merror:\x1b[0m{rest}"),
            _ => eprintln!("{text}"),
        }
        ExitCode::FAILURE
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
