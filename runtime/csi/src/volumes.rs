//! Publishing and unpublishing volumes.

mod recovery;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use binary_cache::PolicyId;
use niphas_api::ClosureLines;
use niphas_store::mount::{self, MountTable};
use niphas_store::{
    Admit, LimitExceeded, Origin, Outlook, Progress, Realisation, RealiseError, RealisedClosure,
    Request, RequestLimits, Store, Terms,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};

use crate::attributes::{Pod, Wanted};
use crate::error::VolumeError;
use crate::gc::count_for_fetches;
use crate::holdings::Holdings;
use crate::locks::Locks;
use crate::metrics::{Metrics, ReasonLabels, SourceLabels};
use crate::record::{Record, Records, failed};
use crate::trust::{Served, Trust};
use crate::view::{ViewKey, Views, mounted_at};

/// What to publish.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) target: PathBuf,
    pub(crate) wanted: Wanted,
    pub(crate) pod: Pod,
}

/// From where a volume was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It was published already.
    Published,
    /// Its closure was mounted: a bind.
    Mounted,
    /// Its closure was in the store: a mount and a bind.
    Realised,
    /// Something of its closure was fetched.
    Cold,
}

impl Start {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Mounted => "mounted",
            Self::Realised => "realised",
            Self::Cold => "cold",
        }
    }
}

/// That a section of the configuration vouches for a closure: its policy believes it, and its caches delivered it. A closure is
/// the same bytes for every namespace, but not every namespace may have them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Verdict {
    policy: PolicyId,
    origins: Arc<[Origin]>,
    wanted: Wanted,
}

/// How long a closure that no cache gives may yet come: a push, or a change of the configuration, is often under way. After it
/// kubelet learns that it is refused.
const MAY_COME: Duration = Duration::from_mins(3);

/// Volumes to remember for that.
const MOST_ASKED: usize = 4096;

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
    /// What was found for closures that are mounted.
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
            let labels = ReasonLabels { reason };
            metrics.refused.get_or_create(&labels).inc();
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
            policy: served.caches.policy_id(),
            origins: Arc::clone(&served.origins),
            wanted: volume.wanted.clone(),
        };

        let is_vouched = self.vouched().contains(&verdict);
        if let Some(start) = self.place(&volume, is_vouched, None).await? {
            self.waiting().remove(&volume.id);
            return Ok(start);
        }
        let realised = self.realise(&volume, served, deadline);
        let (closure, progress) = match realised.instrument(info_span!("realise")).await {
            Ok(realised) => realised,
            Err(error) => {
                if !error.is_retryable() {
                    self.give_up(volume).await;
                }
                return Err(error);
            }
        };
        self.vouched().insert(verdict);
        let placed = self.place(&volume, true, Some(closure)).await;
        self.waiting().remove(&volume.id);
        match placed? {
            // Places whatever it is given a closure for.
            None => Err(VolumeError::Panicked),
            Some(Start::Realised) if progress.fetched_paths > 0 => Ok(Start::Cold),
            Some(start) => Ok(start),
        }
    }

    fn busy(&self, id: &str) -> VolumeError {
        match self.waiting().get(id) {
            Some((realisation, _)) => VolumeError::InProgress(realisation.progress()),
            None => VolumeError::Busy,
        }
    }

    /// Has the store realise the closure, on the terms of the pod's namespace.
    async fn realise(
        &self,
        volume: &Volume,
        served: Served,
        deadline: Instant,
    ) -> Result<(Arc<RealisedClosure>, Progress), VolumeError> {
        let (namespace, limits) = (volume.pod.namespace.clone(), served.limits);
        let disk = self.holdings.disk_size();
        let holdings = Arc::clone(&self.holdings);
        let admit = move |lines: &ClosureLines| holdings.admit(&namespace, lines, limits.disk);
        let admit: Admit = Arc::new(admit);
        let realisation = self.store.realise(Request {
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
        });
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
                    return Ok((closure, progress));
                }
                // It was there as a whole, so no cache was asked.
                Err(error) => Arc::new(RealiseError::Limit(error)),
            },
            Err(error) => error,
        };
        self.waiting().remove(&volume.id);
        Err(match error.outlook() {
            Outlook::MayCome if self.may_come(&volume.id) => VolumeError::MayCome(error),
            _ => VolumeError::Realise(error),
        })
    }

    /// Whether a closure that no cache gives may yet come.
    fn may_come(&self, volume: &str) -> bool {
        let now = Instant::now();
        let mut missed = self.missed();
        if missed.len() >= MOST_ASKED {
            missed.clear();
        }
        let (first, last) = missed.entry(volume.to_owned()).or_insert((now, now));
        *last = now;
        now.duration_since(*first) < MAY_COME
    }

    /// Counts what a realisation fetched since it was counted last, whatever came of it.
    fn count(&self, realisation: &Realisation) {
        let fetched = realisation.untold();
        self.count_from("fetched", fetched.paths, fetched.bytes);
        self.count_from("failed", 0, fetched.wasted_bytes);
        count_for_fetches(&self.store, &self.metrics);
    }

    fn count_stored(&self, progress: &Progress) {
        self.count_from(
            "stored",
            progress.paths_done.saturating_sub(progress.fetched_paths),
            progress.bytes_done.saturating_sub(progress.fetched_bytes),
        );
    }

    fn count_from(&self, source: &'static str, paths: u64, bytes: u64) {
        let labels = SourceLabels { source };
        let metrics = &self.metrics;
        metrics.realised_paths.get_or_create(&labels).inc_by(paths);
        metrics.realised_bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// Mounts what is missing of a volume: its view, if the closure is given, and its target. None, if the closure must be
    /// realised first, or its policy be asked: then it is held already.
    async fn place(
        self: &Arc<Self>,
        volume: &Arc<Volume>,
        is_vouched: bool,
        closure: Option<Arc<RealisedClosure>>,
    ) -> Result<Option<Start>, VolumeError> {
        let (this, volume) = (Arc::clone(self), Arc::clone(volume));
        let span = tracing::Span::current();
        let placed = tokio::task::spawn_blocking(move || {
            span.in_scope(|| this.place_blocking(&volume, is_vouched, closure.as_deref()))
        });
        placed.await.map_err(|_| VolumeError::Panicked)?
    }

    fn place_blocking(
        &self,
        volume: &Volume,
        is_vouched: bool,
        closure: Option<&RealisedClosure>,
    ) -> Result<Option<Start>, VolumeError> {
        let key = ViewKey::of(&volume.wanted).ok_or(VolumeError::Missing("a root"))?;
        self.forget_other(volume)?;
        let alone = self.view_locks.blocking_lock(&key);
        let record = self.records.get(&volume.id);
        let is_bound = self.check_target(volume, &key, record.as_ref())?;
        if is_bound && record.is_some() {
            return Ok(Some(Start::Published));
        }
        let is_mounted = self.views.mounted(&key)?.is_some();
        let placed = self.place_locked(volume, &key, is_vouched, is_mounted, is_bound, closure);
        if placed.is_err() {
            // kubelet may never ask for it again.
            self.undo(volume, &key);
        }
        drop(alone);
        self.metrics.volumes.set(self.records.len() as i64);
        if !is_mounted {
            self.show_views();
        }
        placed
    }

    fn place_locked(
        &self,
        volume: &Volume,
        key: &ViewKey,
        is_vouched: bool,
        is_mounted: bool,
        is_bound: bool,
        closure: Option<&RealisedClosure>,
    ) -> Result<Option<Start>, VolumeError> {
        // First the record and the root: so whatever is mounted, or about to come, is known and stays.
        let record = self.record(volume);
        if self.records.get(&volume.id).as_ref() != Some(&record) {
            self.records.put(record)?;
        }
        if !is_mounted && closure.is_none() {
            self.views
                .hold(key, volume.wanted.roots.clone(), volume.wanted.digest)?;
        }
        match closure {
            None if !is_mounted || !is_vouched => return Ok(None),
            Some(closure) if !is_mounted => self.views.mount(key, closure)?,
            _ => {}
        }
        if !is_bound {
            self.bind(volume, key)?;
        }
        Ok(Some(if is_mounted {
            Start::Mounted
        } else {
            Start::Realised
        }))
    }

    /// Forgets what the volume was asked for before, if that is not mounted and another closure or place is asked for now.
    fn forget_other(&self, volume: &Volume) -> Result<(), VolumeError> {
        let Some(record) = self.records.get(&volume.id) else {
            return Ok(());
        };
        let is_other = record.wanted() != volume.wanted || record.target != volume.target;
        if is_other && mounted_at(&record.target)?.is_none() {
            self.forget(&record)?;
        }
        Ok(())
    }

    /// Whether the target shows the view already. An error if it shows anything else, or the volume is elsewhere.
    fn check_target(
        &self,
        volume: &Volume,
        key: &ViewKey,
        record: Option<&Record>,
    ) -> Result<bool, VolumeError> {
        // What is not mounted was forgotten.
        if let Some(record) = record.filter(|record| record.target != volume.target) {
            return Err(VolumeError::OtherTarget(record.target.clone()));
        }
        let Some(shown) = mounted_at(&volume.target)? else {
            return Ok(false);
        };
        let other = |what: String| {
            let target = volume.target.clone();
            Err(VolumeError::OtherClosure { target, what })
        };
        let is_of_another =
            |other: &Record| other.target == volume.target && other.volume != volume.id;
        if let Some(another) = self.records.find(is_of_another) {
            return other(format!("volume {} of {}", another.volume, another.pod));
        }
        if let Some(record) = record {
            // The kernel says that it is mounted, the record says what.
            return if record.wanted() == volume.wanted {
                Ok(true)
            } else {
                other(format!("closure {} of {}", record.digest, record.pod))
            };
        }
        match self.views.owner(shown)? {
            Some(owner) if owner == *key => Ok(true),
            Some(owner) => other(format!("closure {owner}")),
            None => Err(VolumeError::Foreign(volume.target.clone())),
        }
    }

    fn bind(&self, volume: &Volume, key: &ViewKey) -> Result<(), VolumeError> {
        let target = &volume.target;
        match fs::create_dir(target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::symlink_metadata(target).map_err(failed("look at", target))?;
                if !there.is_dir() {
                    return Err(VolumeError::BadTarget(target.clone()));
                }
            }
            made => made.map_err(failed("create", target))?,
        }
        mount::bind(&self.views.path(key), target).map_err(|source| VolumeError::Mount {
            what: format!("'{}' cannot be mounted", target.display()),
            source: Box::new(source),
        })
    }

    /// After a failure: leaves nothing of a volume. The lock of its view must be held.
    fn undo(&self, volume: &Volume, key: &ViewKey) {
        let undone = Self::clear_target(&volume.target)
            .and_then(|()| Ok(self.records.remove(&volume.id)?))
            .and_then(|()| self.release_locked(key));
        if let Err(error) = undone {
            warn!(%error, "what is left of a volume that failed cannot be removed; it goes at the next start");
        }
    }

    /// Leaves nothing of a volume that cannot be realised.
    async fn give_up(self: &Arc<Self>, volume: Arc<Volume>) {
        let this = Arc::clone(self);
        let given_up = tokio::task::spawn_blocking(move || {
            if let Some(key) = ViewKey::of(&volume.wanted) {
                let _alone = this.view_locks.blocking_lock(&key);
                this.undo(&volume, &key);
            }
            this.metrics.volumes.set(this.records.len() as i64);
        });
        // Errors are reported by the volume that waits for the realisation.
        let _ = given_up.await;
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

    fn unpublish_blocking(&self, id: &str, target: &Path) -> Result<(), VolumeError> {
        let target = resolve(target)?;
        let record = self.records.get(id);
        let mut shown = None;
        if let Some(mounted) = mounted_at(&target)? {
            shown = match &record {
                Some(record) if record.target == target => None,
                _ => self.views.owner(mounted)?,
            };
            let is_recorded = record
                .as_ref()
                .is_some_and(|record| record.target == target);
            if !is_recorded && shown.is_none() && !self.is_former(&target)? {
                return Err(VolumeError::Foreign(target));
            }
        }
        Self::clear_target(&target)?;
        let gone = match record {
            Some(record) if record.target == target || mounted_at(&record.target)?.is_none() => {
                Some(record)
            }
            _ => None,
        };
        if gone.is_some() {
            self.records.remove(id)?;
        }
        let recorded = gone.as_ref().and_then(Record::key);
        for key in shown
            .iter()
            .chain(recorded.as_ref().filter(|key| shown.as_ref() != Some(key)))
        {
            let _alone = self.view_locks.blocking_lock(key);
            self.release_locked(key)?;
        }
        self.metrics.volumes.set(self.records.len() as i64);
        Ok(())
    }

    /// Whether what is mounted at a place is of a view that is no longer mounted itself.
    fn is_former(&self, target: &Path) -> Result<bool, VolumeError> {
        let mounts = mounts()?;
        let mount = mounts.at(target);
        Ok(mount.is_some_and(|mount| self.views.is_former(mount)))
    }

    /// Unmounts a target, however often it is mounted, and removes its folder.
    fn clear_target(target: &Path) -> Result<(), VolumeError> {
        while mount::detach(target).map_err(|source| VolumeError::Mount {
            what: format!("'{}' cannot be unmounted", target.display()),
            source: Box::new(source),
        })? {}
        match fs::remove_dir(target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", target)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Unmounts a view that no volume shows. Its lock must be held.
    fn release_locked(&self, key: &ViewKey) -> Result<(), VolumeError> {
        let is_of_view = |record: &Record| record.key().as_ref() == Some(key);
        if self.records.find(is_of_view).is_some() || self.views.is_shown(&mounts()?, key) {
            return Ok(());
        }
        self.vouched()
            .retain(|verdict| ViewKey::of(&verdict.wanted).as_ref() != Some(key));
        self.views.unmount(key)?;
        self.show_views();
        Ok(())
    }

    /// Forgets a volume that is not mounted.
    fn forget(&self, record: &Record) -> Result<(), VolumeError> {
        warn!(volume = record.volume, target = %record.target.display(), "forgot a volume that is not mounted any more");
        // Only a folder of ours is empty. What else is there is not.
        let _ = fs::remove_dir(&record.target);
        self.records.remove(&record.volume)?;
        if let Some(key) = record.key() {
            let _alone = self.view_locks.blocking_lock(&key);
            self.release_locked(&key)?;
        }
        Ok(())
    }

    fn show_views(&self) {
        let views = mounts().map(|mounts| self.views.count(&mounts));
        self.metrics.mounted_closures.set(views.unwrap_or(0) as i64);
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

/// Asks on a thread that may read files.
async fn admitted(
    admit: Admit,
    closure: &Arc<RealisedClosure>,
) -> Result<Result<(), LimitExceeded>, VolumeError> {
    let closure = Arc::clone(closure);
    let admitted = tokio::task::spawn_blocking(move || admit(&closure.lines));
    admitted.await.map_err(|_| VolumeError::Panicked)
}

/// A target as mountinfo names it: without symlinks in the path. kubelet makes its parent.
fn resolve(target: &Path) -> Result<PathBuf, VolumeError> {
    let bad = || VolumeError::BadTarget(target.to_owned());
    let name = target.file_name().ok_or_else(bad)?;
    let parent = target
        .parent()
        .filter(|_| target.is_absolute())
        .ok_or_else(bad)?;
    match fs::canonicalize(parent) {
        Ok(parent) if parent != Path::new("/") => Ok(parent.join(name)),
        Ok(_) => Err(bad()),
        // Then nothing is mounted there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(target.to_owned()),
        Err(error) => Err(failed("find", parent)(error).into()),
    }
}

fn boot_id() -> Result<String, VolumeError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    Ok(text.trim().to_owned())
}

fn mounts() -> Result<MountTable, VolumeError> {
    MountTable::read().map_err(|source| VolumeError::Mount {
        what: "what is mounted cannot be told".to_owned(),
        source: Box::new(source),
    })
}
