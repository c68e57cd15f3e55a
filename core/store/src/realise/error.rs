//! Why a closure can't be realised.

use std::io;

use binary_cache::{ClosureError, NarError, Refusal};
use niphas_api::ClosureDigest;
use nix_formats::StorePath;
use thiserror::Error;

use super::{Limit, LimitExceeded};
use crate::error::{FileError, StoreError};

/// A closure can't be realised. Whatever of it was fetched is in the store and need not be fetched again.
#[derive(Debug, Error)]
pub enum RealiseError {
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
    Unavailable(ClosureError),
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
    #[error("the closure of {} has the digest {actual}, and {expected} was asked for: the caches have other contents than those that were rendered", nix_formats::few(.roots))]
    Digest {
        /// The closure's roots.
        roots: Vec<String>,
        /// What was wanted.
        expected: ClosureDigest,
        /// What it is.
        actual: ClosureDigest,
    },
    /// The request asks for more than it may.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A path is stored, and what the request's caches say of it is not enough for its policy.
    #[error(
        "store path '{0}' is on this node, but neither signed by keys that are trusted here nor content-addressed"
    )]
    Refused(StorePath),
    /// The disk has no room for what is missing of the closure, garbage aside.
    #[error(
        "the store's disk has no room: {needed} bytes are needed and {reserve} stay free, of {free} that are free; all the rest is in use"
    )]
    NoSpace {
        /// Bytes of the NARs to fetch.
        needed: u64,
        /// Bytes that are neither used nor reserved.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
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

/// What can end an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It passes by itself: asking again helps.
    Passes,
    /// A push to a cache or a change of the configuration ends it, and may be under way.
    MayCome,
    /// The same request always ends so.
    Stays,
}

impl RealiseError {
    /// Whether there was no space left for it.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
            || self.file_error().is_some_and(FileError::is_out_of_space)
    }

    /// What can end it.
    pub fn outlook(&self) -> Outlook {
        match self {
            Self::Limit(error) if error.limit == Limit::Disk => Outlook::Passes,
            Self::OtherStoreDir { .. }
            | Self::Digest { .. }
            | Self::Lines(_)
            | Self::Limit(_)
            | Self::Refused(_)
            | Self::Store(StoreError::ReadOnly(_))
            | Self::Unsuitable { .. } => Outlook::Stays,
            Self::Unavailable(error) => of_closure(error),
            Self::Nar(error) => of_nar(error),
            Self::Write { .. } | Self::Store(_) | Self::NoSpace { .. } | Self::Interrupted => {
                Outlook::Passes
            }
        }
    }

    fn file_error(&self) -> Option<&FileError> {
        match self {
            Self::Write { source, .. } | Self::Store(StoreError::File(source)) => Some(source),
            _ => None,
        }
    }
}

/// A cache that cannot be asked may have it, later. What no cache gives may be pushed, signed or configured.
fn of_closure(error: &ClosureError) -> Outlook {
    let ClosureError::Unavailable(paths) = error else {
        return Outlook::Stays;
    };
    let mut refusals = paths.iter().flat_map(|path| path.refusals.iter());
    if refusals.any(|(_, refusal)| matches!(refusal, Refusal::Failed(_))) {
        Outlook::Passes
    } else {
        Outlook::MayCome
    }
}

fn of_nar(error: &NarError) -> Outlook {
    match error {
        NarError::Fetch { .. } | NarError::Read { .. } => Outlook::Passes,
        NarError::Missing { .. } => Outlook::MayCome,
        NarError::Everywhere { failures, .. } => {
            let outlooks = || failures.iter().map(of_nar);
            [Outlook::Passes, Outlook::MayCome]
                .into_iter()
                .find(|outlook| outlooks().any(|other| other == *outlook))
                .unwrap_or(Outlook::Stays)
        }
        _ => Outlook::Stays,
    }
}
