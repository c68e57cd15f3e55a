//! Why arguments about caches cannot be used.

use binary_cache::{CacheUrlError, KeysError, NetrcError, PolicyError, SetupError};
use thiserror::Error;

/// Arguments about caches cannot be used.
#[derive(Debug, Error)]
pub enum CacheArgsError {
    /// There is no cache.
    #[error("no binary cache is given, so no closure can be found")]
    NoCache,
    /// A cache's URL.
    #[error(transparent)]
    Url(#[from] CacheUrlError),
    /// A trusted key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// More signatures are required than there are keys.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The file of `--netrc-file`.
    #[error(transparent)]
    Netrc(#[from] NetrcError),
    /// The caches cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl CacheArgsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoCache => {
                "name the caches that your builds are pushed to with --cache or NIPHAS_CACHES"
            }
            Self::Policy(_) => {
                "name more keys with --trusted-public-key or --key-file, or require fewer signatures \
                 with --required-signatures"
            }
            Self::Url(_) | Self::Keys(_) | Self::Netrc(_) | Self::Setup(_) => return None,
        };
        Some(hint.to_owned())
    }
}
