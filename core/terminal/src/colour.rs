//! Whether to print in colour.

use std::io::{IsTerminal, stderr, stdout};

/// Whether standard error gets colours: not with `NO_COLOR`, always with `CLICOLOR_FORCE`, else if it is a terminal.
pub fn in_colour() -> bool {
    unless_set(&stderr())
}

/// The same for standard output.
pub fn prints_in_colour() -> bool {
    unless_set(&stdout())
}

fn unless_set(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && (is_set("CLICOLOR_FORCE") || stream.is_terminal())
}
