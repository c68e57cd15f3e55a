//! The inodes of an image with what stands right after each, and the blocks of what does not fit there.

use crate::chunks::Chunks;
use crate::directory::Listing;
use crate::format::{BLOCK, INODE_BLOCK_OFFSET, Inode, Layout, SLOT};
use crate::growing::{Growing, Scratch};

const SLOTS_OF_A_BLOCK: usize = BLOCK / SLOT;

/// The root's number. It is asked for last and must be below 2¹⁶, so the first block is kept for it; 0 would be taken for no
/// inode at all by programs that read directories.
pub(crate) const ROOT: u64 = 1;
const ROOT_SLOTS: usize = SLOTS_OF_A_BLOCK - ROOT as usize;

/// Bytes of the extended form.
const MAX_INODE: usize = 64;

const DIRECTORY_MODE: u16 = 0o040_555;
const FILE_MODE: u16 = 0o100_444;
const EXECUTABLE_MODE: u16 = 0o100_555;
const SYMLINK_MODE: u16 = 0o120_777;

/// All inodes so far.
#[derive(Debug)]
pub(crate) struct Inodes {
    slots: Growing,
    blocks: Growing,
    /// The offsets in `slots` of the inodes whose contents start in `blocks`, and at which block there.
    relocations: Vec<(usize, u32)>,
    /// Runs of free slots at the ends of blocks, by their length.
    gaps: [Vec<usize>; SLOTS_OF_A_BLOCK],
    count: u64,
}

/// The bytes of an image from its first inode on.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) slots: Growing,
    pub(crate) blocks: Growing,
    pub(crate) inodes: u64,
}

/// A byte of what was stored as an inode's contents.
#[derive(Debug, Clone, Copy)]
enum Position {
    AfterInode(usize),
    InBlocks(usize),
}

/// Where the number of an inode is still to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference(Position);

/// What a directory became.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredDirectory {
    pub(crate) inode: u64,
    /// Its `..`.
    pub(crate) parent: Reference,
}

/// Contents that lie in the image, of a directory or symlink.
#[derive(Debug, Clone, Copy)]
struct StoredBytes {
    inode: u64,
    /// How many of the bytes are in blocks, and where those start.
    in_blocks: usize,
    blocks_start: usize,
    tail_start: usize,
}

impl StoredBytes {
    fn position(&self, offset: usize) -> Position {
        if offset < self.in_blocks {
            Position::InBlocks(self.blocks_start + offset)
        } else {
            Position::AfterInode(self.tail_start + offset - self.in_blocks)
        }
    }
}

impl Inodes {
    pub(crate) fn new(slots: Option<Box<dyn Scratch>>, blocks: Option<Box<dyn Scratch>>) -> Self {
        let (mut slots, blocks) = (Growing::new(slots), Growing::new(blocks));
        slots.grow(BLOCK);
        Self {
            slots,
            blocks,
            relocations: Vec::new(),
            gaps: Default::default(),
            count: 0,
        }
    }

    /// Adds a regular file.
    pub(crate) fn file(&mut self, executable: bool, chunks: &Chunks) -> u64 {
        let mode = if executable {
            EXECUTABLE_MODE
        } else {
            FILE_MODE
        };
        let layout = if chunks.size == 0 {
            Layout::Plain(0)
        } else {
            Layout::Chunks(chunks.bits)
        };
        let inode = Inode {
            mode,
            links: 1,
            size: chunks.size,
            layout,
        };
        let length = inode.length() + chunks.count() as usize * size_of::<u64>();
        let slot = self.allocate(length.div_ceil(SLOT));
        self.encode(&inode, slot);
        let mut at = slot * SLOT + inode.length();
        for index in chunks.indexes() {
            self.slots.put(at, &index);
            at += index.len();
        }
        slot as u64
    }

    /// Adds a symlink.
    pub(crate) fn symlink(&mut self, target: &[u8]) -> u64 {
        self.bytes(SYMLINK_MODE, 1, target, false).inode
    }

    /// Adds a directory that is not the root, or the root; `..` of the root is the root.
    pub(crate) fn directory(
        &mut self,
        links: u32,
        listing: &Listing,
        root: bool,
    ) -> StoredDirectory {
        let stored = self.bytes(DIRECTORY_MODE, links, &listing.bytes, root);
        self.refer(
            Reference(stored.position(listing.self_offset)),
            stored.inode,
        );
        let parent = Reference(stored.position(listing.parent_offset));
        if root {
            self.refer(parent, stored.inode);
        }
        StoredDirectory {
            inode: stored.inode,
            parent,
        }
    }

    /// Writes an inode's number to where it was still missing.
    pub(crate) fn refer(&mut self, reference: Reference, inode: u64) {
        let (to, offset) = match reference.0 {
            Position::AfterInode(offset) => (&mut self.slots, offset),
            Position::InBlocks(offset) => (&mut self.blocks, offset),
        };
        to.put(offset, &inode.to_le_bytes());
    }

    /// How many blocks there are.
    pub(crate) fn block_count(&self) -> u64 {
        (self.slots.len().div_ceil(BLOCK) + self.blocks.len() / BLOCK) as u64
    }

    /// All bytes, of an image in which the first inode's slot starts block `first_block`.
    pub(crate) fn finish(mut self, first_block: u32) -> Body {
        let length = self.slots.len();
        self.slots.grow(length.next_multiple_of(BLOCK) - length);
        let base = first_block + (self.slots.len() / BLOCK) as u32;
        for (inode, block) in self.relocations {
            let field = inode + INODE_BLOCK_OFFSET;
            self.slots.put(field, &(base + block).to_le_bytes());
        }
        Body {
            slots: self.slots,
            blocks: self.blocks,
            inodes: self.count,
        }
    }

    /// Adds an inode whose contents are `bytes`: whole blocks apart, the rest right after the inode if the block it starts
    /// in can hold both.
    fn bytes(&mut self, mode: u16, links: u32, bytes: &[u8], root: bool) -> StoredBytes {
        let size = bytes.len() as u64;
        let block = (self.blocks.len() / BLOCK) as u32;
        let mut inode = Inode {
            mode,
            links,
            size,
            layout: Layout::Inline(block),
        };
        let room = if root { ROOT_SLOTS } else { SLOTS_OF_A_BLOCK } * SLOT - inode.length();
        let tail = bytes.len() % BLOCK;
        let in_blocks = if tail == 0 || tail > room {
            inode.layout = Layout::Plain(block);
            bytes.len()
        } else {
            bytes.len() - tail
        };

        let blocks_start = self.blocks.len();
        self.blocks.extend(&bytes[..in_blocks]);
        let length = self.blocks.len();
        self.blocks.grow(length.next_multiple_of(BLOCK) - length);

        let tail = &bytes[in_blocks..];
        let slots = (inode.length() + tail.len()).div_ceil(SLOT);
        let slot = if root {
            ROOT as usize
        } else {
            self.allocate_within_block(slots)
        };
        self.encode(&inode, slot);
        if in_blocks > 0 {
            self.relocations.push((slot * SLOT, block));
        }
        let tail_start = slot * SLOT + inode.length();
        self.slots.put(tail_start, tail);
        StoredBytes {
            inode: slot as u64,
            in_blocks,
            blocks_start,
            tail_start,
        }
    }

    fn encode(&mut self, inode: &Inode, slot: usize) {
        self.count += 1;
        let mut bytes = [0; MAX_INODE];
        inode.encode(self.count as u32, &mut bytes);
        self.slots.put(slot * SLOT, &bytes[..inode.length()]);
    }

    /// Free slots, wherever they are.
    fn allocate(&mut self, slots: usize) -> usize {
        self.allocate_gap(slots)
            .unwrap_or_else(|| self.extend(slots))
    }

    /// Free slots that no end of a block divides.
    fn allocate_within_block(&mut self, slots: usize) -> usize {
        if let Some(slot) = self.allocate_gap(slots) {
            return slot;
        }
        let end = self.slots.len() / SLOT;
        let left = end.next_multiple_of(SLOTS_OF_A_BLOCK) - end;
        if left < slots {
            self.extend(left);
            self.gaps[left].push(end);
        }
        self.extend(slots)
    }

    fn extend(&mut self, slots: usize) -> usize {
        let end = self.slots.len();
        self.slots.grow(slots * SLOT);
        end / SLOT
    }

    /// The start of the smallest gap that holds `slots`; what is left of it stays a gap.
    fn allocate_gap(&mut self, slots: usize) -> Option<usize> {
        let length = (slots..SLOTS_OF_A_BLOCK).find(|length| !self.gaps[*length].is_empty())?;
        let start = self.gaps[length].pop()?;
        if length > slots {
            self.gaps[length - slots].push(start + slots);
        }
        Some(start)
    }
}
