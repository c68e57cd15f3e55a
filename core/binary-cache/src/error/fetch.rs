//! Why a file of a cache can't be fetched or written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use niphas_http::{Failure, is_of_certificates};
use nix_formats::{StoreDir, StorePath};
use thiserror::Error;

use crate::transport::failure_of_s3;

/// A file of a cache can't be fetched.
#[derive(Debug, Clone, Error)]
pub enum FetchError {
    /// Reading a folder.
    #[error("cannot read '{path}'")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Connection, protocol, or the body ended too early.
    #[error("the request for '{name}' failed")]
    Http {
        /// The file.
        name: String,
        /// Why.
        source: Arc<reqwest::Error>,
    },
    /// Nothing came for too long.
    #[error("no answer to the request for '{name}' in time")]
    Timeout {
        /// The file.
        name: String,
    },
    /// The server knows of no such file or won't give it, or is in trouble.
    #[error("the server answered HTTP {status} for '{name}'{}", pause(*.retry_after))]
    Status {
        /// The file.
        name: String,
        /// What it said.
        status: u16,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// More bytes than such a file has.
    #[error("'{name}' is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        name: String,
        /// What it may have.
        limit: usize,
    },
    /// A name that leads out of the cache.
    #[error("'{name}' does not stay within the cache")]
    Outside {
        /// The name.
        name: String,
    },
    /// The server encodes the file in a way that was not asked for, or badly.
    #[error("'{name}' came with the content encoding '{encoding}', which can't be decoded")]
    Encoding {
        /// The file.
        name: String,
        /// The encoding.
        encoding: String,
    },
    /// Writing a folder.
    #[error("cannot write '{path}'")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// S3.
    // Its own causes are in its text, more than once: they are not told again.
    #[error("the S3 request for '{name}' failed: {error}")]
    S3 {
        /// The file.
        name: String,
        /// Why.
        error: Arc<object_store::Error>,
    },
    /// The token file can't be read.
    #[error("cannot read the token file '{path}'")]
    Token {
        /// The file.
        path: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// There is no such file.
    #[error("there is no '{name}'")]
    Missing {
        /// The file.
        name: String,
    },
    /// A NAR is not what its narinfo says.
    #[error("the NAR of '{path}' is not sound")]
    BadNar {
        /// The path.
        path: StorePath,
    },
    /// The server was asked for the rest of a file and gave something else.
    #[error("the server did not give the rest of '{name}'")]
    Range {
        /// The file.
        name: String,
    },
    /// The file changed while it was fetched.
    #[error("'{name}' was changed while it was fetched")]
    Changed {
        /// The file.
        name: String,
    },
    /// The body ended early, though the server did not say so.
    #[error("'{name}' ended after {actual} of {expected} bytes")]
    Truncated {
        /// The file.
        name: String,
        /// What it is to have.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// Bytes came, but too few for too long.
    #[error("'{name}' came with less than {rate} bytes per second")]
    Slow {
        /// The file.
        name: String,
        /// How fast it has to be.
        rate: u64,
    },
    /// Caches answered more than may be held at once.
    #[error(
        "what caches said of other paths takes the memory that there is for it, {limit} bytes for all caches; try again later"
    )]
    Memory {
        /// The memory for what all caches say.
        limit: usize,
    },
    /// `nix-cache-info` is missing or is none.
    #[error("it does not appear to be a binary cache: nix-cache-info is missing or damaged")]
    NotACache,
    /// A cache's folder is not there.
    #[error("there is no folder '{}'", .0.display())]
    NoFolder(PathBuf),
    /// The cache serves another store.
    #[error("it serves the store folder '{theirs}', not '{ours}'")]
    OtherStoreDir {
        /// What it serves.
        theirs: String,
        /// The store folder that is expected.
        ours: StoreDir,
    },
}

impl FetchError {
    /// How the request failed.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Timeout { .. } | Self::Truncated { .. } | Self::Slow { .. } => Failure::Broken,
            Self::Http { source, .. } => Failure::of(source),
            Self::Status {
                status,
                retry_after,
                ..
            } => Failure::Status {
                status: *status,
                retry_after: *retry_after,
            },
            Self::S3 { error, .. } => failure_of_s3(error),
            _ => Failure::Lasting,
        }
    }

    /// Whether to try again may help.
    pub(crate) fn is_transient(&self) -> bool {
        self.failure().is_passing()
    }

    /// Whether the server's certificate cannot be verified.
    pub(crate) fn is_of_certificates(&self) -> bool {
        matches!(self, Self::Http { source, .. } if is_of_certificates(source))
    }
}

/// What a server asks for, after its status.
fn pause(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(" and asks for a pause of {} s", pause.as_secs())
    })
}
