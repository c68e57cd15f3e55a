//! The NAR of a tree that a builder left behind, as it is read.
//!
//! Nothing in it is trusted: folders are entered and files opened by one name in a folder that is open, and no symlink is
//! followed. Nothing is opened that is no file or folder.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec;

use nix_formats::nar::{MAGIC, MAX_DEPTH};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use super::error::OutputError;

/// The most files, folders and symlinks of an output: as many as a store path may have.
pub(super) const MAX_ENTRIES: u64 = 4_000_000;

/// The most entries of one folder.
pub(super) const MAX_IN_FOLDER: u64 = 1_000_000;

/// Tokens are gathered up to about this many bytes.
const GATHERED: usize = 16 << 10;

/// Something in a folder that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The folder.
    pub(super) folder: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a OsStr,
}

impl Place<'_> {
    /// What it is; of a symlink, the link.
    pub(super) fn stat(self) -> io::Result<Stat> {
        Ok(statat(self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(super) fn open_folder(self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self.folder, self.name, flags, Mode::empty())?)
    }

    /// Opens a regular file. What took its place is not waited for.
    pub(super) fn open_file(self) -> io::Result<(File, Stat)> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = openat(self.folder, self.name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no regular file any more"));
        }
        Ok((file.into(), stat))
    }
}

/// Whether its owner may execute it.
pub(super) fn is_executable(stat: &Stat) -> bool {
    stat.st_mode & 0o100 != 0
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// The names in a folder; not more than [`MAX_IN_FOLDER`].
fn names(folder: &OwnedFd, shown: &Path) -> Result<Vec<CString>, OutputError> {
    let read = |error: rustix::io::Errno| failed("read", shown, error.into());
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if names.len() as u64 >= MAX_IN_FOLDER {
            return Err(OutputError::TooManyFiles {
                path: shown.to_owned(),
                limit: MAX_IN_FOLDER,
            });
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    Ok(names)
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> OutputError {
    OutputError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Reads the NAR of a tree.
///
/// Its errors are [`OutputError`]s within an [`io::Error`].
#[derive(Debug)]
pub(super) struct TreeReader<'a> {
    root: Option<Place<'a>>,
    /// Where the last thing that was read is, for errors.
    shown: PathBuf,
    open: Vec<Folder>,
    file: Option<Contents>,
    /// Bytes to give before anything else.
    ready: Vec<u8>,
    given: usize,
    entries: u64,
}

/// A folder that was entered.
#[derive(Debug)]
struct Folder {
    folder: OwnedFd,
    names: vec::IntoIter<CString>,
}

/// The contents of a file, as far as they are still to be given.
#[derive(Debug)]
struct Contents {
    file: File,
    left: u64,
    size: u64,
}

impl<'a> TreeReader<'a> {
    /// Reads what is at `root`, which errors call `shown`.
    pub(super) fn new(root: Place<'a>, shown: &Path) -> Self {
        Self {
            root: Some(root),
            shown: shown.to_owned(),
            open: Vec::new(),
            file: None,
            ready: Vec::new(),
            given: 0,
            entries: 0,
        }
    }

    /// Gathers what comes next, up to the contents of a file or the end.
    fn gather(&mut self) -> Result<(), OutputError> {
        self.ready.clear();
        self.given = 0;
        if let Some(root) = self.root.take() {
            self.tokens(&[MAGIC.as_bytes()]);
            let entered = self.node(root, 0)?;
            self.open.extend(entered);
        }
        while self.file.is_none() && self.ready.len() < GATHERED {
            let Some(mut folder) = self.open.pop() else {
                return Ok(());
            };
            let Some(name) = folder.names.next() else {
                self.end_node(!self.open.is_empty());
                continue;
            };
            let name = OsStr::from_bytes(name.as_bytes());
            self.tokens(&[b"entry", b"(", b"name", name.as_bytes(), b"node"]);
            self.shown.push(name);
            let place = Place {
                folder: folder.folder.as_fd(),
                name,
            };
            let entered = self.node(place, self.open.len() + 1)?;
            self.open.push(folder);
            self.open.extend(entered);
        }
        Ok(())
    }

    /// Begins what is at this depth of the tree. A folder has to be entered next.
    fn node(&mut self, place: Place<'_>, depth: usize) -> Result<Option<Folder>, OutputError> {
        let action = "read";
        if depth >= MAX_DEPTH {
            return Err(OutputError::TooDeep(self.shown.clone()));
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(OutputError::TooManyFiles {
                path: self.shown.clone(),
                limit: MAX_ENTRIES,
            });
        }
        let shown = self.shown.clone();
        let stat = place
            .stat()
            .map_err(|error| failed(action, &shown, error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let opened = place.open_file();
                let (file, stat) = opened.map_err(|error| failed(action, &shown, error))?;
                self.tokens(&[b"(", b"type", b"regular"]);
                if is_executable(&stat) {
                    self.tokens(&[b"executable", b""]);
                }
                self.tokens(&[b"contents"]);
                let size = size(&stat);
                self.ready.extend_from_slice(&size.to_le_bytes());
                self.file = Some(Contents {
                    file,
                    left: size,
                    size,
                });
            }
            FileType::Directory => {
                let folder = place.open_folder();
                let folder = folder.map_err(|error| failed(action, &shown, error))?;
                let names = names(&folder, &shown)?.into_iter();
                self.tokens(&[b"(", b"type", b"directory"]);
                return Ok(Some(Folder { folder, names }));
            }
            FileType::Symlink => {
                let target = readlinkat(place.folder, place.name, Vec::new());
                let target = target.map_err(|error| failed(action, &shown, error.into()))?;
                self.tokens(&[b"(", b"type", b"symlink", b"target", target.as_bytes()]);
                self.end_node(depth > 0);
            }
            _ => return Err(OutputError::UnsupportedType(shown)),
        }
        Ok(None)
    }

    /// After a file, a symlink, or a folder that is left.
    fn end_node(&mut self, is_in_folder: bool) {
        self.tokens(&[b")"]);
        if is_in_folder {
            self.tokens(&[b")"]);
            self.shown.pop();
        }
    }

    fn tokens(&mut self, tokens: &[&[u8]]) {
        for token in tokens {
            let length = token.len() as u64;
            self.ready.extend_from_slice(&length.to_le_bytes());
            self.ready.extend_from_slice(token);
            self.pad(length);
        }
    }

    fn pad(&mut self, length: u64) {
        self.ready
            .extend_from_slice(&[0; 8][..(length.wrapping_neg() % 8) as usize]);
    }

    /// Reads contents of the file that is open, and ends it when they are all read.
    fn contents(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(contents) = &mut self.file else {
            return Ok(0);
        };
        let room = out
            .len()
            .min(usize::try_from(contents.left).unwrap_or(usize::MAX));
        let mut count = 0;
        if room > 0 {
            count = loop {
                match contents.file.read(&mut out[..room]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            if count == 0 {
                return Err(io::Error::other("it became shorter while it was read"));
            }
            contents.left -= count as u64;
        }
        if contents.left == 0 {
            let size = contents.size;
            self.file = None;
            self.ready.clear();
            self.given = 0;
            self.pad(size);
            self.end_node(!self.open.is_empty());
        }
        Ok(count)
    }
}

impl Read for TreeReader<'_> {
    /// Gives as much as fits, unless the end comes first.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < out.len() {
            if self.given < self.ready.len() {
                let rest = &self.ready[self.given..];
                let now = rest.len().min(out.len() - count);
                out[count..count + now].copy_from_slice(&rest[..now]);
                self.given += now;
                count += now;
            } else if self.file.is_some() {
                let read = self.contents(&mut out[count..]);
                count +=
                    read.map_err(|error| io::Error::other(failed("read", &self.shown, error)))?;
            } else {
                self.gather().map_err(io::Error::other)?;
                if self.ready.is_empty() && self.file.is_none() {
                    break;
                }
            }
        }
        Ok(count)
    }
}
