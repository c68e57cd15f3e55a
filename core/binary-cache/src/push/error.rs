//! Why a push fails.

use std::io;

use nix_formats::nar::ReaderError;
use nix_formats::{Hash, HashFormat, StoreDir, StorePath};
use thiserror::Error;

use crate::error::{FetchError, SetupError};
use crate::source::SourceError;

/// A push that did not come to its end. What was pushed before is whole, and
/// the next run goes on from there.
#[derive(Debug, Error)]
pub enum PushError {
    /// The cache can't be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The store can't tell what to push.
    #[error("cannot tell what the closure is")]
    Closure(#[source] SourceError),
    /// The store can't give a path.
    #[error("cannot read '{path}' from the store")]
    Source {
        /// The path.
        path: StorePath,
        /// Why.
        source: SourceError,
    },
    /// The path is no longer what the store says that it is.
    #[error("'{path}' is damaged: its NAR has the hash {}, not {}", .actual.to_string(HashFormat::Sri, true), .expected.to_string(HashFormat::Sri, true))]
    Changed {
        /// The path.
        path: StorePath,
        /// What the store says.
        expected: Box<Hash>,
        /// What is there.
        actual: Box<Hash>,
    },
    /// The store gives a NAR that no other could use.
    #[error("the store gives a NAR of '{path}' that cannot be used")]
    Unsound {
        /// The path.
        path: StorePath,
        /// What is wrong.
        source: ReaderError,
    },
    /// The compressed NAR can't be made.
    #[error("cannot pack '{path}'")]
    Write {
        /// The path.
        path: StorePath,
        /// Why.
        source: io::Error,
    },
    /// The cache does not take it.
    #[error("the cache cannot be pushed to")]
    Cache(#[source] FetchError),
    /// The cache does not take a path.
    #[error("cannot push '{path}' to the cache")]
    Upload {
        /// The path.
        path: StorePath,
        /// Why.
        source: FetchError,
    },
    /// The cache does not take the log of a build.
    #[error("cannot push the log of '{derivation}' to the cache")]
    Log {
        /// The derivation.
        derivation: StorePath,
        /// Why.
        source: FetchError,
    },
    /// The cache does not take an entry of the build trace.
    #[error("cannot push to the cache what '{output}' became")]
    Realisation {
        /// The output.
        output: String,
        /// Why.
        source: FetchError,
    },
    /// The cache holds paths of another store folder.
    #[error("the cache serves the store folder '{theirs}', and these paths are in '{ours}'")]
    OtherStoreDir {
        /// What it serves.
        theirs: String,
        /// Where the paths are.
        ours: StoreDir,
    },
}
