//! Where the files of a cache in a folder are made, before a rename puts them
//! in their place.

use crate::error::FetchError;
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Stages are folders named so, with a lock in each that its owner holds.
const PREFIX: &str = ".niphas-push-";
const LOCK: &str = "lock";

/// A folder within the cache's, gone when dropped. What a killed process left is
/// removed by the next that makes one.
#[derive(Debug, Clone)]
pub(crate) struct Stage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    next: AtomicU64,
    _lock: File,
}

impl Stage {
    pub(super) fn new(cache: &Path) -> Result<Self, FetchError> {
        let failed = |source| FetchError::Write {
            path: cache.display().to_string(),
            source: Arc::new(source),
        };
        sweep(cache).map_err(failed)?;
        let make = || -> io::Result<Inner> {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache)?;
            let lock = File::create(folder.path().join(LOCK))?;
            lock.lock()?;
            Ok(Inner {
                folder: folder.keep(),
                next: AtomicU64::new(0),
                _lock: lock,
            })
        };
        Ok(Self(Arc::new(make().map_err(failed)?)))
    }

    /// A folder within this one, in which files are made by somebody who does not want to wait for others.
    pub(crate) fn lane(&self) -> Result<Lane, FetchError> {
        let folder = self.path();
        match fs::create_dir(&folder) {
            Ok(()) => Ok(Lane {
                stage: self.clone(),
                folder,
            }),
            Err(error) => Err(FetchError::Write {
                path: folder.display().to_string(),
                source: Arc::new(error),
            }),
        }
    }

    /// A name that nothing has.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.folder.join(self.next())
    }

    fn next(&self) -> String {
        self.0.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

/// See [`Stage::lane`].
#[derive(Debug)]
pub(crate) struct Lane {
    stage: Stage,
    folder: PathBuf,
}

impl Lane {
    /// A name that nothing has.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(self.stage.next())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The next stage removes what this does not.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes stages that nobody holds any more.
fn sweep(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // One without a lock is being made, or its owner was killed doing so.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => drop(fs::remove_dir_all(entry.path())),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_nobody_holds_is_removed_by_the_next() {
        let cache = tempfile::tempdir().unwrap();
        let left = cache.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("0"), "half a NAR").unwrap();
        let held = Stage::new(cache.path()).unwrap();
        fs::write(held.path(), "").unwrap();
        let second = Stage::new(cache.path()).unwrap();
        assert!(!left.exists());
        assert_ne!(held.path(), second.path());
        assert!(held.0.folder.exists());
        drop((held, second));
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
