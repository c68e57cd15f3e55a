//! Where the files of a cache in a folder are made, before a rename puts them
//! in their place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::FetchError;

/// Stages are folders named so. Beside each is a file of the same name and this suffix, which its owner has locked: it is there
/// before the folder and after it, so that what a process leaves that is killed can be told at any time.
const PREFIX: &str = ".niphas-push-";
const LOCK: &str = ".lock";

/// A folder within the cache's, gone when dropped. What a killed process left is
/// removed by the next that makes one.
#[derive(Debug, Clone)]
pub(crate) struct Stage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    next: AtomicU64,
    lock: PathBuf,
    _locked: File,
    /// Garbage is not collected meanwhile: who does locks the folder for itself alone.
    _folder: Option<File>,
}

impl Stage {
    pub(super) fn new(cache: &Path) -> Result<Self, FetchError> {
        let failed = |source| FetchError::Write {
            path: cache.display().to_string(),
            source: Arc::new(source),
        };
        sweep(cache).map_err(failed)?;
        let inner = loop {
            if let Some(inner) = Inner::new(cache).map_err(failed)? {
                break inner;
            }
        };
        Ok(Self(Arc::new(inner)))
    }

    /// A folder within this one, in which files are made by a writer that does not wait for others.
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

impl Inner {
    /// `None` if it was taken for an abandoned one.
    fn new(cache: &Path) -> io::Result<Option<Self>> {
        // Some file systems cannot lock folders: there no garbage is collected either.
        let shared = File::open(cache)?;
        let shared = shared.lock_shared().is_ok().then_some(shared);
        let mut name = tempfile::Builder::new();
        let (locked, lock) = name
            .prefix(PREFIX)
            .suffix(LOCK)
            .tempfile_in(cache)?
            .keep()?;
        locked.lock()?;
        if !fs::exists(&lock)? {
            return Ok(None);
        }
        let inner = Self {
            folder: lock.with_extension(""),
            next: AtomicU64::new(0),
            lock,
            _locked: locked,
            _folder: shared,
        };
        fs::create_dir(&inner.folder)?;
        Ok(Some(inner))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The next stage removes what this does not.
        let _ = remove(&self.folder, &self.lock);
    }
}

/// Removes a stage whose lock is held.
fn remove(folder: &Path, lock: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_file(lock),
    }
}

/// Removes stages that no process holds any more.
fn sweep(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(PREFIX.as_bytes()) || !name.ends_with(LOCK.as_bytes()) {
            continue;
        }
        let lock = entry.path();
        if let Ok(file) = regular_file::open_no_follow(&lock)
            && file.try_lock().is_ok()
        {
            // What cannot be removed is of no harm.
            let _ = remove(&lock.with_extension(""), &lock);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a process leaves it that is killed before it has made the folder, then while it fills or removes it.
    #[test]
    fn a_stage_that_nobody_holds_is_removed_by_the_next() {
        let cache = tempfile::tempdir().unwrap();
        let left = cache.path().join(format!("{PREFIX}left"));
        fs::write(cache.path().join(format!("{PREFIX}left{LOCK}")), "").unwrap();
        fs::write(cache.path().join(format!("{PREFIX}none{LOCK}")), "").unwrap();
        fs::create_dir(&left).unwrap();
        fs::write(left.join("0"), "half a NAR").unwrap();
        let held = Stage::new(cache.path()).unwrap();
        assert_eq!(names(cache.path()).len(), 2);
        fs::write(held.path(), "").unwrap();
        let second = Stage::new(cache.path()).unwrap();
        assert_ne!(held.path(), second.path());
        assert!(held.0.folder.exists());
        assert_eq!(names(cache.path()).len(), 4);
        drop((held, second));
        assert!(names(cache.path()).is_empty());
    }

    /// Each removes what others left, and nobody takes a new one for that.
    #[test]
    fn many_at_once_keep_their_own() {
        let cache = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let stage = Stage::new(cache.path()).unwrap();
                        fs::write(stage.path(), "").unwrap();
                    }
                });
            }
        });
        assert!(names(cache.path()).is_empty());
    }

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }
}
