//! EROFS images that hold metadata only: directories, symlinks and the sizes, modes and places of regular files. The bytes
//! of the files lie in other files or block devices, the image's *extra devices*, at the byte offsets the image names.
//!
//! [`ImageBuilder`] takes a tree as a walk over it, depth first, and [`Image`] writes the bytes. Nothing here opens a file,
//! and the same calls give the same bytes: no clock, no random number. Building takes time and memory linear in the number
//! of files, whatever their sizes.
//!
//! ```
//! use niphas_erofs::{Extent, ImageBuilder};
//!
//! let mut image = ImageBuilder::new();
//! let pack = image.device(b"0000000000000001", 4096)?;
//! image.enter(b"store")?;
//! image.file(b"greeting", false, &[Extent::data(12, pack, 512)])?;
//! image.leave()?;
//! image.symlink(b"root", b"store/greeting")?;
//! let mut bytes = Vec::new();
//! image.finish()?.write_to(&mut bytes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All metadata is what Nix calls canonical: owner and group 0, modification time 1 second after the epoch, directories
//! 0555, files 0444 or 0555, symlinks 0777.
//!
//! # The format
//!
//! As told by the kernel's `Documentation/filesystems/erofs.rst` and the structures of `fs/erofs/erofs_fs.h` (which is
//! GPL-2.0 or Apache-2.0). An image of ours has, in this order:
//!
//! | | |
//! |---|---|
//! | bytes 0–1023 | zeros |
//! | bytes 1024–1151 | the superblock, with the CRC-32C of the 512 bytes that start with it |
//! | from byte 1152 | the device table, 128 bytes a device |
//! | from the next block | inodes, in slots of 32 bytes; after an inode its chunk indexes, or the tail of its directory or symlink |
//! | then | whole blocks of directories and of long symlinks |
//!
//! Blocks are 512 bytes, which Linux reads since 6.4; extra devices in plain files need Linux 6.12, in block devices 5.16.

mod builder;
mod chunks;
mod directory;
mod error;
mod format;
mod growing;
mod image;
mod inodes;

pub use builder::ImageBuilder;
pub use chunks::{DeviceIndex, Extent};
pub use error::Error;
pub use format::{BLOCK_SIZE, MAX_DEVICES, MAX_NAME_LENGTH, MAX_SYMLINK_LENGTH, MAX_TAG_LENGTH};
pub use growing::Scratch;
pub use image::Image;
