//! Unpacks tar archives, compressed or not, and zip archives that come from anywhere: nothing outside of one folder is created,
//! changed or read, and bytes, entries, depth and memory are limited.

mod tar_stream;
mod unpack;
mod uu;
mod zip;

use std::io;

use thiserror::Error;
use tree_writer::TreeError;

pub use unpack::{Top, Unpacked, is_zip, unpack};

/// Why an archive is not unpacked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is not there, or no file.
    #[error("failed to open it")]
    Open(#[source] io::Error),
    /// It is no archive at all.
    #[error("{0}")]
    NoArchive(String),
    /// It is broken, too large, or asks for what is not done.
    #[error("{0}")]
    Refused(String),
    /// What it has cannot be written.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<zip::ZipError> for ArchiveError {
    fn from(error: zip::ZipError) -> Self {
        Self::Refused(error.to_string())
    }
}
