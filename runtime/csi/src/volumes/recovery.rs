//! Putting in order what is not as it should be: at the start, and from time to time.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use super::Volumes;
use super::place::mounts;
use super::step::{self, Recorded};
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
        self.sweep()?;
        for key in self.views.known()? {
            self.release(&key)?;
        }
        // Roots are written again, for the disk may have lost their text.
        let mut held = HashSet::new();
        for record in self.records.all() {
            let key = record.key();
            if held.insert(key.root_name())
                && let Err(error) = self.views.hold(&key, &record.roots)
            {
                warn!(volume = record.volume, %error, "failed to hold the closure of a volume");
            }
        }
        info!(
            volumes = self.records.len(),
            "took over what earlier runs mounted"
        );
        self.show_views();
        Ok(())
    }

    /// Forgets volumes that are gone, and realisations that no call waits for.
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
            let folder = record.target.parent();
            let has_folder = folder.is_none_or(Path::exists);
            let recorded = Recorded {
                is_mounted: mounts.at(&record.target).is_some(),
                record,
            };
            if step::is_gone(&recorded, &self.boot, has_folder) {
                self.forget(&recorded.record)?;
            }
        }
        self.show_volumes();
        self.show_views();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
