//! Files, wherever they are.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use super::{EntryKind, FileType};

/// Reads files. Links on the way to a path need not be followed.
pub trait Files {
    /// The bytes of a file.
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>>;

    /// What lies at a path itself.
    fn file_type(&self, path: &[u8]) -> io::Result<FileType>;

    /// The entries of a folder, in any order.
    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>>;

    /// Where a symbolic link leads.
    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>>;
}

/// The files of this machine.
pub(super) struct Machine;

/// A single file with this text.
pub(super) struct TextFile(pub(super) Arc<[u8]>);

/// Nothing lies at the path.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn native(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

impl Files for Machine {
    /// As in Nix, nothing is in a device such as `/dev/null`, and a pipe is not waited for.
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let path = native(path);
        if fs::metadata(path)?.file_type().is_char_device() {
            return Ok(Vec::new());
        }
        regular_file::read(path)
    }

    fn file_type(&self, path: &[u8]) -> io::Result<FileType> {
        let metadata = fs::symlink_metadata(native(path))?;
        let kind = metadata.file_type();
        Ok(if kind.is_dir() {
            FileType::Directory
        } else if kind.is_symlink() {
            FileType::Symlink
        } else if kind.is_file() {
            FileType::Regular {
                executable: metadata.permissions().mode() & 0o100 != 0,
            }
        } else {
            FileType::Unknown
        })
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(native(path))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let kind = if kind.is_dir() {
                EntryKind::Directory
            } else if kind.is_symlink() {
                EntryKind::Symlink
            } else if kind.is_file() {
                EntryKind::Regular
            } else {
                EntryKind::Unknown
            };
            entries.push((entry.file_name().into_vec(), kind));
        }
        Ok(entries)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::read_link(native(path))?.into_os_string().into_vec())
    }
}

impl Files for TextFile {
    fn read_file(&self, _: &[u8]) -> io::Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }

    fn file_type(&self, _: &[u8]) -> io::Result<FileType> {
        Ok(FileType::Regular { executable: false })
    }

    fn read_dir(&self, _: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        Err(io::ErrorKind::NotADirectory.into())
    }

    fn read_link(&self, _: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::InvalidInput.into())
    }
}
