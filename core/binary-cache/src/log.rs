//! Logs of builds, as caches keep them.

use bytes::Bytes;
use nix_formats::StorePath;
use thiserror::Error;

use crate::Caches;
use crate::error::FetchError;

/// The largest log that is read.
const MAX_SIZE: usize = 256 << 20;

/// The log of a build.
#[derive(Debug, Clone)]
pub struct BuildLog {
    /// What the builder printed. A cache's word: no signature covers logs.
    pub text: Bytes,
    /// The cache that has it.
    pub cache: String,
}

/// A cache has a log, or may have one, that can't be read.
#[derive(Debug, Error)]
#[error("cannot read the log of '{derivation}' from {cache}")]
pub struct LogError {
    /// The derivation.
    derivation: StorePath,
    /// The cache.
    cache: String,
    /// Why.
    source: FetchError,
}

/// The file of a cache with the log of a derivation's build.
pub(crate) fn file_name(derivation: &StorePath) -> String {
    format!("log/{derivation}")
}

impl Caches {
    /// The log of a derivation's build, from the first cache that has one.
    pub async fn log(&self, derivation: &StorePath) -> Result<Option<BuildLog>, LogError> {
        let mut failed = None;
        for index in self.members.order().await {
            let cache = &self.members.caches[index];
            let (name, limits) = (file_name(derivation), &self.members.limits);
            match cache.transport.get(&name, MAX_SIZE, limits).await {
                Ok(Some(text)) => {
                    let cache = cache.name.clone();
                    return Ok(Some(BuildLog { text, cache }));
                }
                Ok(None) => {}
                Err(source) => {
                    failed.get_or_insert(LogError {
                        derivation: derivation.clone(),
                        cache: cache.name.clone(),
                        source,
                    });
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }
}
