//! A file system on its way to being mounted: `fsopen`, `fsconfig`, `fsmount`.
//!
//! One parameter a call: a closure has thousands of packs, and the parameter string of `mount` ends at 4,095 bytes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::error::MountError;

/// Bytes of the longest string that `fsconfig` takes.
pub(super) const MAX_STRING: usize = 255;

/// A file system that is not mounted yet.
#[derive(Debug)]
pub(super) struct NewFilesystem {
    context: OwnedFd,
    source: PathBuf,
    /// Folders and files that short names of paths go through, until the kernel has opened them.
    folders: HashMap<PathBuf, OwnedFd>,
    files: Vec<OwnedFd>,
}

impl NewFilesystem {
    /// Of the type `kind`, made from `source`: a file, a block device or a folder.
    pub(super) fn new(kind: &'static str, source: &Path) -> Result<Self, MountError> {
        if source.as_os_str().len() > MAX_STRING {
            return Err(MountError::PathTooLong(source.to_owned()));
        }
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|error| MountError::new(open_action(kind), source, error))?;
        let new = Self {
            context,
            source: source.to_owned(),
            folders: HashMap::new(),
            files: Vec::new(),
        };
        fsconfig_set_string(&new.context, "source", source)
            .map_err(|error| new.refused("mount", source, error))?;
        Ok(new)
    }

    /// Adds the next of the image's devices.
    pub(super) fn device(&mut self, path: &Path) -> Result<(), MountError> {
        let name = self.short_name(path)?;
        fsconfig_set_string(&self.context, "device", &name)
            .map_err(|error| self.refused("mount the pack", path, error))
    }

    /// Sets the lower layers of an overlay, the topmost first.
    pub(super) fn lower_layers<const N: usize>(
        &mut self,
        folders: [&Path; N],
    ) -> Result<(), MountError> {
        // By descriptors: a colon or a comma in a folder's name would be read as a separator, and the string is bounded.
        let mut names = Vec::with_capacity(N);
        for folder in folders {
            let descriptor = open_path(folder)?;
            names.push(descriptor_path(&descriptor).display().to_string());
            self.files.push(descriptor);
        }
        fsconfig_set_string(&self.context, "lowerdir", names.join(":"))
            .map_err(|error| self.refused("mount", &self.source, error))
    }

    /// Sets a parameter that has no value.
    pub(super) fn flag(&self, flag: &'static str) -> Result<(), MountError> {
        fsconfig_set_flag(&self.context, flag)
            .map_err(|error| self.refused(flag_action(flag), &self.source, error))
    }

    /// Reads the image and makes a mount of it that is nowhere yet: it goes away with the descriptor.
    pub(super) fn create(self) -> Result<OwnedFd, MountError> {
        self.flag("ro")?;
        fsconfig_create(&self.context)
            .map_err(|error| self.refused("mount", &self.source, error))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.refused("mount", &self.source, error))
    }

    /// A name for `path` that fits a parameter: the path, or one through a descriptor of this process.
    fn short_name(&mut self, path: &Path) -> Result<PathBuf, MountError> {
        if path.as_os_str().len() <= MAX_STRING {
            return Ok(path.to_owned());
        }
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            if !self.folders.contains_key(folder) {
                let descriptor = open_path(folder)?;
                self.folders.insert(folder.to_owned(), descriptor);
            }
            let short = descriptor_path(&self.folders[folder]).join(name);
            if short.as_os_str().len() <= MAX_STRING {
                return Ok(short);
            }
        }
        let file = open_path(path)?;
        let short = descriptor_path(&file);
        self.files.push(file);
        Ok(short)
    }

    /// The error with what the kernel has told about it.
    fn refused(&self, action: &'static str, path: &Path, error: Errno) -> MountError {
        // The kernel keeps eight messages of at most a line each; every read takes one.
        let mut log = Vec::new();
        let mut message = [0; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.context, &mut message) {
            let text = String::from_utf8_lossy(&message[..length]);
            // `e `, `w ` or `i ` says how bad it is.
            let text = text.split_once(' ').map_or(&*text, |(_, text)| text);
            log.push(text.trim().to_owned());
        }
        MountError::Refused {
            action,
            path: path.to_owned(),
            log,
            source: error.into(),
        }
    }
}

/// Puts a mount that is nowhere yet at `target`, an existing folder.
pub(super) fn attach(mount: &OwnedFd, target: &Path) -> Result<(), MountError> {
    move_mount(
        mount,
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|error| MountError::new("mount at", target, error))
}

fn open_path(path: &Path) -> Result<OwnedFd, MountError> {
    open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| MountError::new("open", path, error))
}

fn descriptor_path(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn open_action(kind: &'static str) -> &'static str {
    match kind {
        "overlay" => "use the file system overlay for",
        _ => "use the file system erofs for",
    }
}

fn flag_action(flag: &'static str) -> &'static str {
    match flag {
        "directio" => "use direct I/O for",
        _ => "mount read-only",
    }
}
