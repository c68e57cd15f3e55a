//! Pushing closures to a cache.

mod batch;
mod compress;
mod error;
mod listing;
mod order;
mod pack;
mod present;
mod progress;
mod publish;
mod run;
mod writer;

use crate::limits::Limits;
use crate::source::{NarSource, PathInfo, walk_closure};
use crate::transport::Transport;
use crate::url::CacheUrl;
pub use compress::{Compressor, CompressorError};
pub use error::PushError;
use futures::TryFutureExt;
use futures::channel::mpsc;
use nix_formats::{SecretKey, StorePath};
pub use progress::{PushProgress, PushReport};
use std::num::NonZeroUsize;
use std::sync::Arc;
pub use writer::{CacheWriter, Recorded};

/// How to push.
#[derive(Debug)]
pub struct PushOptions {
    /// How NARs are compressed.
    pub compressor: Compressor,
    /// Who signs. Signatures that paths have already are kept.
    pub keys: Arc<[SecretKey]>,
    /// Whether to write a `.ls` listing for each path.
    pub listings: bool,
    /// NARs packed at once.
    pub jobs: NonZeroUsize,
    /// Bounds on requests.
    pub limits: Limits,
}

impl Default for PushOptions {
    /// zstd, no key, no listings, a NAR for each processor.
    fn default() -> Self {
        Self {
            compressor: Compressor::default(),
            keys: Arc::default(),
            listings: false,
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
        }
    }
}

/// Pushes the closure of `roots` to a cache. What is there is not pushed again.
///
/// A path's narinfo is written after its NAR, and after the narinfos of all
/// paths that it refers to; in a folder after the NAR is on the disk. So
/// whenever this is killed, or the machine goes down, the cache is whole and
/// lacks no reference of any path that it has; the next run goes on from there.
pub async fn push(
    source: Arc<dyn NarSource>,
    roots: &[StorePath],
    to: &CacheUrl,
    options: PushOptions,
    progress: Arc<PushProgress>,
) -> Result<PushReport, PushError> {
    let (found, closure) = mpsc::unbounded();
    let walk = {
        let (source, roots) = (Arc::clone(&source), roots.to_vec());
        let tell = move |infos| found.unbounded_send(infos).is_ok();
        blocking(move || walk_closure(&*source, &roots, tell))
    };
    let push = Push::new(source, to, options, progress)?;
    push.check_cache().await?;
    let walk = walk.map_err(PushError::Closure);
    let (report, ()) = futures::try_join!(push.run(closure), walk)?;
    Ok(sorted(report))
}

/// Pushes these paths, and nothing that they refer to besides: the caller has seen that it is in the cache, or in another that all
/// readers of the cache have. As with [`push`] a path's narinfo comes after its NAR, and after those of the other paths that it
/// refers to.
pub async fn push_paths(
    source: Arc<dyn NarSource>,
    paths: Vec<PathInfo>,
    to: &CacheUrl,
    options: PushOptions,
    progress: Arc<PushProgress>,
) -> Result<PushReport, PushError> {
    let (found, infos) = mpsc::unbounded();
    let others = paths.iter().flat_map(|info| &info.references);
    let others = others.filter(|path| !paths.iter().any(|info| info.path == **path));
    let others: Vec<StorePath> = others.cloned().collect();
    // Its receiver is here.
    let _ = found.unbounded_send(paths);
    drop(found);
    let push = Push::new(source, to, options, progress)?;
    push.check_cache().await?;
    Ok(sorted(push.run_beside(infos, &others).await?))
}

fn sorted(mut report: PushReport) -> PushReport {
    report.pushed.sort();
    report.present.sort();
    report.signed.sort();
    report
}

struct Push {
    source: Arc<dyn NarSource>,
    transport: Transport,
    options: PushOptions,
    progress: Arc<PushProgress>,
}

impl Push {
    fn new(
        source: Arc<dyn NarSource>,
        to: &CacheUrl,
        options: PushOptions,
        progress: Arc<PushProgress>,
    ) -> Result<Self, PushError> {
        let transport = Transport::for_writing(to, &options.limits)?;
        Ok(Self {
            source,
            transport,
            options,
            progress,
        })
    }
}

/// Starts work that blocks; done when that is. A panic in it goes on here.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let work = tokio::task::spawn_blocking(work);
    async {
        match work.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("work that blocks is never cancelled"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::nar::{Writer, hash_file};
    use nix_formats::{HashAlgorithm, NarInfo, StoreDir};

    use super::*;
    use crate::source::SourceError;

    /// A store that lacks what its only path refers to.
    struct Torn(StoreDir);

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap()
    }

    impl NarSource for Torn {
        fn store_dir(&self) -> &StoreDir {
            &self.0
        }

        fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
            let info = |asked: &StorePath| {
                (*asked == path("root")).then(|| PathInfo {
                    path: asked.clone(),
                    nar_hash: hash_file(HashAlgorithm::Sha256, false, b"")
                        .0
                        .try_into()
                        .unwrap(),
                    nar_size: hash_file(HashAlgorithm::Sha256, false, b"").1,
                    references: [path("lost")].into(),
                    deriver: None,
                    signatures: Vec::new(),
                    ca: None,
                })
            };
            Ok(paths.iter().map(info).collect())
        }

        fn write_nar(&self, _: &PathInfo, out: &mut dyn std::io::Write) -> Result<(), SourceError> {
            let mut nar = Writer::new(out);
            let written = nar.file(false, b"").and_then(|()| nar.finish().map(|_| ()));
            written.map_err(|error| SourceError::Other(error.into()))
        }
    }

    #[tokio::test]
    async fn a_closure_with_a_hole_is_told_and_not_published() {
        let cache = tempfile::tempdir().unwrap();
        let url = format!("file://{}", cache.path().display())
            .parse()
            .unwrap();
        let (source, progress) = (Arc::new(Torn(StoreDir::default())), Arc::default());
        let options = PushOptions::default();
        let pushed = push(source, &[path("root")], &url, options, progress).await;
        let Err(PushError::Closure(SourceError::Missing { path: lost, .. })) = pushed else {
            panic!("it is not told: {pushed:?}");
        };
        assert_eq!(lost, path("lost"));
        let narinfo = NarInfo::file_name(&path("root"));
        assert!(!cache.path().join(narinfo).exists());
    }
}
