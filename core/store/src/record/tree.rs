//! The tree of a record, walked without being in memory as a whole.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix_formats::nar;

use super::{Extent, FileNode, Item, Place, RecordError, TreeEvent};
use crate::layout::PackId;

/// What is in a store path, and where.
#[derive(Debug, Clone)]
pub struct Tree {
    own: PackId,
    packs: Vec<PackId>,
    items: Items,
}

#[derive(Debug, Clone)]
enum Items {
    /// They start there.
    InMemory(Vec<u8>, usize),
    InFile(Arc<File>, Extent),
}

/// An item with the longest name and the longest target is shorter.
const MAX_ITEM: usize = 8 << 10;

/// Pieces in which a file is read.
const PIECE: usize = 256 << 10;

impl Tree {
    pub(super) fn in_memory(own: PackId, packs: Vec<PackId>, bytes: Vec<u8>, start: usize) -> Self {
        Self {
            own,
            packs,
            items: Items::InMemory(bytes, start),
        }
    }

    pub(super) fn in_file(
        own: PackId,
        packs: Vec<PackId>,
        file: Arc<File>,
        extent: Extent,
    ) -> Self {
        Self {
            own,
            packs,
            items: Items::InFile(file, extent),
        }
    }

    /// The walk through it.
    pub fn events(&self) -> Events<'_> {
        let (at, next, end) = match &self.items {
            Items::InMemory(_, start) => (*start, 0, 0),
            Items::InFile(_, extent) => (0, extent.offset, extent.offset + extent.length),
        };
        Events {
            tree: self,
            piece: Vec::new(),
            at,
            next,
            end,
        }
    }

    /// Walks through it with the whole name of everything, relative to the root and without [`TreeEvent::Leave`].
    pub fn walk(&self, mut take: impl FnMut(&[u8], TreeEvent<'_>)) -> Result<(), RecordError> {
        let mut whole: Vec<u8> = Vec::new();
        // How long the name was before each directory that is open.
        let mut open = Vec::new();
        let mut events = self.events();
        while let Some(event) = events.next()? {
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
        Ok(())
    }

    /// What has this name, relative to the root, which has the empty one.
    pub fn find(&self, name: &[u8]) -> Result<Option<Node>, RecordError> {
        let mut found = None;
        self.walk(|whole, event| {
            if whole == name {
                found = match event {
                    TreeEvent::Enter(_) => Some(Node::Directory),
                    TreeEvent::File(_, file) => Some(Node::File(file)),
                    TreeEvent::Symlink(_, target) => Some(Node::Symlink(target.to_vec())),
                    TreeEvent::Leave => None,
                };
            }
        })?;
        Ok(found)
    }

    /// The regular files that are not empty.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Result<FileNode, RecordError>> {
        let mut events = self.events();
        std::iter::from_fn(move || {
            loop {
                match events.next().transpose()? {
                    Ok(TreeEvent::File(_, file)) if file.size > 0 => return Some(Ok(file)),
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
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
    pub(super) fn check(&self, data: u64) -> Result<(), RecordError> {
        // The name seen last in each directory that is open.
        let mut open: Vec<Vec<u8>> = Vec::new();
        let mut is_whole = false;
        let mut events = self.events();
        while let Some(event) = events.next()? {
            if is_whole {
                return Err(RecordError::Tree("something follows its end"));
            }
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
                    open.push(Vec::new());
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

/// What a name of a tree is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(FileNode),
    /// A symlink and its target.
    Symlink(Vec<u8>),
}

/// A walk through a tree. All of it was checked when the record was read, but the disk may not give it again.
#[derive(Debug)]
pub struct Events<'a> {
    tree: &'a Tree,
    /// What was read of a file last.
    piece: Vec<u8>,
    /// Where the next item starts in it, or in memory.
    at: usize,
    /// What comes next of the file, and where the items end in it.
    next: u64,
    end: u64,
}

impl Events<'_> {
    /// The next step; nothing at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives may lie in what was read last"
    )]
    pub fn next(&mut self) -> Result<Option<TreeEvent<'_>>, RecordError> {
        let bytes = match &self.tree.items {
            Items::InMemory(bytes, _) => bytes,
            Items::InFile(file, _) => {
                if self.piece.len() - self.at < MAX_ITEM && self.next < self.end {
                    self.piece.drain(..self.at);
                    self.at = 0;
                    let kept = self.piece.len();
                    let count = (self.end - self.next).min(PIECE as u64) as usize;
                    self.piece.resize(kept + count, 0);
                    read_at(file, &mut self.piece[kept..], self.next)?;
                    self.next += count as u64;
                }
                &self.piece
            }
        };
        let rest = &bytes[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (item, left): (Item<'_>, _) = postcard::take_from_bytes(rest)?;
        self.at = bytes.len() - left.len();
        let event = self.tree.event(&item);
        let event = event.ok_or(RecordError::Tree("a file lies in no pack"))?;
        Ok(Some(event))
    }
}

/// Reads what must be there.
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), RecordError> {
    let read = file.read_exact_at(bytes, offset);
    read.map_err(|error| RecordError::Read(error.kind()))
}

/// Whether a name may stand next in the directory that is open; the root has none.
fn check_name(name: &[u8], open: &mut [Vec<u8>]) -> Result<(), RecordError> {
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
    if name <= previous.as_slice() {
        return Err(RecordError::Tree("names are not sorted"));
    }
    previous.clear();
    previous.extend_from_slice(name);
    Ok(())
}

fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= nar::MAX_TARGET_LEN && !target.contains(&0)
}
