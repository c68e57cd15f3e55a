//! Whether to print in colour.

use std::io::{IsTerminal, stderr};

/// Whether standard error gets colours: not with `NO_COLOR`, always with `CLICOLOR_FORCE`, else if it is a terminal.
pub fn in_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && (is_set("CLICOLOR_FORCE") || stderr().is_terminal())
}
