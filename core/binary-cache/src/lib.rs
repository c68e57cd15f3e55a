//! Nix binary caches: look up store paths, verify who vouches for them, walk
//! closures, fetch NARs.
//!
//! [`Caches`] is the entry: several caches in order of priority and the public
//! keys that are trusted. Caches carry bytes, never trust: a path counts only
//! with a trusted signature, or when its content address makes it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use binary_cache::{CacheUrl, Caches, Limits};
//! use nix_formats::{PublicKey, PublicKeys, StoreDir};
//!
//! let caches: Vec<CacheUrl> = vec!["https://cache.example.org".parse()?];
//! let keys = ["cache.example.org-1:…".parse::<PublicKey>()?];
//! let caches =
//!     Caches::new(StoreDir::default(), caches, PublicKeys::from_iter(keys), Limits::default())?;
//! let root = StoreDir::default().parse("/nix/store/…-hello")?;
//! for path in caches.closure(&[root]).await?.paths {
//!     println!("{} {}", path.info.path, path.info.nar_size);
//! }
//! # Ok(())
//! # }
//! ```

mod answers;
mod breaker;
mod cache;
mod cache_info;
mod caches;
mod closure;
mod decompress;
mod download;
mod error;
mod keys;
mod limits;
mod listing;
mod log;
mod memory;
mod nar;
mod netrc;
mod policy;
mod push;
mod realisation;
mod remedy;
mod s3_profile;
mod s3_url;
mod source;
mod summary;
mod together;
mod trace;
mod transport;
mod url;

pub use cache_info::CacheInfo;
pub use caches::{CacheDescription, Caches, Found};
pub use closure::Closure;
pub use error::{ClosureError, FetchError, NarError, Refusal, SetupError, Unavailable};
pub use keys::{KeysError, read_keys};
pub use limits::Limits;
pub use listing::{Listing, ListingError};
pub use log::{BuildLog, LogError};
pub use memory::CacheMemory;
pub use netrc::{Netrc, NetrcError, NetrcLogin};
pub use niphas_http::RetryPolicy;
pub use policy::{PolicyError, PolicyId, Trust, TrustPolicy};
pub use push::{
    CacheWriter, Compressor, CompressorError, PushError, PushOptions, PushProgress, PushReport,
    Recorded, push, push_paths,
};
pub use realisation::{DerivationOutput, DerivationOutputError, Realisation, RealisationError};
pub use remedy::Remedy;
pub use source::{
    DaemonError, DaemonStore, LocalStore, NarSource, PathInfo, SourceError, write_tree,
};
pub use summary::summary;
pub use trace::set_traceparent;
pub use url::{CacheUrl, CacheUrlError};
