//! Takes what build pods made into a cache. Nothing that a pod says is believed: a pod that lies hurts its own derivation only.
//!
//! Uploads are written to a folder of their own, as they come. Once a pod says that it is done, and in this order:
//!
//! 1. the closure of the derivation's inputs is looked up: all of it is in the caches;
//! 2. each NAR is read: it is one, and canonical; its hash, its size, the paths of the closure that it names, and what its own path is;
//! 3. the derivation's demands on its outputs are checked, by the code that checks them where `niphas build` builds;
//! 4. NARs are compressed into the cache, and then their narinfos are written, signed, each after those that it refers to;
//! 5. the log and the build trace are.
//!
//! Memory does not grow with outputs. The service can be killed at any time: uploads go on where they were, and what is in the cache
//! is whole.

mod finish;
mod identity;
mod limits;
mod log;
mod pages;
mod refusal;
mod spec;
mod staged;
mod staging;
mod stored;
mod upload;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use binary_cache::{CacheUrl, Caches};
use nix_formats::{SecretKey, StorePath};
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::gc;
use crate::protocol::BuildName;
use finish::Finishing;
use identity::Identities;
pub use identity::{Bearer, Builds, Denied, PodId, PodIdError};
pub use limits::Limits;
pub use log::LogPiece;
pub use refusal::Refusal;
pub use spec::{BuildSpec, SpecError};
use staging::Staging;

/// Where outputs come from, and where they go.
#[derive(Debug)]
pub struct Settings {
    /// The cache that outputs are written to: a folder, or one behind HTTP or S3.
    pub target: CacheUrl,
    /// The caches that the inputs of builds are in, the target among them. It should not remember for long that a path is missing
    /// ([`binary_cache::Limits::negative_ttl`]): what is built in one moment is an input in the next.
    pub caches: Caches,
    /// Who signs.
    pub keys: Arc<[SecretKey]>,
    /// The folder for uploads. It is this service's alone.
    pub staging: PathBuf,
    /// Bounds on what pods send.
    pub limits: Limits,
}

/// Takes what build pods made.
#[derive(Debug)]
pub struct Ingest<B>(Arc<Shared<B>>);

impl<B> Clone for Ingest<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<B> {
    builds: B,
    settings: Settings,
    staging: Staging,
    identities: Identities,
    /// Requests that write.
    uploads: Semaphore,
    /// Builds whose outputs are checked and stored.
    publications: Semaphore,
    finishing: Finishing,
    /// Publications hold it shared, garbage collection alone: what a publication has seen in the cache stays until its narinfos
    /// are written.
    cache: RwLock<()>,
}

/// How often abandoned uploads are looked for.
const SWEEP: Duration = Duration::from_mins(1);

impl<B: Builds> Ingest<B> {
    /// Opens the folder for uploads. Those of before a crash of the machine are gone; others go on. Blocks.
    pub fn new(builds: B, settings: Settings) -> io::Result<Self> {
        let staging = Staging::open(&settings.staging, settings.limits.clone())?;
        let limits = &settings.limits;
        let (uploads, publications) = (limits.uploads_at_once, limits.publications_at_once);
        Ok(Self(Arc::new(Shared {
            builds,
            staging,
            identities: Identities::default(),
            uploads: Semaphore::new(uploads),
            publications: Semaphore::new(publications),
            finishing: Finishing::default(),
            cache: RwLock::new(()),
            settings,
        })))
    }

    /// The pages of [`crate::protocol`]. To be served by something that bounds connections and the size of request heads.
    pub fn router(&self) -> Router {
        pages::router(self.clone())
    }

    /// Removes uploads that nothing was added to for too long, until `stop`.
    pub async fn sweep(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP.min(self.0.settings.limits.abandoned));
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let shared = Arc::clone(&self.0);
            let swept = tokio::task::spawn_blocking(move || shared.staging.sweep());
            if let Ok(count @ 1..) = swept.await {
                tracing::info!(count, "removed uploads that were abandoned");
            }
        }
    }

    /// Has all uploads of a build removed: it is no longer one of the service's.
    pub async fn forget(&self, name: &BuildName) {
        let (shared, name) = (Arc::clone(&self.0), name.clone());
        let _ = tokio::task::spawn_blocking(move || shared.staging.forget(&name)).await;
    }

    /// Whether nothing of any build is kept here.
    pub fn is_empty(&self) -> bool {
        self.0.staging.is_empty()
    }

    /// Has all uploads removed but those of `kept`, and of what a pod was heard of within `patience`: how many there were.
    pub async fn keep_only(&self, kept: BTreeSet<BuildName>, patience: Duration) -> usize {
        let shared = Arc::clone(&self.0);
        let removed =
            tokio::task::spawn_blocking(move || shared.staging.keep_only(&kept, patience));
        removed.await.unwrap_or_default()
    }

    /// Collects the garbage of the target, if it is a folder, while nothing is published.
    pub async fn collect_garbage(
        &self,
        folder: PathBuf,
        roots: BTreeSet<StorePath>,
        options: gc::Options,
    ) -> Result<gc::Report, gc::GcError> {
        let _alone = self.0.cache.write().await;
        let collect = move || gc::collect(&folder, &roots, &options);
        match tokio::task::spawn_blocking(collect).await {
            Ok(report) => report,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
