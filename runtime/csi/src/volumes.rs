//! Publishing and unpublishing volumes.

mod place;
mod realisation;
mod recovery;
mod step;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use binary_cache::PolicyId;
use niphas_api::VolumeAttributes;
use niphas_store::{Origin, Realisation, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use crate::error::VolumeError;
use crate::holdings::Holdings;
use crate::locks::Locks;
use crate::metrics::{Metrics, Start};
use crate::pod::Pod;
use crate::record::{Record, Records, failed};
use crate::trust::Trust;
use crate::view::{ViewKey, Views};
use place::resolve;
use step::{Known, Leftover, Then};

/// A volume to publish.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) target: PathBuf,
    pub(crate) wanted: VolumeAttributes,
    pub(crate) pod: Pod,
}

/// That a namespace may have a closure: the policy of its section believes it, the section's caches delivered it, and it is
/// within the namespace's limits. A closure is the same bytes for every namespace, but not every namespace may have them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Verdict {
    namespace: String,
    policy: PolicyId,
    origins: Arc<[Origin]>,
    wanted: VolumeAttributes,
}

impl Verdict {
    fn key(&self) -> ViewKey {
        ViewKey::new(self.wanted.digest, &self.wanted.roots)
    }
}

/// The volumes of this node.
#[derive(Debug)]
pub(crate) struct Volumes {
    store: Store,
    views: Views,
    trust: Arc<Trust>,
    records: Arc<Records>,
    holdings: Arc<Holdings>,
    metrics: Metrics,
    boot: String,
    stop: CancellationToken,
    volume_locks: Locks<String>,
    view_locks: Locks<ViewKey>,
    /// Who may have which closure, of those that are mounted.
    vouched: Mutex<HashSet<Verdict>>,
    /// Realisations that kubelet will ask for again: as long as they are held, what they fetched stays.
    waiting: Mutex<HashMap<String, (Realisation, Instant)>>,
    /// Volumes whose closure no cache gave: when that was first and last.
    missed: Mutex<HashMap<String, (Instant, Instant)>>,
}

impl Volumes {
    /// What is there of earlier runs is known, and not yet put in order.
    pub(crate) fn open(
        state: &Path,
        store: Store,
        views: Views,
        trust: Arc<Trust>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<Self, VolumeError> {
        let records = Arc::new(Records::open(state.join("volumes"))?);
        let holdings = Holdings::new(store.clone(), Arc::clone(&records));
        Ok(Self {
            holdings: Arc::new(holdings),
            store,
            views,
            trust,
            records,
            metrics,
            boot: boot_id()?,
            stop,
            volume_locks: Locks::default(),
            view_locks: Locks::default(),
            vouched: Mutex::default(),
            waiting: Mutex::default(),
            missed: Mutex::default(),
        })
    }

    /// Publishes a volume, or tells how far it is at the deadline; it goes on then.
    pub(crate) async fn publish(
        self: Arc<Self>,
        volume: Volume,
        deadline: Instant,
    ) -> Result<Start, VolumeError> {
        let metrics = self.metrics.clone();
        let published = self.publish_uncounted(volume, deadline).await;
        if let Some(reason) = published.as_ref().err().and_then(VolumeError::reason) {
            metrics.refused(reason);
        }
        published
    }

    async fn publish_uncounted(
        self: Arc<Self>,
        mut volume: Volume,
        deadline: Instant,
    ) -> Result<Start, VolumeError> {
        volume.target = resolve(&volume.target)?;
        let lock = tokio::time::timeout_at(deadline, self.volume_locks.lock(&volume.id));
        let _alone = lock.await.map_err(|_| self.busy(&volume.id))?;
        let served = self
            .trust
            .serving(&volume.pod.namespace)
            .ok_or(VolumeError::NoPodInfo)?;
        let volume = Arc::new(volume);
        let verdict = Verdict {
            namespace: volume.pod.namespace.clone(),
            policy: served.caches.policy_id(),
            origins: Arc::clone(&served.origins),
            wanted: volume.wanted.clone(),
        };

        let mut closure = if self.vouched().contains(&verdict) {
            Known::Vouched
        } else {
            Known::Nothing
        };
        loop {
            let is_realised = matches!(closure, Known::Stored(_) | Known::Fetched(_));
            let is_unknown = matches!(closure, Known::Nothing);
            let next = self.place(&volume, closure).await;
            if is_realised || matches!(next, Ok(Then::Answer(_))) {
                self.waiting().remove(&volume.id);
            }
            if let Then::Answer(start) = next? {
                return Ok(start);
            }
            // Another volume of the same closure may have come first.
            if is_unknown && self.vouched().contains(&verdict) {
                closure = Known::Vouched;
                continue;
            }
            let realised = self.realise(&volume, served.clone(), deadline);
            closure = match realised.instrument(info_span!("realise")).await {
                Ok(closure) => closure,
                Err(error) => {
                    if step::leftover(&error) == Leftover::Removed {
                        self.give_up(&volume).await;
                    }
                    return Err(error);
                }
            };
            self.vouched().insert(verdict.clone());
        }
    }

    fn busy(&self, id: &str) -> VolumeError {
        match self.waiting().get(id) {
            Some((realisation, _)) => VolumeError::InProgress(realisation.progress()),
            None => VolumeError::Busy,
        }
    }

    /// Unpublishes a volume, or whatever there is of it.
    pub(crate) async fn unpublish(
        self: Arc<Self>,
        id: String,
        target: PathBuf,
        deadline: Instant,
    ) -> Result<(), VolumeError> {
        let lock = tokio::time::timeout_at(deadline, self.volume_locks.lock(&id));
        let _alone = lock.await.map_err(|_| self.busy(&id))?;
        // This volume no longer waits for its closure: if no other does, its realisation ends.
        if let Some((realisation, _)) = self.waiting().remove(&id) {
            self.count(&realisation);
        }
        self.missed().remove(&id);
        let this = Arc::clone(&self);
        let span = tracing::Span::current();
        let done = tokio::task::spawn_blocking(move || {
            span.in_scope(|| this.unpublish_blocking(&id, &target))
        });
        done.await.map_err(|_| VolumeError::Panicked)?
    }

    fn vouched(&self) -> MutexGuard<'_, HashSet<Verdict>> {
        self.vouched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, (Realisation, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missed(&self) -> MutexGuard<'_, HashMap<String, (Instant, Instant)>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, volume: &Volume) -> Record {
        Record {
            volume: volume.id.clone(),
            target: volume.target.clone(),
            roots: volume.wanted.roots.clone(),
            digest: volume.wanted.digest,
            pod: volume.pod.clone(),
            boot: self.boot.clone(),
        }
    }
}

fn boot_id() -> Result<String, VolumeError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    Ok(text.trim().to_owned())
}
