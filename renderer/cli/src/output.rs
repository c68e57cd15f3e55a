//! Printing to standard output.

use std::io::{self, Write, stdout};
use std::sync::OnceLock;

/// Why something could not be printed.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a line, as `println!` does.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::output::print_line(format!($($part)*).as_bytes())
    };
}
pub(crate) use say;

/// Prints a line.
pub(crate) fn print_line(text: &[u8]) {
    print_bytes(&[text, b"\n"].concat());
}

/// Prints bytes. A reader that closes its end early wants no more: that is no error of ours. Others are told in the end:
/// see [`failure`].
pub(crate) fn print_bytes(text: &[u8]) {
    let mut out = stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = FAILURE.set(error);
        }
        _ => {}
    }
}

/// Why some of what was printed is missing.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}
