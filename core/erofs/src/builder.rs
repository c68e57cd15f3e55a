//! Building an image as a walk over its tree.

use crate::chunks::{Chunks, DeviceIndex, Extent};
use crate::directory::{Directory, check_name};
use crate::error::Error;
use crate::format::{
    BLOCK_SIZE, FileType, HOLE, MAX_DEVICES, MAX_SYMLINK_LENGTH, MAX_TAG_LENGTH, device_slot,
};
use crate::growing::Scratch;
use crate::image::Image;
use crate::inodes::{Inodes, Reference};

/// Takes a tree depth first: the root directory is open from the start, [`enter`](Self::enter) opens a directory in the one
/// that is open, [`leave`](Self::leave) closes it. Entries may come in any order; sorted by their bytes costs least.
///
/// Memory held: the image's bytes so far (64 bytes and the name's 12 more than its length for a usual file), or 8 MiB of them if
/// there is [scratch space](Self::with_scratch); and the entries of the open directories. After an error the builder is of no more
/// use.
#[derive(Debug)]
pub struct ImageBuilder {
    inodes: Inodes,
    /// The open directories, the root first.
    open: Vec<OpenDirectory>,
    device_lengths: Vec<u64>,
    device_table: Vec<u8>,
}

#[derive(Debug, Default)]
struct OpenDirectory {
    name: Vec<u8>,
    entries: Directory,
    /// The `..` of the directories in it.
    children: Vec<Reference>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// An image of an empty root directory and no extra devices.
    pub fn new() -> Self {
        Self::of(Inodes::new(None, None))
    }

    /// The same, most of whose bytes are kept in two scratch spaces, which are empty.
    pub fn with_scratch(inodes: impl Scratch + 'static, blocks: impl Scratch + 'static) -> Self {
        Self::of(Inodes::new(Some(Box::new(inodes)), Some(Box::new(blocks))))
    }

    fn of(inodes: Inodes) -> Self {
        Self {
            inodes,
            open: vec![OpenDirectory::default()],
            device_lengths: Vec::new(),
            device_table: Vec::new(),
        }
    }

    /// Adds an extra device of `length` bytes. A mount names the devices in the order in which they were added; `tag` (1 to
    /// [`MAX_TAG_LENGTH`] bytes, none zero) stands in the image for tools that look for them, and is what Linux takes as the
    /// path of a device that the mount gives no path for.
    pub fn device(&mut self, tag: &[u8], length: u64) -> Result<DeviceIndex, Error> {
        if tag.is_empty() || tag.len() > MAX_TAG_LENGTH || tag.contains(&0) {
            return Err(Error::InvalidTag { tag: tag.to_vec() });
        }
        let number = self.device_lengths.len();
        if number == MAX_DEVICES {
            return Err(Error::TooManyDevices);
        }
        // The last block number means a hole.
        let limit = u64::from(HOLE) * BLOCK_SIZE;
        if length > limit {
            return Err(Error::DeviceTooLong {
                tag: tag.to_vec(),
                length,
                limit,
            });
        }
        self.device_lengths.push(length);
        self.device_table
            .extend_from_slice(&device_slot(tag, length.div_ceil(BLOCK_SIZE) as u32));
        Ok(DeviceIndex(number as u16))
    }

    /// Opens a new directory in the open one.
    pub fn enter(&mut self, name: &[u8]) -> Result<(), Error> {
        check_name(name)?;
        self.open.push(OpenDirectory {
            name: name.to_vec(),
            ..OpenDirectory::default()
        });
        Ok(())
    }

    /// Closes the directory that was entered last. Fails if two of its entries have one name, or if only the root is open.
    pub fn leave(&mut self) -> Result<(), Error> {
        if self.open.len() < 2 {
            return Err(Error::Unbalanced);
        }
        let Some(directory) = self.open.pop() else {
            return Err(Error::Unbalanced);
        };
        let links = directory.entries.links();
        let stored = self
            .inodes
            .directory(links, &directory.entries.list()?, false);
        for child in directory.children {
            self.inodes.refer(child, stored.inode);
        }
        let parent = self.innermost()?;
        parent
            .entries
            .add(&directory.name, stored.inode, FileType::Directory)?;
        parent.children.push(stored.parent);
        Ok(())
    }

    /// Adds a regular file, whose bytes are those of `extents`, one after the other. None is an empty file. All but the last
    /// end at a multiple of [`BLOCK_SIZE`] in the file.
    ///
    /// A file of one extent takes 8 bytes of index whatever its size, one of several takes 8 bytes for each chunk; a chunk is
    /// the greatest power of two that divides the extents' ends.
    pub fn file(&mut self, name: &[u8], executable: bool, extents: &[Extent]) -> Result<(), Error> {
        check_name(name)?;
        let chunks = Chunks::cut(name, extents, &self.device_lengths)?;
        let inode = self.inodes.file(executable, &chunks);
        self.innermost()?
            .entries
            .add(name, inode, FileType::Regular)
    }

    /// Adds a symlink to `target` (1 to [`MAX_SYMLINK_LENGTH`] bytes, none zero).
    pub fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        check_name(name)?;
        if target.is_empty() || target.contains(&0) {
            return Err(Error::InvalidTarget {
                name: name.to_vec(),
                target: target.to_vec(),
            });
        }
        if target.len() > MAX_SYMLINK_LENGTH {
            return Err(Error::TargetTooLong {
                name: name.to_vec(),
                length: target.len(),
            });
        }
        let inode = self.inodes.symlink(target);
        self.innermost()?
            .entries
            .add(name, inode, FileType::Symlink)
    }

    /// The image, once every directory that was entered was left.
    pub fn finish(mut self) -> Result<Image, Error> {
        let root = match self.open.pop() {
            Some(root) if self.open.is_empty() => root,
            _ => return Err(Error::Unbalanced),
        };
        let links = root.entries.links();
        let stored = self.inodes.directory(links, &root.entries.list()?, true);
        for child in root.children {
            self.inodes.refer(child, stored.inode);
        }
        Image::new(&self.device_table, self.inodes)
    }

    fn innermost(&mut self) -> Result<&mut OpenDirectory, Error> {
        self.open.last_mut().ok_or(Error::Unbalanced)
    }
}
