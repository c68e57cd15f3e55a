//! Loop devices: files as block devices.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat, open, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::error::MountError;
use super::system;

/// The file that hands out loop devices: a character device of this number (the kernel's `admin-guide/devices.txt`).
const CONTROL: &str = "loop-control";
const CONTROL_NUMBER: (u32, u32) = (10, 237);

/// The number of the driver of loop devices.
const MAJOR: u32 = 7;

/// The free device that the kernel names may be another's by the time it is taken.
const ATTEMPTS: usize = 1000;

/// Hands out loop devices.
///
/// It makes the device files itself, in a tmpfs that is mounted nowhere: a container's `/dev` has those that the node had
/// when the container began, and the kernel makes more as they are needed.
#[derive(Debug)]
pub(super) struct LoopDevices {
    folder: OwnedFd,
    control: OwnedFd,
}

/// A loop device in use. It is free again when the last of those who opened it, mounts among them, has closed it.
#[derive(Debug)]
pub(super) struct LoopDevice {
    path: PathBuf,
    /// Keeps the device until a mount does, and the path.
    _open: OwnedFd,
}

impl LoopDevice {
    /// A name for it in this process, as long as it is not dropped.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl LoopDevices {
    pub(super) fn open() -> Result<Self, MountError> {
        let failed = |error| MountError::new("make a folder for", Path::new(CONTROL), error);
        let folder = device_folder().map_err(failed)?;
        let control = make_device(&folder, CONTROL, FileType::CharacterDevice, CONTROL_NUMBER)
            .and_then(|()| {
                openat(
                    &folder,
                    CONTROL,
                    OFlags::RDWR | OFlags::CLOEXEC,
                    Mode::empty(),
                )
            })
            .map_err(|error| MountError::new("open", Path::new(CONTROL), error))?;
        Ok(Self { folder, control })
    }

    /// Makes `file` readable as a block device of 512-byte blocks, past the page cache of its file system where that can be.
    pub(super) fn attach(&self, file: &Path) -> Result<LoopDevice, MountError> {
        let backing = open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| MountError::new("open", file, error))?;
        for _ in 0..ATTEMPTS {
            let number = system::free_loop_device(&self.control).map_err(|error| {
                MountError::new("get a loop device from", Path::new(CONTROL), error)
            })?;
            let name = format!("loop{number}");
            let taken = self.device(&name).and_then(|device| {
                system::configure_loop_device(&device, &backing).map(|()| device)
            });
            match taken {
                Ok(device) => {
                    return Ok(LoopDevice {
                        path: PathBuf::from(format!("/proc/self/fd/{}", device.as_raw_fd())),
                        _open: device,
                    });
                }
                // Another took it, or removed it.
                Err(Errno::BUSY | Errno::NXIO | Errno::NOENT) => {}
                Err(error) => {
                    return Err(MountError::new("read through a loop device", file, error));
                }
            }
        }
        Err(MountError::NoLoopDevice(file.to_owned()))
    }

    fn device(&self, name: &str) -> Result<OwnedFd, Errno> {
        // The minor number is not the device's own where the kernel looks for partitions.
        let number = std::fs::read_to_string(format!("/sys/block/{name}/dev"))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let (major, minor) = number.trim_end().split_once(':').ok_or(Errno::IO)?;
        let number = (
            major.parse().map_err(|_| Errno::IO)?,
            minor.parse().map_err(|_| Errno::IO)?,
        );
        make_device(&self.folder, name, FileType::BlockDevice, number)?;
        openat(
            &self.folder,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }
}

/// A folder whose device files work, which those of another file system may not.
fn device_folder() -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "size", "1m")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn make_device(
    folder: &OwnedFd,
    name: &str,
    kind: FileType,
    (major, minor): (u32, u32),
) -> Result<(), Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    match mknodat(folder, name, kind, mode, makedev(major, minor)) {
        // Made for an earlier attempt; a loop device's number stays.
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// The file behind the block device of this number, if it is a loop device in use.
pub(super) fn backing_file((major, minor): (u32, u32)) -> Option<PathBuf> {
    if major != MAJOR {
        return None;
    }
    let mut path =
        std::fs::read(format!("/sys/dev/block/{major}:{minor}/loop/backing_file")).ok()?;
    if path.last() == Some(&b'\n') {
        path.pop();
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}
