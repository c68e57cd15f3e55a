//! Store objects as files, the way a Nix store holds them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use nix_formats::StoreDir;

use super::StoreObject;

/// A folder with store objects: files and folders that are read-only, with a modification time of one second
/// after the beginning of 1970. Objects appear in it whole or not at all.
#[derive(Debug)]
pub struct StoreFolder {
    store_dir: StoreDir,
    folder: PathBuf,
    /// For names of what is being written.
    count: AtomicU64,
}

impl StoreFolder {
    /// The folder that holds what lies in `store_dir` by name, made if it is missing. The two differ where a whole
    /// store is kept elsewhere than at its own path.
    pub fn open(store_dir: StoreDir, folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self {
            store_dir,
            folder,
            count: AtomicU64::new(0),
        })
    }

    /// Where a path of the store is.
    pub(super) fn locate(&self, path: &[u8]) -> Option<Vec<u8>> {
        let rest = path.strip_prefix(self.store_dir.as_str().as_bytes())?;
        let rest = rest.strip_prefix(b"/")?;
        let file = self.folder.join(OsStr::from_bytes(rest));
        fs::symlink_metadata(&file)
            .is_ok()
            .then(|| file.into_os_string().into_vec())
    }

    /// Writes an object unless it is there already.
    pub(super) fn put(&self, name: &[u8], object: StoreObject<'_>) -> io::Result<()> {
        let target = self.folder.join(OsStr::from_bytes(name));
        if fs::symlink_metadata(&target).is_ok() {
            return Ok(());
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let draft = self.folder.join(format!(".new-{process}-{number}"));
        let written = match object {
            StoreObject::Text { contents, .. } => write_file(&draft, contents, false),
            StoreObject::Tree { source, included } => {
                copy(Path::new(OsStr::from_bytes(source)), &draft, included)
            }
        };
        let moved = written.and_then(|()| match fs::rename(&draft, &target) {
            // Another process was faster, with the same contents.
            Err(_) if fs::symlink_metadata(&target).is_ok() => remove(&draft),
            result => result,
        });
        if moved.is_err() {
            let _ = remove(&draft);
        }
        moved
    }
}

fn write_file(path: &Path, contents: &[u8], executable: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(contents)?;
    seal(&file, if executable { 0o555 } else { 0o444 })
}

fn seal(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1))
}

fn copy(source: &Path, target: &Path, included: Option<&BTreeSet<Vec<u8>>>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(source)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(source)?, target);
    }
    if metadata.is_file() {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        return write_file(target, &regular_file::read(source)?, executable);
    }
    if !metadata.is_dir() {
        let message = format!("file '{}' has an unsupported type", source.display());
        return Err(io::Error::other(message));
    }
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        let wanted = included.is_none_or(|set| set.contains(path.as_os_str().as_bytes()));
        if let Some(name) = path.file_name().filter(|_| wanted) {
            copy(&path, &target.join(name), included)?;
        }
    }
    seal(&File::open(target)?, 0o555)
}

/// Takes away a file or folder, sealed or not.
fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    fs::remove_dir(path)
}
