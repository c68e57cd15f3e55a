//! Showing a folder through a file system that cannot be written to.

use std::path::Path;

use rustix::fd::OwnedFd;

use super::error::MountError;
use super::filesystem::{NewFilesystem, attach};

/// Shows the folder `from` at `target`, an existing empty folder, through a file system of its own: overlayfs with lower
/// layers only.
///
/// Its superblock is read-only, and the kernel refuses to change that. A mount that is read-only by its flags alone, such
/// as a bind, becomes writable where a container runtime clears the flag: runc 1.2 and later do that for volume mounts
/// without `readOnly`.
///
/// A process that may write to `from` itself still changes what is seen at `target`.
pub fn mount_folder(from: &Path, target: &Path) -> Result<(), MountError> {
    attach(&open_folder(from, target)?, target)
}

/// As [`mount_folder`], but the mount is nowhere and goes away with the descriptor. `empty` is an empty folder: before
/// Linux 6.5, overlayfs without an upper layer wants two lower ones.
pub(super) fn open_folder(from: &Path, empty: &Path) -> Result<OwnedFd, MountError> {
    let read = |error| MountError::new("read", empty, error);
    if std::fs::read_dir(empty).map_err(read)?.next().is_some() {
        let error = std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty);
        return Err(MountError::new("mount at", empty, error));
    }
    let mut filesystem = NewFilesystem::new("overlay", from)?;
    filesystem.lower_layers([from, empty])?;
    filesystem.create()
}
