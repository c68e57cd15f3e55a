//! The record of a store path: its narinfo and its tree, as they stand in its pack.
//!
//! A record is a postcard value, [`Head`], followed by postcard values of the type [`Item`]: the tree, depth first. It says
//! where in which pack the contents of each file lie, and their BLAKE3 hash. How it is found in the pack and what guards it
//! against damage: see [`crate::pack`].
//!
//! A record is checked as a whole when it is read, whatever wrote it: names, their order, nesting, places within the pack.

mod tree;

pub use tree::{Events, Node, Tree};

use std::fs::File;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use nix_formats::narinfo::NarInfoError;
use nix_formats::{NarInfo, StoreDir};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::BLOCK;
use crate::layout::PackId;

/// The BLAKE3 hash of a file's contents.
pub(crate) type ContentHash = [u8; 32];

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The file is too short, or does not end as a pack does.
    #[error("it does not end as a pack does")]
    NotAPack,
    /// A newer program wrote it.
    #[error("it has version {0}, which is newer than this program knows")]
    TooNew(u32),
    /// Bytes changed.
    #[error("its checksum is not that of its bytes")]
    Checksum,
    /// Not the values that a record is made of.
    #[error("it is not encoded as a record is: {0}")]
    Encoding(postcard::Error),
    /// The narinfo in it.
    #[error("its narinfo is damaged")]
    NarInfo(#[source] NarInfoError),
    /// The tree in it.
    #[error("its tree is damaged: {0}")]
    Tree(&'static str),
    /// The disk does not give it.
    #[error("failed to read it: {0}")]
    Read(io::ErrorKind),
}

impl From<postcard::Error> for RecordError {
    fn from(error: postcard::Error) -> Self {
        Self::Encoding(error)
    }
}

/// What a record starts with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head<'a> {
    /// The narinfo's text, with every signature that was known.
    narinfo: &'a str,
    /// The other packs that files lie in.
    packs: Vec<PackId>,
}

/// A step of the tree. The root has an empty name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Item<'a> {
    Directory {
        name: &'a [u8],
    },
    End,
    File {
        name: &'a [u8],
        executable: bool,
        size: u64,
        /// 0 for the pack that the record is in, else one more than the index in [`Head::packs`].
        pack: u32,
        /// In units of [`BLOCK`].
        block: u32,
        hash: ContentHash,
    },
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
}

/// Where a file's contents start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The pack.
    pub pack: PackId,
    /// Where in it, in blocks of 512 bytes.
    pub block: u32,
}

impl Place {
    /// Where in the pack, in bytes.
    pub fn offset(self) -> u64 {
        u64::from(self.block) * BLOCK
    }
}

/// A regular file of a store path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileNode {
    /// Whether it is executable.
    pub executable: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Where its contents are: one piece, without a gap. Means nothing if the size is 0.
    pub place: Place,
    /// The BLAKE3 hash of the contents.
    pub hash: [u8; 32],
}

/// A step of a walk through a store path, depth first, entries of a directory in byte order of their names. The root has
/// an empty name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEvent<'a> {
    /// A directory starts.
    Enter(&'a [u8]),
    /// The directory that started last, and has not ended yet, ends.
    Leave,
    /// A regular file.
    File(&'a [u8], FileNode),
    /// A symlink and its target.
    Symlink(&'a [u8], &'a [u8]),
}

/// A record that was read and found good.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) info: NarInfo,
    pub(crate) tree: Tree,
}

/// Where a record is in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Records up to this many bytes are held in memory; of larger ones the tree is read piece by piece whenever it is walked.
pub(crate) const IN_MEMORY: usize = 1 << 20;

/// More than the head of any record has: narinfo and packs.
const MAX_HEAD: usize = 32 << 20;

impl Record {
    /// Reads the record of the pack `own`, which has `data` bytes of contents.
    pub(crate) fn decode(
        store_dir: &StoreDir,
        own: PackId,
        data: u64,
        bytes: Vec<u8>,
    ) -> Result<Self, RecordError> {
        let (head, rest): (Head, _) = postcard::take_from_bytes(&bytes)?;
        let info = info(store_dir, &head)?;
        let (packs, start) = (head.packs, bytes.len() - rest.len());
        let tree = Tree::in_memory(own, packs, bytes, start);
        tree.check(data)?;
        Ok(Self { info, tree })
    }

    /// The same of a large record in a file, of which only the head is held in memory.
    pub(crate) fn read(
        store_dir: &StoreDir,
        own: PackId,
        data: u64,
        file: &Arc<File>,
        extent: Extent,
    ) -> Result<Self, RecordError> {
        let mut bytes = vec![0; IN_MEMORY.min(extent.length as usize)];
        let (info, packs, start) = loop {
            tree::read_at(file, &mut bytes, extent.offset)?;
            match postcard::take_from_bytes::<Head>(&bytes) {
                Ok((head, rest)) => {
                    let start = bytes.len() - rest.len();
                    break (info(store_dir, &head)?, head.packs, start as u64);
                }
                Err(error) => {
                    let longer = (bytes.len() * 2).min(extent.length as usize);
                    if longer == bytes.len() || longer > MAX_HEAD {
                        return Err(error.into());
                    }
                    bytes.resize(longer, 0);
                }
            }
        };
        let items = Extent {
            offset: extent.offset + start,
            length: extent.length - start,
        };
        let tree = Tree::in_file(own, packs, Arc::clone(file), items);
        tree.check(data)?;
        Ok(Self { info, tree })
    }
}

/// Signatures of one path that are kept. A path that more keys signed has them from a cache that wants to fill memory.
pub(crate) const MAX_SIGNATURES: usize = 64;

fn info(store_dir: &StoreDir, head: &Head<'_>) -> Result<NarInfo, RecordError> {
    let mut info = NarInfo::parse_kept(store_dir, head.narinfo).map_err(RecordError::NarInfo)?;
    info.signatures.truncate(MAX_SIGNATURES);
    info.signatures.shrink_to_fit();
    Ok(info)
}

/// What stands of a narinfo in records: all but what only its cache can use, and no more signatures than are kept.
pub(crate) fn essence(store_dir: &StoreDir, info: &NarInfo) -> String {
    let mut info = info.clone();
    info.signatures.truncate(MAX_SIGNATURES);
    info.print(store_dir)
}

/// Writes a record while the tree goes by.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordWriter {
    items: Vec<u8>,
    packs: Vec<PackId>,
    /// What stands for them in items.
    numbers: HashMap<PackId, u32>,
}

impl RecordWriter {
    pub(crate) fn enter(&mut self, name: &[u8]) {
        self.push(&Item::Directory { name });
    }

    pub(crate) fn leave(&mut self) {
        self.push(&Item::End);
    }

    pub(crate) fn symlink(&mut self, name: &[u8], target: &[u8]) {
        self.push(&Item::Symlink { name, target });
    }

    /// `own` is the pack that is being written.
    pub(crate) fn file(&mut self, name: &[u8], own: PackId, file: FileNode) {
        let pack = if file.place.pack == own {
            0
        } else {
            self.number(file.place.pack)
        };
        self.push(&Item::File {
            name,
            executable: file.executable,
            size: file.size,
            pack,
            block: file.place.block,
            hash: file.hash,
        });
    }

    /// The same tree, the contents of its own pack being in another from `place` on.
    pub(crate) fn moved(self, place: Place) -> Self {
        let mut moved = Self {
            items: Vec::with_capacity(self.items.len() + 64),
            packs: self.packs,
            numbers: self.numbers,
        };
        let number = moved.number(place.pack);
        let mut rest = self.items.as_slice();
        while !rest.is_empty() {
            let (mut item, left): (Item, _) =
                postcard::take_from_bytes(rest).expect("these are the items that were pushed");
            rest = left;
            if let Item::File {
                pack, block, size, ..
            } = &mut item
                && *pack == 0
                && *size > 0
            {
                *pack = number;
                *block += place.block;
            }
            moved.push(&item);
        }
        moved
    }

    /// Bytes in memory.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Gives the bytes of the tree that are in memory, for the caller to keep in order.
    pub(crate) fn take_items(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.items)
    }

    /// The other packs that files lie in.
    pub(crate) fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// The record of a path with this narinfo.
    pub(crate) fn finish(mut self, store_dir: &StoreDir, info: &NarInfo) -> Vec<u8> {
        let items = self.take_items();
        let mut bytes = self.head(store_dir, info);
        bytes.extend_from_slice(&items);
        bytes
    }

    /// What comes before the tree.
    pub(crate) fn head(&self, store_dir: &StoreDir, info: &NarInfo) -> Vec<u8> {
        let narinfo = essence(store_dir, info);
        let head = Head {
            narinfo: &narinfo,
            packs: self.packs.clone(),
        };
        encode(&head, Vec::with_capacity(narinfo.len() + 64))
    }

    /// What stands for another pack in items.
    fn number(&mut self, pack: PackId) -> u32 {
        *self.numbers.entry(pack).or_insert_with(|| {
            self.packs.push(pack);
            self.packs.len() as u32
        })
    }

    fn push(&mut self, item: &Item) {
        let items = std::mem::take(&mut self.items);
        self.items = encode(item, items);
    }
}

fn encode(value: &impl Serialize, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("values of sized types are written to memory")
}
