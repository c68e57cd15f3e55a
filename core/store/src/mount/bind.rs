//! Showing at one place what is at another, and taking mounts away.

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, UnmountFlags, open_tree};

use super::error::MountError;
use super::filesystem::attach;
use super::system;

/// Shows the folder `from`, with all that is mounted in it, at the folder `to` as well: read-only whatever `from` allows,
/// through and through. The new mount is private, so that nothing mounted in the one appears in the other; where `to` lies
/// in a shared mount, the new one is seen by all who share that.
///
/// Read-only here is a flag of the new mount, and a container runtime may clear it for its container. What must stay as it
/// is has a read-only superblock: bind what [`mount_image`](super::mount_image) or [`mount_folder`](super::mount_folder)
/// mounted.
///
/// It appears at `to` complete, at once; after an error nothing has changed.
pub fn bind(from: &Path, to: &Path) -> Result<(), MountError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let mount =
        open_tree(CWD, from, flags).map_err(|error| MountError::new("bind", from, error))?;
    system::restrict(&mount)
        .map_err(|error| MountError::new("make read-only a bind of", from, error))?;
    attach(&mount, to)
}

/// Takes away what is mounted at `target` topmost. Gives whether anything was: a folder that is no mount, or not there, is
/// no error. Fails with `EBUSY` while it is in use.
pub fn unmount(target: &Path) -> Result<bool, MountError> {
    take_away(target, UnmountFlags::NOFOLLOW)
}

/// As [`unmount`], but what is in use disappears from the tree at once and ends with its last user.
pub fn detach(target: &Path) -> Result<bool, MountError> {
    take_away(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
}

fn take_away(target: &Path, flags: UnmountFlags) -> Result<bool, MountError> {
    match rustix::mount::unmount(target, flags) {
        Ok(()) => Ok(true),
        // Not a mount, or not there.
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(error) => Err(MountError::new("unmount", target, error)),
    }
}
