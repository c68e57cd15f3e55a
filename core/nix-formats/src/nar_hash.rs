//! The hash that identifies a NAR.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{Hash, HashAlgorithm, HashError, HashFormat};

/// The SHA-256 of a NAR: what narinfos, lines of closures and records know contents by.
///
/// It prints as `sha256:` and Nix's base-32, as fingerprints and closure digests have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash([u8; 32]);

/// Why a hash is not that of a NAR.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NarHashError {
    /// The text is no hash.
    #[error(transparent)]
    Text(#[from] HashError),
    /// It is by another algorithm.
    #[error("expected a sha256 hash, found one by {0}")]
    Algorithm(HashAlgorithm),
}

impl NarHash {
    /// The hash of a NAR that is in memory.
    pub fn of(nar: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(HashAlgorithm::Sha256.digest(nar).as_bytes());
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As `sha256-` and base-64.
    pub fn sri(self) -> String {
        Hash::from(self).to_string(HashFormat::Sri, true)
    }
}

impl From<[u8; 32]> for NarHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<NarHash> for Hash {
    fn from(hash: NarHash) -> Self {
        Self::sha256(hash.0)
    }
}

impl TryFrom<Hash> for NarHash {
    type Error = NarHashError;

    fn try_from(hash: Hash) -> Result<Self, NarHashError> {
        let other = || NarHashError::Algorithm(hash.algorithm());
        let bytes = match hash.algorithm() {
            HashAlgorithm::Sha256 => hash.as_bytes().try_into().map_err(|_| other())?,
            _ => return Err(other()),
        };
        Ok(Self(bytes))
    }
}

/// Reads any form that names the algorithm.
impl FromStr for NarHash {
    type Err = NarHashError;

    fn from_str(text: &str) -> Result<Self, NarHashError> {
        Hash::parse_any_prefixed(text)?.try_into()
    }
}

impl PartialEq<NarHash> for Hash {
    fn eq(&self, other: &NarHash) -> bool {
        *self == Self::from(*other)
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Hash::from(*self).to_string(HashFormat::Nix32, true))
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
