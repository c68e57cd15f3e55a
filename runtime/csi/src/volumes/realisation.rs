//! Having the store realise a volume's closure, on the terms of the pod's namespace.

use std::sync::Arc;
use std::time::Duration;

use niphas_api::{ClosureDigest, ClosureLines};
use niphas_store::{
    Admit, LimitExceeded, Outlook, Progress, Realisation, RealiseError, RealisedClosure, Request,
    RequestLimits, Terms,
};
use tokio::time::Instant;

use super::step::{self, Known};
use super::{Volume, Volumes};
use crate::error::VolumeError;
use crate::gc::count_for_fetches;
use crate::metrics::Source;
use crate::trust::Served;

/// Volumes whose closures no cache gave that are remembered.
const MOST_MISSED: usize = 4096;

impl Volumes {
    /// Waits until the closure is in the store, at most until the deadline; the realisation goes on after it.
    pub(super) async fn realise(
        &self,
        volume: &Volume,
        served: Served,
        deadline: Instant,
    ) -> Result<Known<Arc<RealisedClosure>>, VolumeError> {
        let (admit, request) = self.request(volume, served);
        let realisation = self.store.realise(request);
        self.waiting()
            .insert(volume.id.clone(), (realisation.clone(), Instant::now()));
        let result = tokio::select! {
            biased;
            result = realisation.wait() => result,
            () = self.stop.cancelled() => return Err(VolumeError::Stopping),
            () = tokio::time::sleep_until(deadline) => {
                self.count(&realisation);
                return Err(VolumeError::InProgress(realisation.progress()));
            }
        };
        let progress = realisation.progress();
        self.count(&realisation);
        let error = match result {
            Ok(closure) => match admitted(admit, &closure).await? {
                Ok(()) => {
                    self.missed().remove(&volume.id);
                    self.count_stored(&progress);
                    return Ok(if progress.fetched_paths > 0 {
                        Known::Fetched(closure)
                    } else {
                        Known::Stored(closure)
                    });
                }
                // It was there as a whole, so no cache was asked.
                Err(error) => Arc::new(RealiseError::Limit(error)),
            },
            Err(error) => error,
        };
        self.waiting().remove(&volume.id);
        let missed_for = match error.outlook() {
            Outlook::MayCome => self.missed_for(&volume.id),
            Outlook::Passes | Outlook::Stays => Duration::ZERO,
        };
        Err(step::not_realised(error, missed_for))
    }

    /// What the store is asked for, and what it asks before the first NAR is fetched.
    pub(super) fn request(&self, volume: &Volume, served: Served) -> (Admit, Request) {
        let (namespace, limits) = (volume.pod.namespace.clone(), served.limits);
        let disk = self.holdings.disk_size();
        let holdings = Arc::clone(&self.holdings);
        let admit = move |digest: ClosureDigest, lines: &ClosureLines| {
            holdings.admit(&namespace, digest, lines, limits.disk)
        };
        let admit: Admit = Arc::new(admit);
        let request = Request {
            roots: volume.wanted.roots.clone(),
            expected: Some(volume.wanted.digest),
            caches: served.caches,
            terms: Terms {
                holder: volume.pod.namespace.as_str().into(),
                origins: served.origins,
                must_be_delivered: served.must_be_delivered,
                limits: RequestLimits {
                    roots: limits.roots,
                    paths: limits.paths,
                    closure_size: limits.closure_size.bytes(disk),
                    nar_size: limits.nar_size.bytes(disk),
                    realisations: limits.realisations,
                },
                admit: Some(Arc::clone(&admit)),
            },
        };
        (admit, request)
    }

    /// Notes that no cache gave a volume's closure. How long that has been so.
    fn missed_for(&self, volume: &str) -> Duration {
        let now = Instant::now();
        let mut missed = self.missed();
        if missed.len() >= MOST_MISSED {
            missed.clear();
        }
        let (first, last) = missed.entry(volume.to_owned()).or_insert((now, now));
        *last = now;
        now.duration_since(*first)
    }

    /// Counts what a realisation fetched since it was counted last, whatever came of it.
    pub(super) fn count(&self, realisation: &Realisation) {
        let fetched = realisation.untold();
        let metrics = &self.metrics;
        metrics.realised(Source::Fetched, fetched.paths, fetched.bytes);
        metrics.realised(Source::Failed, 0, fetched.wasted_bytes);
        // Room may have been made for it.
        count_for_fetches(&self.store, metrics);
    }

    fn count_stored(&self, progress: &Progress) {
        self.metrics.realised(
            Source::Stored,
            progress.paths_done.saturating_sub(progress.fetched_paths),
            progress.bytes_done.saturating_sub(progress.fetched_bytes),
        );
    }
}

/// Asks on a thread that may read files.
async fn admitted(
    admit: Admit,
    closure: &Arc<RealisedClosure>,
) -> Result<Result<(), LimitExceeded>, VolumeError> {
    let closure = Arc::clone(closure);
    let admitted = tokio::task::spawn_blocking(move || admit(closure.digest, &closure.lines));
    admitted.await.map_err(|_| VolumeError::Panicked)
}
