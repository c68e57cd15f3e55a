//! Why caches do not give a path.

use std::fmt;
use std::sync::Arc;

use nix_formats::hash::HashAlgorithm;
use nix_formats::narinfo::NarInfoError;
use nix_formats::{StoreDir, StorePath, chain};

use super::FetchError;

/// Why one cache does not give one path.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It has no narinfo for it.
    Missing,
    /// It wants credentials, or refuses those it got (HTTP status).
    Denied(u16),
    /// It can't be asked.
    Failed(FetchError),
    /// Its narinfo is damaged.
    Malformed(NarInfoError),
    /// Its narinfo is about another path.
    OtherPath(StorePath),
    /// It has the path, but no trusted key signed it. The names of the keys
    /// that are said to have signed, the first few.
    Untrusted(Vec<String>),
    /// It has the path, with signatures in the names of trusted keys that those keys did not make. The names, the first few.
    FalseSignatures(Vec<String>),
    /// It has the path, but fewer keys signed it than the policy wants.
    TooFewSignatures {
        /// The trusted keys that signed.
        signers: Vec<String>,
        /// Trusted keys that did not, the first few.
        missing: Vec<String>,
        /// How many must have.
        required: usize,
    },
    /// It has the path, unsigned, and its content address is by an algorithm that does not prove contents.
    WeakAddress(HashAlgorithm),
}

impl Refusal {
    /// Whether the cache has the path, but not with the signatures that are required.
    pub fn is_for_trust(&self) -> bool {
        matches!(
            self,
            Self::Untrusted(_)
                | Self::FalseSignatures(_)
                | Self::TooFewSignatures { .. }
                | Self::WeakAddress(_)
        )
    }

    /// Whether it says nothing of the path, only that there is no memory for an answer.
    pub fn is_for_memory(&self) -> bool {
        matches!(self, Self::Failed(FetchError::Memory { .. }))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not have it"),
            Self::Denied(status) => write!(f, "refuses access (HTTP {status})"),
            Self::Failed(error) => write!(f, "cannot be asked: {}", chain(error)),
            Self::Malformed(error) => write!(f, "has a damaged narinfo: {}", chain(error)),
            Self::OtherPath(path) => write!(f, "answers with another path, '{path}'"),
            Self::Untrusted(keys) if keys.is_empty() => f.write_str("has it, but unsigned"),
            Self::Untrusted(keys) => {
                write!(
                    f,
                    "has it, signed only by keys that are not trusted: {}",
                    keys.join(", ")
                )
            }
            Self::FalseSignatures(keys) => write!(
                f,
                "has it, with signatures in the name of {} that the trusted key of that name did not make",
                keys.join(", ")
            ),
            Self::TooFewSignatures {
                signers,
                missing,
                required,
            } => write!(
                f,
                "has it, signed by {}, but {required} trusted keys must have signed; not signed by {}",
                signers.join(", "),
                missing.join(", ")
            ),
            Self::WeakAddress(algorithm) => write!(
                f,
                "has it, but unsigned, and its {algorithm} content address does not prove its contents"
            ),
        }
    }
}

/// No cache gives a path, and what each said.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// The store folder.
    pub store_dir: StoreDir,
    /// The path.
    pub path: StorePath,
    /// A path that refers to it; none if it is a root.
    pub needed_by: Option<StorePath>,
    /// The caches in the order asked, and what they said.
    pub refusals: Arc<Vec<(String, Refusal)>>,
    /// Whether there is no trusted key at all.
    pub without_keys: bool,
}

impl std::error::Error for Unavailable {}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no cache gives store path {}", self.needed())?;
        if self.refusals.is_empty() {
            f.write_str(": there are no caches")?;
        }
        for (cache, refusal) in self.refusals.iter() {
            write!(f, "\n  {cache} {refusal}")?;
        }
        Ok(())
    }
}

impl Unavailable {
    /// Whether there is no memory for the answer: so it is for the other paths of a closure too.
    pub fn is_for_memory(&self) -> bool {
        self.refusals
            .iter()
            .any(|(_, refusal)| refusal.is_for_memory())
    }

    /// Whether no cache could be asked for it, so that nothing is known of the path itself.
    pub fn is_for_access(&self) -> bool {
        let is_of_cache =
            |refusal: &Refusal| matches!(refusal, Refusal::Denied(_) | Refusal::Failed(_));
        !self.refusals.is_empty()
            && self
                .refusals
                .iter()
                .all(|(_, refusal)| is_of_cache(refusal))
    }

    /// The path, and what needs it.
    pub(crate) fn needed(&self) -> String {
        let path = self.store_dir.print(&self.path);
        match &self.needed_by {
            Some(by) => format!("'{path}', which '{}' needs", self.store_dir.print(by)),
            None => format!("'{path}'"),
        }
    }
}
