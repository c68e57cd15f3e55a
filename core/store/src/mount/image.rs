//! Mounting closure images.

use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;

use super::View;
use super::error::MountError;
use super::filesystem::{NewFilesystem, attach};
use super::loops::LoopDevices;

/// Mounts the closure image `image` at `target`, an existing folder, with the packs `devices` in the order of the image's
/// table. The source that the mount table shows is `image` or, through loop devices, a name that means nothing later:
/// [`Mount::image`](super::Mount::image) tells the image of either.
///
/// A pack must reach to the end of the last block (of 512 bytes) that has contents: a loop device has whole blocks only.
///
/// Each call makes a file system of its own with a page cache of its own: mount a closure once, then [`bind`](super::bind).
/// The mount outlives the process. After an error nothing is mounted.
pub fn mount_image(
    image: &Path,
    devices: &[PathBuf],
    view: View,
    target: &Path,
) -> Result<(), MountError> {
    attach(&open_image(image, devices, view)?, target)
}

/// As [`mount_image`], but the mount is nowhere and goes away with the descriptor.
pub(super) fn open_image(
    image: &Path,
    devices: &[PathBuf],
    view: View,
) -> Result<OwnedFd, MountError> {
    match view {
        View::FileBacked { direct_io } => {
            let mut filesystem = NewFilesystem::new("erofs", image)?;
            for device in devices {
                filesystem.device(device)?;
            }
            if direct_io {
                filesystem.flag("directio")?;
            }
            filesystem.create()
        }
        View::Loop => {
            // Each goes away with its last user, which is the mount once it is made.
            let loops = LoopDevices::open()?;
            let image_device = loops.attach(image)?;
            let mut filesystem = NewFilesystem::new("erofs", image_device.path())?;
            let mut attached = Vec::with_capacity(devices.len());
            for device in devices {
                let device = loops.attach(device)?;
                filesystem.device(device.path())?;
                attached.push(device);
            }
            filesystem.create()
        }
        View::Export => Err(MountError::NotMountable(image.to_owned())),
    }
}
