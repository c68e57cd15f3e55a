//! The folder of uploads: a folder for each build and pod, `<build>+<pod>`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use super::identity::PodId;
use super::limits::Limits;
use super::refusal::Refusal;
use super::staged::Staged;
use crate::protocol::BuildName;

/// A build in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) build: BuildName,
    pub(super) pod: PodId,
}

impl Key {
    fn folder(&self) -> String {
        format!("{}+{}", self.build, self.pod)
    }

    fn parse(name: &str) -> Option<Self> {
        let (build, pod) = name.split_once('+')?;
        Some(Self {
            build: build.parse().ok()?,
            pod: pod.parse().ok()?,
        })
    }
}

/// The uploads there are.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    limits: Limits,
    /// What all uploads take.
    bytes: Arc<AtomicU64>,
    open: Mutex<HashMap<Key, Arc<Staged>>>,
}

/// Which start of the machine the uploads are of. What was written before the last may be there in part.
const BOOT: &str = "boot";

impl Staging {
    pub(super) fn open(folder: &Path, limits: Limits) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let is_same = fs::read_to_string(folder.join(BOOT)).is_ok_and(|of| of == boot);
        let (bytes, mut open) = (Arc::new(AtomicU64::new(0)), HashMap::new());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let key = name.to_str().and_then(Key::parse);
            match key {
                Some(key) if is_same => {
                    let staged = Staged::found(path, Arc::clone(&bytes))?;
                    open.insert(key, Arc::new(staged));
                }
                Some(_) => fs::remove_dir_all(path)?,
                None => {}
            }
        }
        fs::write(folder.join(BOOT), boot)?;
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            bytes,
            open: Mutex::new(open),
        })
    }

    /// The uploads of a build in a pod, made if there are none. Blocks for a moment.
    pub(super) fn of(&self, key: &Key) -> Result<Arc<Staged>, Refusal> {
        let mut open = self.known();
        if let Some(staged) = open.get(key) {
            staged.touch();
            return Ok(Arc::clone(staged));
        }
        // A pod that takes the place of another.
        let mut others: Vec<_> = open
            .iter()
            .filter(|(other, _)| other.build == key.build)
            .map(|(other, staged)| (staged.silent_for(), other.clone()))
            .collect();
        others.sort_by_key(|(silent, _)| *silent);
        if others.len() >= self.limits.pods_of_build
            && let Some((_, longest)) = others.pop()
            && let Some(staged) = open.remove(&longest)
        {
            staged.remove();
        }
        if open.len() >= self.limits.builds {
            // What has an outcome is in the cache, with its log: a pod that did not hear of it delivers once more.
            let finished = open.iter().filter(|(_, staged)| staged.is_finished());
            let longest = finished.max_by_key(|(_, staged)| staged.silent_for());
            let longest = longest.map(|(key, _)| key.clone()).ok_or(Refusal::Busy)?;
            if let Some(staged) = open.remove(&longest) {
                staged.remove();
            }
        }
        let path = self.folder.join(key.folder());
        let staged =
            fs::create_dir_all(&path).and_then(|()| Staged::found(path, Arc::clone(&self.bytes)));
        let staged = Arc::new(staged.map_err(|error| {
            tracing::error!(build = %key.build, %error, "failed to make the folder of an upload");
            Refusal::Internal("make the folder of an upload")
        })?);
        open.insert(key.clone(), Arc::clone(&staged));
        Ok(staged)
    }

    /// The uploads of a build: of the pod that was heard of last.
    pub(super) fn latest(&self, build: &BuildName) -> Option<Arc<Staged>> {
        let open = self.known();
        let of_build = open.iter().filter(|(key, _)| key.build == *build);
        let latest = of_build.min_by_key(|(_, staged)| staged.silent_for());
        latest.map(|(_, staged)| Arc::clone(staged))
    }

    /// Removes what nothing was added to for too long; how many there were. Blocks.
    pub(super) fn sweep(&self) -> usize {
        let abandoned = self.limits.abandoned;
        self.remove_where(|_, staged| {
            staged.silent_for() >= abandoned && Arc::strong_count(staged) == 1
        })
    }

    /// Removes what there is of a build. Blocks.
    pub(super) fn forget(&self, build: &BuildName) -> usize {
        self.remove_where(|key, _| key.build == *build)
    }

    /// Removes what there is of builds that no pod speaks for any more: all but `kept`, and what came within `patience`. How many
    /// there were. Blocks.
    pub(super) fn keep_only(&self, kept: &BTreeSet<BuildName>, patience: Duration) -> usize {
        self.remove_where(|key, staged| {
            !kept.contains(&key.build)
                && staged.silent_for() >= patience
                && Arc::strong_count(staged) == 1
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    fn remove_where(&self, is_removed: impl Fn(&Key, &Arc<Staged>) -> bool) -> usize {
        let removed: Vec<_> = self
            .known()
            .extract_if(|key, staged| is_removed(key, staged))
            .collect();
        for (_, staged) in &removed {
            staged.remove();
        }
        removed.len()
    }

    /// Whether as many bytes may be added to uploads.
    pub(super) fn room(&self, bytes: u64) -> Result<(), Refusal> {
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.limits.staging_size {
            return Err(Refusal::NoRoom);
        }
        let free = rustix::fs::statvfs(&self.folder).map_or(u64::MAX, |about| {
            about.f_bavail.saturating_mul(about.f_frsize)
        });
        if free < self.limits.free_space.saturating_add(bytes) {
            return Err(Refusal::NoRoom);
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Arc<Staged>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
