//! Looking at a volume, and doing what the next step says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use niphas_store::RealisedClosure;
use niphas_store::mount::{self, MountTable};
use tracing::warn;

use super::step::{
    self, Action, Known, Leftover, Recorded, Removal, Seen, Target, Then, ViewState,
};
use super::{Volume, Volumes};
use crate::error::VolumeError;
use crate::record::{Record, failed};
use crate::view::{ViewKey, mounted_at};

impl Volumes {
    /// Takes the next step for a volume: mounts what is missing of it, as far as it is known what.
    pub(super) async fn place(
        self: &Arc<Self>,
        volume: &Arc<Volume>,
        closure: Known<Arc<RealisedClosure>>,
    ) -> Result<Then, VolumeError> {
        let (this, volume) = (Arc::clone(self), Arc::clone(volume));
        let span = tracing::Span::current();
        let placed = tokio::task::spawn_blocking(move || {
            span.in_scope(|| this.place_blocking(&volume, closure))
        });
        placed.await.map_err(|_| VolumeError::Panicked)?
    }

    fn place_blocking(
        &self,
        volume: &Volume,
        closure: Known<Arc<RealisedClosure>>,
    ) -> Result<Then, VolumeError> {
        let wanted = self.record(volume);
        let key = wanted.key();
        // It takes the lock of the other view, and two locks are never held at once.
        if let Some(recorded) = self.recorded(&volume.id)?
            && step::is_outdated(&recorded, &wanted)
        {
            self.forget(&recorded.record)?;
        }
        let alone = self.view_locks.blocking_lock(&key);
        let seen = self.see(&wanted, &key)?;
        let step = step::publish(&seen, &wanted, closure)?;
        let mut actions = step.actions.into_iter();
        let done = actions.try_for_each(|action| self.act(action, &wanted, &key));
        if let Err(error) = &done
            && step::leftover(error) == Leftover::Removed
        {
            self.undo(&wanted, &key);
        }
        drop(alone);
        self.show_volumes();
        if seen.view == ViewState::Absent {
            self.show_views();
        }
        done.map(|()| step.then)
    }

    /// A volume's record, and whether anything is mounted where it says.
    fn recorded(&self, volume: &str) -> Result<Option<Recorded>, VolumeError> {
        let Some(record) = self.records.get(volume) else {
            return Ok(None);
        };
        let is_mounted = mounted_at(&record.target)?.is_some();
        Ok(Some(Recorded { record, is_mounted }))
    }

    fn see(&self, wanted: &Record, key: &ViewKey) -> Result<Seen, VolumeError> {
        let record = self.records.get(&wanted.volume);
        let target = self.see_target(&wanted.target, record.as_ref())?;
        let is_of_another =
            |other: &Record| other.target == wanted.target && other.volume != wanted.volume;
        let view = match self.views.mounted(key)? {
            Some(_) => ViewState::Mounted,
            None => ViewState::Absent,
        };
        Ok(Seen {
            other: self.records.find(is_of_another),
            record,
            target,
            view,
        })
    }

    /// What is mounted at a target, as far as the volume's record does not say it.
    fn see_target(&self, target: &Path, record: Option<&Record>) -> Result<Target, VolumeError> {
        let Some(mounted) = mounted_at(target)? else {
            return Ok(Target::Free);
        };
        if record.is_some_and(|record| record.target == target) {
            return Ok(Target::Recorded);
        }
        if let Some(key) = self.views.owner(mounted)? {
            return Ok(Target::View(key));
        }
        let mounts = mounts()?;
        let mount = mounts.at(target);
        Ok(if mount.is_some_and(|mount| self.views.is_former(mount)) {
            Target::Former
        } else {
            Target::Foreign
        })
    }

    fn act(
        &self,
        action: Action<Arc<RealisedClosure>>,
        wanted: &Record,
        key: &ViewKey,
    ) -> Result<(), VolumeError> {
        match action {
            Action::Record => Ok(self.records.put(wanted.clone())?),
            Action::Hold => self.views.hold(key, &wanted.roots),
            Action::Mount(closure) => self.views.mount(key, &closure),
            Action::Bind => self.bind(&wanted.target, key),
        }
    }

    fn bind(&self, target: &Path, key: &ViewKey) -> Result<(), VolumeError> {
        match fs::create_dir(target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::symlink_metadata(target).map_err(failed("look at", target))?;
                if !there.is_dir() {
                    return Err(VolumeError::BadTarget(target.to_owned()));
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
    fn undo(&self, record: &Record, key: &ViewKey) {
        let undone = clear(&record.target)
            .and_then(|()| Ok(self.records.remove(&record.volume)?))
            .and_then(|()| self.release_locked(key));
        if let Err(error) = undone {
            warn!(volume = record.volume, %error, "failed to clean up after a failed publish; will retry at the next start");
        }
    }

    /// Leaves nothing of a volume that cannot be realised.
    pub(super) async fn give_up(self: &Arc<Self>, volume: &Volume) {
        let this = Arc::clone(self);
        let record = self.record(volume);
        let given_up = tokio::task::spawn_blocking(move || {
            let key = record.key();
            let _alone = this.view_locks.blocking_lock(&key);
            this.undo(&record, &key);
            this.show_volumes();
        });
        // The answer is the error of the realisation, whatever came of this.
        let _ = given_up.await;
    }

    pub(super) fn unpublish_blocking(&self, id: &str, target: &Path) -> Result<(), VolumeError> {
        let target = resolve(target)?;
        let recorded = self.recorded(id)?;
        let record = recorded.as_ref().map(|recorded| &recorded.record);
        let mounted = self.see_target(&target, record)?;
        for removal in step::unpublish(recorded.as_ref(), &target, &mounted)? {
            match removal {
                Removal::Clear(target) => clear(&target)?,
                Removal::Forget => self.records.remove(id)?,
                Removal::Release(key) => self.release(&key)?,
            }
        }
        self.show_volumes();
        Ok(())
    }

    /// Unmounts a view that no volume shows.
    pub(super) fn release(&self, key: &ViewKey) -> Result<(), VolumeError> {
        let _alone = self.view_locks.blocking_lock(key);
        self.release_locked(key)
    }

    /// Unmounts a view that no volume shows. Its lock must be held.
    fn release_locked(&self, key: &ViewKey) -> Result<(), VolumeError> {
        let is_of_view = |record: &Record| record.key() == *key;
        if self.records.find(is_of_view).is_some() || self.views.is_shown(&mounts()?, key) {
            return Ok(());
        }
        self.vouched().retain(|verdict| verdict.key() != *key);
        self.views.unmount(key)?;
        self.show_views();
        Ok(())
    }

    /// Forgets a volume that is not mounted. The lock of no view may be held.
    pub(super) fn forget(&self, record: &Record) -> Result<(), VolumeError> {
        warn!(volume = record.volume, target = %record.target.display(), "forgot a volume that is not mounted any more");
        // Only a folder of ours is empty. What else is there is not.
        let _ = fs::remove_dir(&record.target);
        self.records.remove(&record.volume)?;
        self.release(&record.key())
    }

    pub(super) fn show_volumes(&self) {
        self.metrics.volumes(self.records.len());
    }

    pub(super) fn show_views(&self) {
        let views = mounts().map(|mounts| self.views.count(&mounts));
        self.metrics.mounted_closures(views.unwrap_or(0));
    }
}

/// Unmounts a target, however often it is mounted, and removes its folder.
fn clear(target: &Path) -> Result<(), VolumeError> {
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

/// A target as mountinfo names it: without symlinks in the path. kubelet makes its parent.
pub(super) fn resolve(target: &Path) -> Result<PathBuf, VolumeError> {
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

pub(super) fn mounts() -> Result<MountTable, VolumeError> {
    MountTable::read().map_err(|source| VolumeError::Mount {
        what: "failed to read what is mounted".to_owned(),
        source: Box::new(source),
    })
}
