//! Why no cache gives a NAR.

use std::io;

use nix_formats::hash::Hash;
use nix_formats::nar::ReaderError;
use nix_formats::{Compression, HashFormat, StorePath, chain};
use thiserror::Error;

use super::FetchError;

/// A NAR can't be fetched, or is not what its narinfo says.
#[derive(Debug, Error)]
pub enum NarError {
    /// The file.
    #[error("cannot fetch the NAR of '{path}' from {cache}")]
    Fetch {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// Why.
        source: FetchError,
    },
    /// The cache has the narinfo, but not the NAR.
    #[error("{cache} has no NAR for '{path}', only its narinfo")]
    Missing {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
    },
    /// A compression that is not known.
    #[error("the NAR of '{path}' is compressed with '{}', which is not supported", .compression.name())]
    Compression {
        /// The path.
        path: StorePath,
        /// The compression.
        compression: Compression,
    },
    /// Its decoder would take too much memory.
    #[error(
        "the NAR of '{path}' from {cache} is compressed so that its decoder looks back on {needed} bytes, more than the {limit} that it may"
    )]
    LooksBack {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What its first bytes ask for.
        needed: u64,
        /// The most.
        limit: u64,
    },
    /// The NAR has another size.
    #[error("the NAR of '{path}' from {cache} has {}{actual} bytes instead of {expected}", if .actual > .expected { "at least " } else { "" })]
    Size {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// The NAR has another hash.
    #[error("the NAR of '{path}' from {cache} has the hash {} instead of {}", .actual.to_string(HashFormat::Sri, true), .expected.to_string(HashFormat::Sri, true))]
    Hash {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: Hash,
        /// What came.
        actual: Hash,
    },
    /// The path is unsigned and its contents are not those of its content address.
    #[error("the contents of '{path}' from {cache} do not have the content address {expected}")]
    ContentAddress {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// What the narinfo says.
        expected: nix_formats::ContentAddress,
    },
    /// The bytes are those that were signed, but no archive that a store takes.
    #[error("the NAR of '{path}' is what its narinfo says, but no archive that can be used")]
    Malformed {
        /// The path.
        path: StorePath,
        /// What is wrong.
        source: ReaderError,
    },
    /// What the caller does with the bytes failed, which other bytes can't mend.
    #[error("cannot use the NAR of '{path}'")]
    Consumer {
        /// The path.
        path: StorePath,
        /// Why.
        source: io::Error,
    },
    /// Several caches were tried, and none gave the NAR.
    #[error("no cache gives a sound NAR of '{path}':{}", lines(.failures))]
    Everywhere {
        /// The path.
        path: StorePath,
        /// What was wrong with each, in the order tried; at least two.
        failures: Vec<NarError>,
    },
    /// Decompressing.
    #[error("cannot read the NAR of '{path}' from {cache}")]
    Read {
        /// The path.
        path: StorePath,
        /// The cache.
        cache: String,
        /// Why.
        source: io::Error,
    },
}

impl NarError {
    /// The path whose NAR it is.
    pub fn path(&self) -> &StorePath {
        match self {
            Self::Fetch { path, .. }
            | Self::Missing { path, .. }
            | Self::Compression { path, .. }
            | Self::LooksBack { path, .. }
            | Self::Size { path, .. }
            | Self::Hash { path, .. }
            | Self::ContentAddress { path, .. }
            | Self::Malformed { path, .. }
            | Self::Consumer { path, .. }
            | Self::Everywhere { path, .. }
            | Self::Read { path, .. } => path,
        }
    }

    /// Whether all caches that were tried have the narinfo alone.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Everywhere { failures, .. } => failures.iter().all(Self::is_missing),
            _ => false,
        }
    }
}

fn lines(failures: &[NarError]) -> String {
    let lines: Vec<String> = failures.iter().map(|failure| chain(failure)).collect();
    format!("\n  {}", lines.join("\n  "))
}
