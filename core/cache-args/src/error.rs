//! Why arguments about caches cannot be used.

use binary_cache::{CacheUrlError, KeysError, NetrcError, PolicyError, SetupError};
use nix_formats::signature::SignatureError;
use thiserror::Error;

/// Arguments about caches cannot be used.
#[derive(Debug, Error)]
pub enum CacheArgsError {
    /// There is no cache.
    #[error("no binary cache is given, so no closure can be found")]
    NoCache,
    /// Several values in one.
    #[error("{what} are separated by spaces, and not by commas")]
    Commas {
        /// What they are.
        what: &'static str,
    },
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
            Self::Commas { .. } => "write a space in place of each comma, or repeat the option",
            Self::Keys(
                KeysError::Word {
                    source: SignatureError::SecretHalf(_),
                }
                | KeysError::Line {
                    source: SignatureError::SecretHalf(_),
                    ..
                },
            ) => {
                "keep the secret half where paths are pushed; its public half is printed by: niphas key public <file>"
            }
            Self::Url(_) | Self::Keys(_) | Self::Netrc(_) | Self::Setup(_) => return None,
        };
        Some(hint.to_owned())
    }
}
