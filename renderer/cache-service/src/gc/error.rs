//! Why garbage is not collected.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why garbage is not collected. What was removed before leaves the cache whole.
#[derive(Debug, Error)]
pub enum GcError {
    /// Others write.
    #[error(
        "other processes have been writing to the cache in \"{}\" for {} seconds; try again later",
        folder.display(), patience.as_secs()
    )]
    Busy {
        /// The cache.
        folder: PathBuf,
        /// How long this waited.
        patience: Duration,
    },
    /// The folder cannot be locked.
    #[error("failed to lock the cache in \"{}\"", folder.display())]
    Lock {
        /// The cache.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it cannot be read or removed.
    #[error("failed to {action} \"{}\"", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl GcError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
