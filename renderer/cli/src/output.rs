//! Printing to standard output.

use std::io::{Write, stdout};

/// Prints a line.
pub(crate) fn print_line(text: &[u8]) {
    print_bytes(&[text, b"\n"].concat());
}

/// A reader that closes its end early wants no more: that is no error of ours.
pub(crate) fn print_bytes(text: &[u8]) {
    let mut out = stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}
