//! Scratch folders: where builds happen, one folder each.
//!
//! A folder is locked by the program and by the supervisor, so that a later run knows which ones nothing uses any more.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{getegid, geteuid};

use super::files::BUILD;
use super::remove::remove_tree;

const PREFIX: &str = "build-";
const KEPT_PREFIX: &str = "kept-";

/// A scratch folder of this program. It is not removed when the value is dropped: call [`remove`](Self::remove).
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a folder in `parent`, which exists, and in which no other user may write.
    pub fn new(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            // A run that sweeps the parent may have taken it for one that was left behind.
            match lock(&path) {
                Ok(lock) if path.exists() => return Ok(Self { path, _lock: lock }),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder with all that the builder left.
    pub fn remove(self) -> io::Result<()> {
        remove_tree(&self.path)
    }

    /// Removes all but the folder that was [`BUILD_DIR`](crate::BUILD_DIR), and gives that folder, where no sweep removes it.
    /// It belongs to the calling user; what is in it, to the builder's.
    pub fn keep_build_dir(self) -> io::Result<PathBuf> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kept = self
            .path
            .with_file_name(name.replacen(PREFIX, KEPT_PREFIX, 1));
        DirBuilder::new().mode(0o755).create(&kept)?;
        let from = self.path.join(BUILD);
        let to = kept.join(BUILD);
        chown(&from, Some(geteuid().as_raw()), Some(getegid().as_raw()))?;
        fs::set_permissions(&from, Permissions::from_mode(0o755))?;
        fs::rename(&from, &to)?;
        remove_tree(&self.path)?;
        Ok(to)
    }
}

/// Removes the scratch folders in `parent` that no program and no builder uses any more: a run that was killed left them.
/// Gives how many there were.
pub fn sweep(parent: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
            || !entry.file_type()?.is_dir()
        {
            continue;
        }
        let path = entry.path();
        let is_left = File::open(&path)
            .is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if is_left {
            remove_tree(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Locks a folder with all others that use it.
pub(super) fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    flock(&file, FlockOperation::LockShared)?;
    Ok(file)
}
