//! Why a closure can't be realised.

use crate::error::{FileError, StoreError};
use binary_cache::NarError;
use niphas_api::ClosureDigest;
use nix_formats::StorePath;
use std::{io, path::PathBuf};
use thiserror::Error;

/// A closure can't be realised. Whatever of it was fetched is in the store and need not be fetched again.
#[derive(Debug, Error)]
pub enum RealiseError {
    /// The request names no path.
    #[error("no store path was asked for")]
    NoRoots,
    /// The request's caches are those of another store folder.
    #[error("the caches are asked for paths of '{caches}', but this is a store of '{store}'")]
    OtherStoreDir {
        /// The caches' folder.
        caches: String,
        /// The store's.
        store: String,
    },
    /// Paths that are neither in the store nor in a cache, or that cannot be trusted.
    #[error(transparent)]
    Unavailable(binary_cache::ClosureError),
    /// The contents of a path.
    #[error(transparent)]
    Nar(Box<NarError>),
    /// The store can't take a path.
    #[error("cannot store '{path}'")]
    Write {
        /// The path.
        path: StorePath,
        /// Why.
        source: FileError,
    },
    /// The NAR is the one that was signed, but can't be stored.
    #[error("the NAR of '{path}' cannot be stored")]
    Unsuitable {
        /// The path.
        path: StorePath,
        /// Why.
        source: io::Error,
    },
    /// The closure is not the one that was wanted.
    #[error("the closure of {} has the digest {actual}, but {expected} was wanted: what the caches have is not what was rendered", nix_formats::few(.roots))]
    Digest {
        /// The closure's roots.
        roots: Vec<String>,
        /// What was wanted.
        expected: ClosureDigest,
        /// What it is.
        actual: ClosureDigest,
    },
    /// The closure is no closure that a digest can be computed of.
    #[error("the closure has no digest")]
    Lines(#[from] niphas_api::ClosureError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is about to end, or a bug ended the realisation.
    #[error("the realisation was interrupted; ask for it again")]
    Interrupted,
}

impl From<NarError> for RealiseError {
    fn from(error: NarError) -> Self {
        Self::Nar(Box::new(error))
    }
}

impl From<FileError> for RealiseError {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}

impl RealiseError {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable(error) => error.hint(),
            Self::Digest { .. } => Some(
                "render again, so that the digest is that of what the caches have now; or find out who changed them"
                    .to_owned(),
            ),
            _ if self.is_out_of_space() => Some(
                "collect garbage with `niphas-store gc`, or give the store's file system more space".to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether there was no space left for it.
    pub fn is_out_of_space(&self) -> bool {
        self.file_error().is_some_and(FileError::is_out_of_space)
    }

    /// The file or folder of the store that could not be written to, if that is what went wrong.
    pub fn failed_file(&self) -> Option<&PathBuf> {
        self.file_error().map(|error| &error.path)
    }

    /// Whether asking again later may help without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoRoots
            | Self::OtherStoreDir { .. }
            | Self::Digest { .. }
            | Self::Lines(_)
            | Self::Unsuitable { .. } => false,
            Self::Unavailable(_)
            | Self::Nar(_)
            | Self::Write { .. }
            | Self::Store(_)
            | Self::Interrupted => true,
        }
    }

    fn file_error(&self) -> Option<&FileError> {
        match self {
            Self::Write { source, .. } | Self::Store(StoreError::File(source)) => Some(source),
            _ => None,
        }
    }
}
