//! Printing to standard output.

use crate::failure::Failure;
use niphas_store::StoreError;
use std::io::{self, BufWriter, ErrorKind, Write, stdout};

/// How to print what was found or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// Prints JSON.
pub(crate) fn print_json(value: &serde_json::Value) {
    print_line(&value.to_string());
}

/// Prints a line. A reader that closes its end early wants no more: that is no error of ours.
pub(crate) fn print_line(line: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{line}");
}

/// Prints what `write` writes. A reader that closes its end early wants no more.
pub(crate) fn print_with(
    write: impl FnOnce(&mut dyn Write) -> Result<(), StoreError>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(256 << 10, stdout().lock());
    let written = write(&mut out).map_err(anyhow::Error::from);
    match written.and_then(|()| Ok(out.flush()?)) {
        Err(error) if !is_closed(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether an error only says that the reader of our output went away.
fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
