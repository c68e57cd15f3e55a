//! Putting in order what is not as it should be: at the start, and from time to time.

use std::collections::HashSet;
use std::time::Duration;

use tracing::{info, warn};

use super::{Volumes, mounts};
use crate::error::VolumeError;

/// A realisation whose volume kubelet does not ask for any more is let go after this; kubelet pauses 2 minutes at most.
const ABANDONED: Duration = Duration::from_secs(150);

/// How long it is remembered that no cache gave a volume's closure.
const FORGOTTEN: Duration = Duration::from_mins(15);

impl Volumes {
    /// Puts in order what earlier runs left, whether they were killed or the node went down: what is mounted is known, held
    /// and kept, and all the rest goes.
    pub(crate) fn recover(&self) -> Result<(), VolumeError> {
        self.views.remove_unfinished()?;
        for record in self.records.all() {
            if record.boot != self.boot {
                // Nothing of that time is mounted. Pods that live on are published again.
                self.forget(&record)?;
            }
        }
        self.sweep()?;
        for key in self.views.known()? {
            let _alone = self.view_locks.blocking_lock(&key);
            self.release_locked(&key)?;
        }
        let held: HashSet<String> = self
            .store
            .roots()?
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        for record in self.records.all() {
            let Some(key) = record.key() else { continue };
            if !held.contains(
                &key.root_name()
                    .map(|name| name.to_string())
                    .unwrap_or_default(),
            ) && let Err(error) = self.views.hold(&key, record.roots.clone(), record.digest)
            {
                warn!(volume = record.volume, %error, "the closure of a volume cannot be held");
            }
        }
        info!(
            volumes = self.records.len(),
            "took over what earlier runs mounted"
        );
        self.metrics.volumes.set(self.records.len() as i64);
        self.show_views();
        Ok(())
    }

    /// Forgets volumes whose pod's folder is gone with what was mounted in it, and realisations without a waiting volume.
    pub(crate) fn sweep(&self) -> Result<(), VolumeError> {
        let mut abandoned = Vec::new();
        self.waiting().retain(|_, (realisation, asked)| {
            let is_wanted = asked.elapsed() < ABANDONED;
            if !is_wanted {
                abandoned.push(realisation.clone());
            }
            is_wanted
        });
        for realisation in abandoned {
            self.count(&realisation);
        }
        self.missed()
            .retain(|_, (_, last)| last.elapsed() < FORGOTTEN);
        let mounts = mounts()?;
        for record in self.records.all() {
            let is_gone = mounts.at(&record.target).is_none()
                && record
                    .target
                    .parent()
                    .is_some_and(|parent| !parent.exists());
            if is_gone {
                self.forget(&record)?;
            }
        }
        self.metrics.volumes.set(self.records.len() as i64);
        self.show_views();
        Ok(())
    }
}
