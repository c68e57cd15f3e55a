//! What helps where no cache gives a path: facts, which each program puts into words for its reader.

use crate::error::{FetchError, Refusal, Unavailable};

/// What helps. Names of caches and keys are those of the refusal that came nearest to giving the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy<'a> {
    /// No cache was asked: name one.
    NameCache,
    /// No key is trusted, so that no signature counts: name one.
    NameKey,
    /// Sign the path, which the cache has without a signature.
    Sign {
        /// The cache.
        cache: &'a str,
    },
    /// Trust a key that signed the path, or sign it with a trusted one.
    TrustOrSign {
        /// The cache.
        cache: &'a str,
        /// Names of keys that are said to have signed, the first few.
        keys: &'a [String],
    },
    /// Find out whether the key was replaced, or the signatures are forged.
    CompareKeys {
        /// The cache.
        cache: &'a str,
        /// Names of trusted keys that did not make the signatures in their names, the first few.
        keys: &'a [String],
    },
    /// Sign the path with more trusted keys.
    SignWithMore {
        /// The cache.
        cache: &'a str,
        /// Names of trusted keys that did not sign, the first few.
        keys: &'a [String],
    },
    /// Give the login that a cache demands.
    Login {
        /// The cache.
        cache: &'a str,
    },
    /// Give the keys that an S3 server demands.
    S3Keys {
        /// The cache.
        cache: &'a str,
    },
    /// Trust the authority that certified a cache's server.
    TrustCertificate {
        /// The cache.
        cache: &'a str,
    },
    /// Wait, or look up fewer and smaller paths: what caches say takes the memory that there is for it.
    SpareMemory,
    /// Correct the cache's address or what is between, or name another cache.
    Reach {
        /// The cache.
        cache: &'a str,
    },
    /// Remove the cache's narinfo, which is damaged, and push the path again.
    Replace {
        /// The cache.
        cache: &'a str,
    },
    /// Build the path and push it.
    Push {
        /// The cache, if there is only one.
        cache: Option<&'a str>,
    },
}

impl Unavailable {
    /// What helps.
    pub fn remedy(&self) -> Remedy<'_> {
        let Some((cache, refusal)) = self.nearest() else {
            return Remedy::NameCache;
        };
        match refusal {
            refusal if refusal.is_for_trust() && self.without_keys => Remedy::NameKey,
            Refusal::WeakAddress(_) => Remedy::Sign { cache },
            Refusal::Untrusted(keys) if keys.is_empty() => Remedy::Sign { cache },
            Refusal::Untrusted(keys) => Remedy::TrustOrSign { cache, keys },
            Refusal::FalseSignatures(keys) => Remedy::CompareKeys { cache, keys },
            Refusal::TooFewSignatures { missing, .. } => Remedy::SignWithMore {
                cache,
                keys: missing,
            },
            Refusal::Denied(_) => Remedy::Login { cache },
            Refusal::Failed(FetchError::S3 { error, .. })
                if matches!(
                    **error,
                    object_store::Error::PermissionDenied { .. }
                        | object_store::Error::Unauthenticated { .. }
                ) =>
            {
                Remedy::S3Keys { cache }
            }
            Refusal::Failed(error) if error.is_of_certificates() => {
                Remedy::TrustCertificate { cache }
            }
            Refusal::Failed(FetchError::Memory { .. }) => Remedy::SpareMemory,
            Refusal::Failed(_) => Remedy::Reach { cache },
            Refusal::Malformed(_) | Refusal::OtherPath(_) => Remedy::Replace { cache },
            Refusal::Missing => Remedy::Push {
                cache: (self.refusals.len() == 1).then_some(cache),
            },
        }
    }

    /// The refusal that came nearest to giving the path: where it is but does not count; else where it may be.
    pub fn nearest(&self) -> Option<&(String, Refusal)> {
        self.refusals
            .iter()
            .min_by_key(|(_, refusal)| match refusal {
                refusal if refusal.is_for_trust() => 0,
                Refusal::Malformed(_) | Refusal::OtherPath(_) => 1,
                Refusal::Missing => 3,
                _ => 2,
            })
    }
}
