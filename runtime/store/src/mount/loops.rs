//! Loop devices: files as block devices.

use super::{error::MountError, system};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, open},
    io::Errno,
};
use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

const CONTROL: &str = "/dev/loop-control";

/// The free device that the kernel names may be another's by the time it is taken.
const ATTEMPTS: usize = 1000;

/// A loop device in use. It is free again when the last of those who opened it, mounts among them, has closed it.
#[derive(Debug)]
pub(super) struct LoopDevice {
    path: PathBuf,
    /// Keeps the device until a mount does.
    _open: OwnedFd,
}

impl LoopDevice {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes `file` readable as a block device of 512-byte blocks, past the page cache of its file system where that can be.
pub(super) fn attach(file: &Path) -> Result<LoopDevice, MountError> {
    let read = OFlags::RDONLY | OFlags::CLOEXEC;
    let backing =
        open(file, read, Mode::empty()).map_err(|error| MountError::new("open", file, error))?;
    let control = open(CONTROL, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| MountError::new("open", Path::new(CONTROL), error))?;
    for _ in 0..ATTEMPTS {
        let number = system::free_loop_device(&control).map_err(|error| {
            MountError::new("get a loop device from", Path::new(CONTROL), error)
        })?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = match open(&path, read, Mode::empty()) {
            Ok(device) => device,
            Err(error) => return Err(MountError::new("open", &path, error)),
        };
        match system::configure_loop_device(&device, &backing) {
            Ok(()) => {
                return Ok(LoopDevice {
                    path,
                    _open: device,
                });
            }
            Err(Errno::BUSY) => {}
            Err(error) => return Err(MountError::new("read through a loop device", file, error)),
        }
    }
    Err(MountError::NoLoopDevice(file.to_owned()))
}

/// The file behind the loop device `device`, such as `/dev/loop7`.
pub(super) fn backing_file(device: &Path) -> Option<PathBuf> {
    let name = device.strip_prefix("/dev").ok()?.to_str()?;
    if !name.starts_with("loop") {
        return None;
    }
    let mut path = std::fs::read(format!("/sys/block/{name}/loop/backing_file")).ok()?;
    if path.last() == Some(&b'\n') {
        path.pop();
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}
