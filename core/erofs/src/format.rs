//! The structures on disk. All numbers are little-endian.

/// Bytes of a block. Offsets of extents are multiples of it.
pub const BLOCK_SIZE: u64 = 512;
/// Extra devices an image can have: chunk indexes name them with 16 bits, 0 being the image itself.
pub const MAX_DEVICES: usize = 65_535;
/// Bytes of the name of a directory entry.
pub const MAX_NAME_LENGTH: usize = 255;
/// Bytes of the target of a symlink: Linux's `PATH_MAX` less the zero byte at its end.
pub const MAX_SYMLINK_LENGTH: usize = 4095;
/// Bytes of the tag of a device.
pub const MAX_TAG_LENGTH: usize = 64;

pub(crate) const BLOCK_BITS: u8 = BLOCK_SIZE.trailing_zeros() as u8;
/// [`BLOCK_SIZE`] for lengths in memory.
pub(crate) const BLOCK: usize = BLOCK_SIZE as usize;
/// Inodes start at multiples of this; their number is how many slots lie before them.
pub(crate) const SLOT: usize = 32;

pub(crate) const SUPERBLOCK_OFFSET: usize = 1024;
pub(crate) const SUPERBLOCK_SIZE: usize = 128;
pub(crate) const DEVICE_SLOT: usize = 128;
pub(crate) const DEVICE_TABLE_OFFSET: usize = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;

/// The block number that stands for zeros.
pub(crate) const HOLE: u32 = u32::MAX;
/// Chunks of 2³¹ blocks are the greatest that the index's format tells.
pub(crate) const MAX_CHUNK_BITS: u32 = 31;

/// Modification time of everything, in seconds.
const MTIME: u64 = 1;

const MAGIC: u32 = 0xe0f5_e1e2;
const COMPAT_SUPERBLOCK_CHECKSUM: u32 = 1;
const COMPAT_MTIME: u32 = 2;
const INCOMPAT_CHUNKED_FILE: u32 = 4;
const INCOMPAT_DEVICE_TABLE: u32 = 8;
/// In the format of a chunk-based inode: indexes of 8 bytes that name a device, not bare block numbers.
const CHUNK_INDEXES: u16 = 0x20;

/// What a directory entry says of the type of its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Regular = 1,
    Directory = 2,
    Symlink = 7,
}

/// Where the bytes of an inode are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All in blocks of the image, from this one on.
    Plain(u32),
    /// The whole blocks in the image from this one on, the rest right after the inode.
    Inline(u32),
    /// In chunks of this many blocks (as a power of two), one index each right after the inode.
    Chunks(u32),
}

/// An inode before it has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) mode: u16,
    pub(crate) links: u32,
    pub(crate) size: u64,
    pub(crate) layout: Layout,
}

impl Inode {
    /// Bytes on disk: numbers that do not fit the compact form take the extended one.
    pub(crate) fn length(&self) -> usize {
        if self.is_compact() { 32 } else { 64 }
    }

    fn is_compact(&self) -> bool {
        u32::try_from(self.size).is_ok() && u16::try_from(self.links).is_ok()
    }

    /// Writes the inode to the first [`length`](Self::length) bytes of `to`. `serial` only serves programs of 32 bits.
    pub(crate) fn encode(&self, serial: u32, to: &mut [u8]) {
        let (layout, place) = match self.layout {
            Layout::Plain(block) => (0, block),
            Layout::Inline(block) => (2, block),
            Layout::Chunks(bits) => (4, u32::from(CHUNK_INDEXES | bits as u16)),
        };
        let compact = self.is_compact();
        let format: u16 = u16::from(!compact) | layout << 1;
        put(to, 0, &format.to_le_bytes());
        put(to, 4, &self.mode.to_le_bytes());
        if compact {
            put(to, 6, &(self.links as u16).to_le_bytes());
            put(to, 8, &(self.size as u32).to_le_bytes());
            put(to, 16, &place.to_le_bytes());
            put(to, 20, &serial.to_le_bytes());
        } else {
            put(to, 8, &self.size.to_le_bytes());
            put(to, 16, &place.to_le_bytes());
            put(to, 20, &serial.to_le_bytes());
            put(to, 32, &MTIME.to_le_bytes());
            put(to, 44, &self.links.to_le_bytes());
        }
    }
}

/// Offset of the number of an inode's first block, in both forms.
pub(crate) const INODE_BLOCK_OFFSET: usize = 16;

/// One chunk's place: device 0 is the image itself, extra devices follow.
pub(crate) fn chunk_index(device: u16, block: u32) -> [u8; 8] {
    let mut index = [0; 8];
    put(&mut index, 2, &device.to_le_bytes());
    put(&mut index, 4, &block.to_le_bytes());
    index
}

pub(crate) fn device_slot(tag: &[u8], blocks: u32) -> [u8; DEVICE_SLOT] {
    let mut slot = [0; DEVICE_SLOT];
    put(&mut slot, 0, tag);
    put(&mut slot, MAX_TAG_LENGTH, &blocks.to_le_bytes());
    slot
}

/// What the superblock tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Superblock {
    pub(crate) root: u16,
    pub(crate) inodes: u64,
    pub(crate) blocks: u32,
    pub(crate) inode_block: u32,
    pub(crate) uuid: [u8; 16],
    pub(crate) devices: u16,
}

impl Superblock {
    /// The superblock with its checksum still 0, see [`seal`].
    pub(crate) fn encode(&self) -> [u8; SUPERBLOCK_SIZE] {
        let mut bytes = [0; SUPERBLOCK_SIZE];
        let to = &mut bytes[..];
        let mut incompatible = INCOMPAT_CHUNKED_FILE;
        if self.devices > 0 {
            incompatible |= INCOMPAT_DEVICE_TABLE;
            put(to, 86, &self.devices.to_le_bytes());
            put(
                to,
                88,
                &((DEVICE_TABLE_OFFSET / DEVICE_SLOT) as u16).to_le_bytes(),
            );
        }
        put(to, 0, &MAGIC.to_le_bytes());
        put(
            to,
            8,
            &(COMPAT_SUPERBLOCK_CHECKSUM | COMPAT_MTIME).to_le_bytes(),
        );
        to[12] = BLOCK_BITS;
        put(to, 14, &self.root.to_le_bytes());
        put(to, 16, &self.inodes.to_le_bytes());
        // Compact inodes have no time of their own but this one.
        put(to, 24, &MTIME.to_le_bytes());
        put(to, 36, &self.blocks.to_le_bytes());
        put(to, 40, &self.inode_block.to_le_bytes());
        put(to, 48, &self.uuid);
        put(to, 80, &incompatible.to_le_bytes());
        bytes
    }
}

/// Sets the checksum in `block`, which starts with the superblock: the CRC-32C of all the block without the last inversion.
pub(crate) fn seal(block: &mut [u8; BLOCK]) {
    put(block, 4, &[0; 4]);
    let sum = !crc32c::crc32c(block);
    put(block, 4, &sum.to_le_bytes());
}

/// Copies `bytes` to `offset` of `to`.
pub(crate) fn put(to: &mut [u8], offset: usize, bytes: &[u8]) {
    to[offset..offset + bytes.len()].copy_from_slice(bytes);
}
