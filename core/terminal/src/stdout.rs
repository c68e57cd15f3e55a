//! Printing to standard output.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::OnceLock;

use thiserror::Error;

/// Why something could not be printed.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Standard output takes no more.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(&'static io::Error);

/// Prints a line, as `println!` does; see [`check_output`].
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::print_line(format!($($part)*))
    };
}

/// Prints a line; see [`check_output`].
pub fn print_line(line: impl AsRef<[u8]>) {
    print_bytes([line.as_ref(), b"\n"].concat());
}

/// Prints bytes; see [`check_output`].
pub fn print_bytes(bytes: impl AsRef<[u8]>) {
    let mut out = Stdout::new();
    // The failure is kept for the end of the program.
    let _ = out.write_all(bytes.as_ref()).and_then(|()| out.flush());
}

/// Prints what `write` writes, which ends early where standard output takes no more; see [`check_output`].
pub fn print_with<E>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    let mut out = BufWriter::with_capacity(256 << 10, Stdout::new());
    let written = write(&mut out);
    let flushed = out.flush();
    let (out, _) = out.into_parts();
    if flushed.is_err() || out.has_failed {
        return Ok(());
    }
    written
}

/// Fails if some of what was printed is missing: to be called when all is printed. A reader that closes its end early, such as
/// `head`, has what it needs: that is no error.
pub fn check_output() -> Result<(), OutputError> {
    match FAILURE.get() {
        Some(error) => Err(OutputError(error)),
        None => Ok(()),
    }
}

/// Standard output, which remembers its first failure.
struct Stdout {
    out: io::StdoutLock<'static>,
    has_failed: bool,
}

impl Stdout {
    fn new() -> Self {
        Self {
            out: io::stdout().lock(),
            has_failed: false,
        }
    }

    fn note<T>(&mut self, written: io::Result<T>) -> io::Result<T> {
        written.map_err(|error| {
            let kind = error.kind();
            if kind != ErrorKind::Interrupted {
                self.has_failed = true;
                if kind != ErrorKind::BrokenPipe {
                    let _ = FAILURE.set(error);
                }
            }
            kind.into()
        })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }
}
