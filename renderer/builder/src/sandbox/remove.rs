//! Removing what a builder left: folders without permissions, of any depth and any number of entries.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, chmodat, fchmod, fstat, openat,
    renameat_with, unlinkat,
};
use rustix::io::Errno;

/// Folders that are open at a time. What lies deeper is moved up first.
const MAX_DEPTH: usize = 32;

/// Removes a folder and all in it. No process may change it meanwhile, or it fails; symlinks are not followed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = open(CWD, path.as_os_str().as_encoded_bytes())?;
    let mut moved = Moved {
        top: &top,
        count: 0,
    };
    empty(&top, 0, &mut moved)?;
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Folders that were moved into the first one.
struct Moved<'a> {
    top: &'a OwnedFd,
    count: u64,
}

/// Removes all in a folder, but for what is too deep: that is moved to the first one, which meets it again.
fn empty(folder: &OwnedFd, depth: usize, moved: &mut Moved<'_>) -> io::Result<()> {
    loop {
        let mut is_changed = false;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let is_folder = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => match unlinkat(folder, name, AtFlags::empty()) {
                    Ok(()) => false,
                    Err(Errno::ISDIR | Errno::PERM) => true,
                    Err(error) => return Err(error.into()),
                },
                _ => {
                    unlinkat(folder, name, AtFlags::empty())?;
                    false
                }
            };
            if is_folder {
                remove_folder(folder.as_fd(), &name.to_owned(), depth, moved)?;
            }
            is_changed = true;
        }
        // Some file systems pass entries over while others are removed.
        if !is_changed {
            return Ok(());
        }
    }
}

fn remove_folder(
    parent: BorrowedFd<'_>,
    name: &CString,
    depth: usize,
    moved: &mut Moved<'_>,
) -> io::Result<()> {
    if unlinkat(parent, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    let folder = open(parent, name.as_bytes())?;
    if depth >= MAX_DEPTH {
        loop {
            let to = format!("moved-{}", moved.count);
            moved.count += 1;
            match renameat_with(parent, name, moved.top, to, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return Ok(other?),
            }
        }
    }
    empty(&folder, depth + 1, moved)?;
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Opens a folder, and gives its owner all permissions.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // The path was opened as a folder by its parent's entry, and no process is left to put a symlink in its place.
            chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    if !Mode::from_raw_mode(fstat(&folder)?.st_mode).contains(Mode::RWXU) {
        fchmod(&folder, Mode::RWXU)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn a_tree_of_any_depth_without_permissions_is_removed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tree");
        fs::create_dir(&path)?;
        let mut inner = open(CWD, path.as_os_str().as_encoded_bytes())?;
        for number in 0..200 {
            let name = format!("moved-{}", number % 3);
            mkdirat(&inner, name.as_str(), Mode::RWXU)?;
            mkdirat(&inner, "beside", Mode::RUSR)?;
            inner = open(inner.as_fd(), name.as_bytes())?;
        }
        let outside = folder.path().join("outside");
        fs::write(&outside, "stays")?;
        symlink(&outside, path.join("link"))?;
        symlink(folder.path(), path.join("folder-link"))?;
        let closed = path.join("closed");
        fs::create_dir_all(closed.join("within"))?;
        fs::write(closed.join("within/file"), "")?;
        fs::set_permissions(closed.join("within"), Permissions::from_mode(0o555))?;
        fs::set_permissions(&closed, Permissions::from_mode(0o000))?;

        remove_tree(&path)?;
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(outside)?, "stays");
        Ok(())
    }

    #[test]
    fn what_is_no_folder_is_not_removed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let link = folder.path().join("link");
        symlink(folder.path(), &link)?;
        assert!(remove_tree(&link).is_err());
        assert!(link.is_symlink());
        Ok(())
    }
}
