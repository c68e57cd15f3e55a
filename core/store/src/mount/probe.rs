//! Which view the kernel and the store's file system allow, found by trying.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use niphas_erofs::{Extent, ImageBuilder};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};

use super::View;
use super::error::MountError;
use super::image::open_image;
use super::loops::{LoopDevice, LoopDevices};

/// What [`probe`] found.
#[derive(Debug)]
pub struct Probe {
    /// The best view that works.
    pub view: View,
    /// Better ones, best first, and why each does not.
    pub refused: Vec<Refusal>,
}

/// A view that does not work here.
#[derive(Debug)]
pub struct Refusal {
    /// The view.
    pub view: View,
    /// Why not.
    pub error: MountError,
}

const VIEWS: [View; 3] = [
    View::FileBacked { direct_io: true },
    View::FileBacked { direct_io: false },
    View::Loop,
];

/// A file that starts past the pack's start, ends within a block, and is not all of the pack.
const OFFSET: u64 = 1024;
const LENGTH: usize = 5000;
const PACK_LENGTH: u64 = 8192;

/// Loop devices at once, besides those of the sample: a closure has one for each pack, and the kernel makes 8 at its start.
const LOOP_DEVICES: usize = 16;

/// Tries the views, best first, with a tiny closure image in `folder`: one of the store's, for what works depends on its
/// file system too. Each is mounted where no other process sees it, and a file is read through it. Leaves nothing behind.
///
/// Fails only if the image cannot be written to `folder`.
pub fn probe(folder: &Path) -> Result<Probe, MountError> {
    let sample = Sample::write(folder)?;
    let mut refused = Vec::new();
    for view in VIEWS {
        match sample.read_through(view) {
            Ok(()) => return Ok(Probe { view, refused }),
            Err(error) => refused.push(Refusal { view, error }),
        }
    }
    Ok(Probe {
        view: View::Export,
        refused,
    })
}

/// An image with one pack, removed when dropped.
struct Sample {
    image: PathBuf,
    pack: PathBuf,
}

impl Sample {
    fn write(folder: &Path) -> Result<Self, MountError> {
        let path = |kind: &str| folder.join(format!("probe-{}.{kind}", std::process::id()));
        let sample = Self {
            image: path("erofs"),
            pack: path("pack"),
        };
        let write = |path: &Path, bytes: &[u8]| {
            fs::write(path, bytes).map_err(|error| MountError::new("write", path, error))
        };
        let mut pack = vec![0; PACK_LENGTH as usize];
        pack[OFFSET as usize..][..LENGTH].copy_from_slice(&contents());
        write(&sample.pack, &pack)?;
        write(
            &sample.image,
            &image().map_err(|error| MountError::new("make", &sample.image, error))?,
        )?;
        Ok(sample)
    }

    fn read_through(&self, view: View) -> Result<(), MountError> {
        let _others = match view {
            View::Loop => self.loop_devices()?,
            _ => Vec::new(),
        };
        let mount = open_image(&self.image, std::slice::from_ref(&self.pack), view)?;
        let read = read(&mount)
            .map_err(|error| MountError::new("read through a mount", &self.pack, error))?;
        if read == contents() {
            Ok(())
        } else {
            let error = io::Error::other("what is read is not what was written");
            Err(MountError::new("read through a mount", &self.pack, error))
        }
    }

    fn loop_devices(&self) -> Result<Vec<LoopDevice>, MountError> {
        let loops = LoopDevices::open()?;
        (0..LOOP_DEVICES)
            .map(|_| loops.attach(&self.pack))
            .collect()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // What could not be removed lies in a folder that is emptied at the next start.
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_file(&self.pack);
    }
}

fn image() -> io::Result<Vec<u8>> {
    let mut image = ImageBuilder::new();
    let pack = image
        .device(b"pack", PACK_LENGTH)
        .map_err(io::Error::other)?;
    image
        .file(b"file", false, &[Extent::data(LENGTH as u64, pack, OFFSET)])
        .map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    image
        .finish()
        .map_err(io::Error::other)?
        .write_to(&mut bytes)?;
    Ok(bytes)
}

fn contents() -> Vec<u8> {
    (0..LENGTH).map(|number| (number % 251) as u8).collect()
}

fn read(mount: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = openat(
        mount,
        "file",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}
