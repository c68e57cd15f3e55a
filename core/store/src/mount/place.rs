//! What is mounted at one place, asked of the kernel for that place alone: in the same time however much is mounted.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;

use super::error::MountError;

/// Which folder of which file system is mounted at a place. Two mounts that have this in common show the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mounted {
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// The folder's inode in it.
    pub inode: u64,
}

/// What is mounted at `path` topmost; none if it is no mount, or not there. Asks no file system anything it has to fetch.
pub fn mounted_at(path: &Path) -> Result<Option<Mounted>, MountError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let found = match statx(CWD, path, flags, StatxFlags::INO) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        found => found.map_err(|error| MountError::new("look at", path, error))?,
    };
    // Linux 5.8; mounts are made with calls of 5.12.
    Ok(found
        .stx_attributes
        .contains(StatxAttributes::MOUNT_ROOT)
        .then_some(Mounted {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mounted_is_told() {
        assert!(mounted_at(Path::new("/proc")).unwrap().is_some());
        for path in ["/proc/self", "/does/not/exist", "/proc/version/no"] {
            assert_eq!(mounted_at(Path::new(path)).unwrap(), None, "{path}");
        }
    }
}
