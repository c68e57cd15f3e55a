//! What can go wrong.

mod fetch;
mod nar;
mod refusal;

use crate::summary::summary;
use crate::url::CacheUrlError;
pub use fetch::FetchError;
pub use nar::NarError;
use nix_formats::signature::SignatureError;
pub use refusal::{Refusal, Unavailable};
use thiserror::Error;

/// The caches can't be used at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A cache's URL.
    #[error(transparent)]
    Url(#[from] CacheUrlError),
    /// A public key.
    #[error("a trusted public key is not valid")]
    PublicKey(#[from] SignatureError),
    /// The HTTP client can't be made.
    #[error(transparent)]
    Http(#[from] niphas_http::SetupError),
    /// The S3 client can't be made.
    // As for `FetchError::S3`.
    #[error("cannot set up the S3 client: {0}")]
    S3(object_store::Error),
}

/// A closure can't be told.
#[derive(Debug, Clone, Error)]
pub enum ClosureError {
    /// Paths that no cache gives; never empty.
    #[error("{}", list(.0))]
    Unavailable(Vec<Unavailable>),
    /// More paths than any closure has.
    #[error("the closure has more than {0} paths")]
    TooLarge(usize),
    /// More references than any closure has.
    #[error("the paths of the closure have more than {0} references")]
    TooManyReferences(usize),
}

fn list(paths: &[Unavailable]) -> String {
    const SHOWN: usize = 10;
    if let [path] = paths {
        return path.to_string();
    }
    let paths: Vec<&Unavailable> = paths.iter().collect();
    let summary = summary(&paths, SHOWN, |_| String::new());
    format!("no cache gives {} store paths:\n{summary}", paths.len())
}
