//! The finished image.

use std::io::{self, Write};

use crate::error::Error;
use crate::format::{
    BLOCK, DEVICE_SLOT, DEVICE_TABLE_OFFSET, SUPERBLOCK_OFFSET, Superblock, put, seal,
};
use crate::inodes::{Body, Inodes, ROOT};

/// Images are padded to whole pages of memory: the kernel reads them by pages.
const PAGE: usize = 4096;

/// The bytes of an image.
#[derive(Debug)]
pub struct Image {
    /// All that stands before the first inode.
    head: Vec<u8>,
    body: Body,
    padding: usize,
    uuid: [u8; 16],
}

impl Image {
    pub(crate) fn new(device_table: &[u8], inodes: Inodes) -> Result<Self, Error> {
        // The checksum takes all of the block that starts with the superblock.
        let head_length = (DEVICE_TABLE_OFFSET + device_table.len())
            .max(SUPERBLOCK_OFFSET + BLOCK)
            .next_multiple_of(BLOCK);
        let inode_block = (head_length / BLOCK) as u64;
        let page_blocks = (PAGE / BLOCK) as u64;
        let used = inode_block + inodes.block_count();
        let total = used.next_multiple_of(page_blocks);
        let Ok(blocks) = u32::try_from(total) else {
            return Err(Error::ImageTooLarge { blocks: total });
        };

        let mut body = inodes.finish(inode_block as u32);
        let uuid = uuid(device_table, &mut body).map_err(|error| Error::Scratch(error.kind()))?;
        let superblock = Superblock {
            root: ROOT as u16,
            inodes: body.inodes,
            blocks,
            inode_block: inode_block as u32,
            uuid,
            devices: (device_table.len() / DEVICE_SLOT) as u16,
        };
        let mut head = vec![0; head_length];
        put(&mut head, SUPERBLOCK_OFFSET, &superblock.encode());
        put(&mut head, DEVICE_TABLE_OFFSET, device_table);
        if let Some(block) = head[SUPERBLOCK_OFFSET..].first_chunk_mut() {
            seal(block);
        }
        Ok(Self {
            head,
            body,
            padding: (total - used) as usize * BLOCK,
            uuid,
        })
    }

    /// How many bytes [`write_to`](Self::write_to) writes: a multiple of 4096.
    pub fn length(&self) -> u64 {
        (self.head.len() + self.body.slots.len() + self.body.blocks.len() + self.padding) as u64
    }

    /// The UUID of the file system: from the image's contents, so equal for equal trees and devices alone.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Writes the image, in a few large writes.
    pub fn write_to(&mut self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.head)?;
        self.body.slots.read(|piece| to.write_all(piece))?;
        self.body.blocks.read(|piece| to.write_all(piece))?;
        to.write_all(&[0; PAGE][..self.padding])
    }
}

/// A UUID of version 8 (RFC 9562: of the maker's own kind) from the BLAKE3 hash of all that is not the superblock.
fn uuid(device_table: &[u8], body: &mut Body) -> io::Result<[u8; 16]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(device_table.len() as u64).to_le_bytes());
    hasher.update(device_table);
    for part in [&mut body.slots, &mut body.blocks] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        part.read(|piece| {
            hasher.update(piece);
            Ok(())
        })?;
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}
