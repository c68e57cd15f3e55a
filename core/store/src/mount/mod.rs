//! How a closure becomes visible as a folder: its image is mounted once, and bound to wherever it is needed.
//!
//! [`probe`] finds by trying which [`View`] the kernel and the store's file system allow. [`mount_image`] mounts a closure
//! image with its packs, [`mount_folder`] the folder of an export; [`bind`] shows a mount at another place; [`unmount`] and
//! [`detach`] take either away. [`mounted_at`] tells what the kernel has mounted at a place, [`MountTable`] all that is
//! mounted anywhere.
//!
//! Every mount has the flags `ro`, `nosuid` and `nodev`. A container runtime may clear these for its container, so what
//! pods share is a file system whose superblock is read-only: [`mount_image`] and [`mount_folder`] make such. All of it
//! needs `CAP_SYS_ADMIN`.

mod bind;
mod error;
mod filesystem;
mod folder;
mod image;
mod loops;
mod place;
mod probe;
mod system;
mod table;

pub use bind::{bind, detach, unmount};
pub use error::MountError;
pub use folder::mount_folder;
pub use image::mount_image;
pub use place::{Mounted, mounted_at};
pub use probe::{Probe, Refusal, probe};
pub use table::{Mount, MountTable};

use serde::{Deserialize, Serialize};

/// How the files of a closure get into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// The closure image and its packs are mounted as the files they are: Linux 6.12 and later.
    FileBacked {
        /// Packs are read past the page cache of their own file system, so what is read is cached once, not twice.
        direct_io: bool,
    },
    /// The closure image and its packs are mounted through loop devices.
    Loop,
    /// The closure is exported as files, for kernels without EROFS, and their folder is shown through an overlay.
    Export,
}

impl View {
    /// The name in logs and metrics: `file`, `file-direct`, `loop` or `export`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FileBacked { direct_io: false } => "file",
            Self::FileBacked { direct_io: true } => "file-direct",
            Self::Loop => "loop",
            Self::Export => "export",
        }
    }
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
