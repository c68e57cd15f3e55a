//! The directories of a tree that is being written.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat,
    openat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::{Budget, Limits, TreeError, TreeFile};

/// The modes and times that a tree gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// Directories and executables 0755, other files 0644, less the umask; times as they come.
    Writable,
    /// As in Nix's store: directories and executables 0555, other files 0444, times one second after the epoch.
    Store,
}

impl Modes {
    /// The mode that a file gets once it is whole, if it was not created with it.
    pub(crate) fn of_file(self, executable: bool) -> Option<u32> {
        match (self, executable) {
            (Self::Writable, false) => None,
            (Self::Writable, true) => Some(0o755),
            (Self::Store, false) => Some(0o444),
            (Self::Store, true) => Some(0o555),
        }
    }
}

const fn second(tv_sec: i64) -> Timespec {
    Timespec { tv_sec, tv_nsec: 0 }
}

pub(crate) const TIMES: Timestamps = Timestamps {
    last_access: second(1),
    last_modification: second(1),
};

/// Writes one tree, driven by the caller: [`file`](Self::file), [`symlink`](Self::symlink), and for each directory
/// [`enter`](Self::enter), what is in it, and [`leave`](Self::leave).
///
/// What was written before an error stays, for the caller to remove.
#[derive(Debug)]
pub struct TreeWriter {
    /// The directories that are open, the tree's root first.
    open: Vec<OwnedFd>,
    /// The path of the last of them, for messages.
    place: PathBuf,
    modes: Modes,
    budget: Budget,
}

impl TreeWriter {
    /// A writer of the tree `root`, a folder that is empty or does not exist yet. The folder that it lies in must be the
    /// caller's own.
    pub fn new(root: &Path, modes: Modes, limits: Limits) -> Result<Self, TreeError> {
        let failed = |action| {
            move |error: Errno| TreeError::Io {
                action,
                path: root.to_owned(),
                source: error.into(),
            }
        };
        match mkdirat(CWD, root, Mode::from_raw_mode(0o755)) {
            Err(error) if error != Errno::EXIST => return Err(failed("create")(error)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, root, flags, Mode::empty()).map_err(failed("open"))?;
        let entries = Dir::read_from(&directory).map_err(failed("read"))?;
        for entry in entries {
            let entry = entry.map_err(failed("read"))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Err(TreeError::NotEmpty(root.to_owned()));
            }
        }
        Ok(Self {
            open: vec![directory],
            place: root.to_owned(),
            modes,
            budget: Budget::new(limits),
        })
    }

    /// Creates a directory in the one that is open, and opens it.
    pub fn enter(&mut self, name: &[u8]) -> Result<(), TreeError> {
        self.check(name)?;
        self.budget.check_depth(self.open.len() + 1)?;
        mkdirat(self.last(), name, Mode::from_raw_mode(0o755))
            .map_err(|error| self.failed("create", name, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(self.last(), name, flags, Mode::empty())
            .map_err(|error| self.failed("open", name, error))?;
        self.open.push(directory);
        self.place.push(OsStr::from_bytes(name));
        Ok(())
    }

    /// Ends the directory that is open.
    ///
    /// # Panics
    ///
    /// If it is the tree's root, which [`finish`](Self::finish) ends.
    pub fn leave(&mut self) -> Result<(), TreeError> {
        assert!(self.open.len() > 1, "the root has no parent to go on with");
        self.seal()?;
        self.open.pop();
        self.place.pop();
        Ok(())
    }

    /// Creates a symlink to `target`, which may be anything: nothing follows it here.
    pub fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), TreeError> {
        self.check(name)?;
        symlinkat(target, self.last(), name)
            .map_err(|error| self.failed("create the symlink", name, error))?;
        if self.modes == Modes::Store {
            utimensat(self.last(), name, &TIMES, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.failed("change the time of", name, error))?;
        }
        Ok(())
    }

    /// Creates a file of `size` bytes, whose contents the caller writes.
    pub fn file(
        &mut self,
        name: &[u8],
        executable: bool,
        size: u64,
    ) -> Result<TreeFile, TreeError> {
        self.check(name)?;
        self.budget.take_bytes(size)?;
        self.create(name, executable, size)
    }

    fn create(&self, name: &[u8], executable: bool, size: u64) -> Result<TreeFile, TreeError> {
        let mode = match self.modes {
            Modes::Writable => 0o644,
            Modes::Store => 0o600,
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(self.last(), name, flags, Mode::from_raw_mode(mode))
            .map_err(|error| self.failed("create", name, error))?;
        Ok(TreeFile {
            file: File::from(file),
            path: self.place.join(OsStr::from_bytes(name)),
            modes: self.modes,
            executable,
            size,
            offset: 0,
            end: 0,
        })
    }

    /// Gives a file that lies in the directory open in `from` a second name here. It counts as if it were written again. Where
    /// the file system can't link it, it is copied.
    pub fn link(
        &mut self,
        name: &[u8],
        from: &Self,
        source: &[u8],
        executable: bool,
    ) -> Result<(), TreeError> {
        let failed = |error| from.failed("open", source, error);
        let stat = statat(from.last(), source, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.check(name)?;
        self.budget.take_bytes(size)?;
        match linkat(from.last(), source, self.last(), name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let contents = openat(from.last(), source, flags, Mode::empty()).map_err(failed)?;
                let mut copy = self.create(name, executable, size)?;
                copy.copy_from(&mut File::from(contents))?;
                copy.finish()
            }
            Err(error) => Err(self.failed("create", name, error)),
        }
    }

    /// Ends the tree.
    ///
    /// # Panics
    ///
    /// If a directory is open.
    pub fn finish(self) -> Result<(), TreeError> {
        assert!(self.open.len() == 1, "a directory is still open");
        self.seal()
    }

    fn last(&self) -> &OwnedFd {
        self.open.last().expect("the root stays open")
    }

    /// Counts an entry whose name is a single component.
    fn check(&mut self, name: &[u8]) -> Result<(), TreeError> {
        let is_valid = !matches!(name, b"" | b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, b'/' | 0));
        if !is_valid {
            return Err(TreeError::Name {
                folder: self.place.clone(),
                name: String::from_utf8_lossy(name).into_owned(),
            });
        }
        self.budget.take_entry()
    }

    /// Gives the directory that is open the mode and time that it keeps.
    fn seal(&self) -> Result<(), TreeError> {
        if self.modes == Modes::Writable {
            return Ok(());
        }
        let failed = |action| {
            move |error: Errno| TreeError::Io {
                action,
                path: self.place.clone(),
                source: error.into(),
            }
        };
        fchmod(self.last().as_fd(), Mode::from_raw_mode(0o555))
            .map_err(failed("change the mode of"))?;
        futimens(self.last().as_fd(), &TIMES).map_err(failed("change the time of"))
    }

    fn failed(&self, action: &'static str, name: &[u8], error: Errno) -> TreeError {
        let path = self.place.join(OsStr::from_bytes(name));
        if error == Errno::EXIST {
            return TreeError::Repeated(path);
        }
        TreeError::Io {
            action,
            path,
            source: error.into(),
        }
    }
}
