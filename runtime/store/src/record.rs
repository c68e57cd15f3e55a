//! The record of a store path: its narinfo and its tree, as they stand in its pack.
//!
//! A record is a postcard value, [`Head`], followed by postcard values of the type [`Item`]: the tree, depth first. It says
//! where in which pack the contents of each file lie, and their BLAKE3 hash. How it is found in the pack and what guards it
//! against damage is told in [`crate::pack`].
//!
//! A record is checked as a whole when it is read, whoever wrote it: names, their order, nesting, places within the pack.

use crate::{BLOCK, layout::PackId};
use nix_formats::{NarInfo, StoreDir, nar, narinfo::NarInfoError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

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

/// What is in a store path, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    own: PackId,
    packs: Vec<PackId>,
    bytes: Vec<u8>,
    /// Where in `bytes` the items start.
    start: usize,
}

impl Tree {
    /// The walk through it.
    pub fn events(&self) -> impl Iterator<Item = TreeEvent<'_>> {
        let mut rest = &self.bytes[self.start..];
        std::iter::from_fn(move || {
            // All of it was checked when it was read; and what does not decode ends the walk.
            let (item, left) = postcard::take_from_bytes(rest).ok()?;
            rest = left;
            self.event(&item)
        })
    }

    /// Walks through it with the whole name of everything, relative to the root and without [`TreeEvent::Leave`].
    pub fn walk<'a>(&'a self, mut take: impl FnMut(&[u8], TreeEvent<'a>)) {
        let mut whole: Vec<u8> = Vec::new();
        // How long the name was before each directory that is open.
        let mut open = Vec::new();
        for event in self.events() {
            let (TreeEvent::Enter(name) | TreeEvent::File(name, _) | TreeEvent::Symlink(name, _)) =
                event
            else {
                whole.truncate(open.pop().unwrap_or(0));
                continue;
            };
            let before = whole.len();
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(name);
            take(&whole, event);
            if let TreeEvent::Enter(_) = event {
                open.push(before);
            } else {
                whole.truncate(before);
            }
        }
    }

    /// What has this name, relative to the root, which has the empty one.
    pub fn find(&self, name: &[u8]) -> Option<TreeEvent<'_>> {
        let mut found = None;
        self.walk(|whole, event| {
            if whole == name {
                found = Some(event);
            }
        });
        found
    }

    /// The regular files that are not empty.
    pub(crate) fn extents(&self) -> impl Iterator<Item = FileNode> {
        self.events().filter_map(|event| match event {
            TreeEvent::File(_, file) if file.size > 0 => Some(file),
            _ => None,
        })
    }

    /// The other packs that files lie in.
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    fn event<'a>(&self, item: &Item<'a>) -> Option<TreeEvent<'a>> {
        Some(match *item {
            Item::Directory { name } => TreeEvent::Enter(name),
            Item::End => TreeEvent::Leave,
            Item::Symlink { name, target } => TreeEvent::Symlink(name, target),
            Item::File {
                name,
                executable,
                size,
                pack,
                block,
                hash,
            } => {
                let pack = match (pack as usize).checked_sub(1) {
                    None => self.own,
                    Some(index) => *self.packs.get(index)?,
                };
                let place = Place { pack, block };
                let file = FileNode {
                    executable,
                    size,
                    place,
                    hash,
                };
                TreeEvent::File(name, file)
            }
        })
    }

    /// Finds fault with it. `data` is how many bytes of contents its own pack has.
    fn check(&self, data: u64) -> Result<(), RecordError> {
        let mut rest = &self.bytes[self.start..];
        // The name seen last in each directory that is open.
        let mut open: Vec<&[u8]> = Vec::new();
        let mut is_whole = false;
        while !rest.is_empty() {
            if is_whole {
                return Err(RecordError::Tree("something follows its end"));
            }
            let (item, left): (Item, _) = postcard::take_from_bytes(rest)?;
            rest = left;
            let event = self
                .event(&item)
                .ok_or(RecordError::Tree("a file lies in no pack"))?;
            if let TreeEvent::Leave = event {
                open.pop()
                    .ok_or(RecordError::Tree("a directory ends that is not open"))?;
            } else {
                let (TreeEvent::Enter(name)
                | TreeEvent::File(name, _)
                | TreeEvent::Symlink(name, _)) = event
                else {
                    continue;
                };
                check_name(name, &mut open)?;
            }
            match event {
                TreeEvent::Enter(_) => {
                    if open.len() >= nar::MAX_DEPTH {
                        return Err(RecordError::Tree("directories are nested too deeply"));
                    }
                    open.push(b"");
                }
                TreeEvent::File(_, file) if file.size > 0 && file.place.pack == self.own => {
                    let end = file.place.offset().checked_add(file.size);
                    if end.is_none_or(|end| end > data) {
                        return Err(RecordError::Tree("a file ends behind the contents"));
                    }
                }
                TreeEvent::File(_, file)
                    if file.place.offset().checked_add(file.size).is_none() =>
                {
                    return Err(RecordError::Tree("a file ends behind all contents"));
                }
                TreeEvent::Symlink(_, target) if !is_target(target) => {
                    return Err(RecordError::Tree("a symlink's target is none"));
                }
                _ => {}
            }
            is_whole = open.is_empty();
        }
        if is_whole {
            Ok(())
        } else {
            Err(RecordError::Tree("it has no end"))
        }
    }
}

/// Whether a name may stand next in the directory that is open; the root has none.
fn check_name<'a>(name: &'a [u8], open: &mut [&'a [u8]]) -> Result<(), RecordError> {
    let Some(previous) = open.last_mut() else {
        return if name.is_empty() {
            Ok(())
        } else {
            Err(RecordError::Tree("its root has a name"))
        };
    };
    let is_name = !name.is_empty()
        && name.len() <= nar::MAX_NAME_LEN
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && !name.contains(&0);
    if !is_name {
        return Err(RecordError::Tree("a name is none"));
    }
    if name <= *previous {
        return Err(RecordError::Tree("names are not sorted"));
    }
    *previous = name;
    Ok(())
}

fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= nar::MAX_TARGET_LEN && !target.contains(&0)
}

/// A record that was read and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) info: NarInfo,
    pub(crate) tree: Tree,
}

impl Record {
    /// Reads the record of the pack `own`, which has `data` bytes of contents.
    pub(crate) fn decode(
        store_dir: &StoreDir,
        own: PackId,
        data: u64,
        bytes: Vec<u8>,
    ) -> Result<Self, RecordError> {
        let (head, rest): (Head, _) = postcard::take_from_bytes(&bytes)?;
        let info = NarInfo::parse(store_dir, head.narinfo).map_err(RecordError::NarInfo)?;
        let (packs, start) = (head.packs, bytes.len() - rest.len());
        let tree = Tree {
            own,
            packs,
            bytes,
            start,
        };
        tree.check(data)?;
        Ok(Self { info, tree })
    }
}

/// Writes a record while the tree goes by.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordWriter {
    items: Vec<u8>,
    packs: Vec<PackId>,
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

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The other packs that files lie in.
    pub(crate) fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// The record of a path with this narinfo.
    pub(crate) fn finish(self, store_dir: &StoreDir, info: &NarInfo) -> Vec<u8> {
        let narinfo = info.print(store_dir);
        let head = Head {
            narinfo: &narinfo,
            packs: self.packs,
        };
        let mut bytes = encode(&head, Vec::with_capacity(narinfo.len() + 64));
        bytes.extend_from_slice(&self.items);
        bytes
    }

    /// What stands for another pack in items.
    fn number(&mut self, pack: PackId) -> u32 {
        let known = self.packs.iter().position(|&known| known == pack);
        let index = known.unwrap_or_else(|| {
            self.packs.push(pack);
            self.packs.len() - 1
        });
        index as u32 + 1
    }

    fn push(&mut self, item: &Item) {
        let items = std::mem::take(&mut self.items);
        self.items = encode(item, items);
    }
}

fn encode(value: &impl Serialize, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("values of sized types are written to memory")
}
