//! How large the tree of a commit is: counted before anything of it is hashed or written.
//!
//! Git stores equal folders once, so a few objects can stand for more files than a disk holds. Each is counted once.

use std::cell::Cell;
use std::collections::HashMap;

use git2::{ObjectType, Oid, Tree};
use nix_formats::nar::MAX_DEPTH;
use tree_writer::TreeError;

use super::cached_number;
use super::git_tree::{GIT_LINK, Objects, join};
use crate::attrs::Attrs;
use crate::error::FlakeError;

/// The most files, symlinks and folders of a tree, all levels and submodules together. Chromium has some 500,000.
pub(super) const MAX_ENTRIES: u64 = 1_000_000;

/// The most bytes that different folders take in Git, all together. An entry takes some 40.
const MAX_FOLDER_BYTES: u64 = 128 << 20;

/// How deep submodules may be nested.
const MAX_NESTING: usize = 16;

/// The size of a tree, all levels together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TreeSize {
    /// Files, symlinks and folders; the root is none of them.
    entries: u64,
    /// Of all files.
    bytes: u64,
}

impl TreeSize {
    /// Of files whose contents are not in Git.
    pub(super) fn of_bytes(bytes: u64) -> Self {
        Self { entries: 0, bytes }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is in `self` beside `part`.
    pub(super) fn less(self, part: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(part.entries),
            bytes: self.bytes.saturating_sub(part.bytes),
        }
    }

    /// What an entry of the index says, if it says it.
    pub(super) fn from_attrs(attrs: &Attrs) -> Option<Self> {
        Some(Self {
            entries: cached_number(attrs, "entries")?,
            bytes: cached_number(attrs, "bytes")?,
        })
    }

    /// Adds what [`Self::from_attrs`] reads.
    pub(super) fn put_into(self, attrs: &mut Attrs) {
        attrs.set("entries", self.entries);
        attrs.set("bytes", self.bytes);
    }
}

/// A repository's part of the tree that is fetched: all of it, or a submodule.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// How many repositories it is a submodule in.
    nesting: usize,
    /// The size of all parts that were found so far.
    whole: &'a Cell<TreeSize>,
}

impl<'a> Part<'a> {
    /// The repository that is no submodule.
    pub(super) fn top(whole: &'a Cell<TreeSize>) -> Self {
        Self { nesting: 0, whole }
    }

    /// A submodule of this one.
    pub(super) fn submodule(self) -> Result<Self, FlakeError> {
        let nesting = self.nesting + 1;
        if nesting > MAX_NESTING {
            return Err(FlakeError::SubmodulesTooDeep { limit: MAX_NESTING });
        }
        Ok(Self { nesting, ..self })
    }

    /// The size of all parts that were found so far.
    pub(super) fn whole(self) -> TreeSize {
        self.whole.get()
    }

    /// Adds a tree to the whole, which may have `max_bytes` in its files.
    pub(super) fn add(
        self,
        size: TreeSize,
        max_bytes: u64,
        repository: &str,
    ) -> Result<(), FlakeError> {
        let whole = self.whole.get().plus(size);
        check(whole, max_bytes, repository)?;
        self.whole.set(whole);
        Ok(())
    }
}

fn check(size: TreeSize, max_bytes: u64, repository: &str) -> Result<(), FlakeError> {
    let limits = [
        ("bytes", size.bytes, max_bytes),
        ("files, symlinks and folders", size.entries, MAX_ENTRIES),
    ];
    match limits.iter().find(|(_, found, limit)| found > limit) {
        None => Ok(()),
        Some(&(what, found, limit)) => Err(FlakeError::GitTreeTooLarge {
            repository: repository.to_owned(),
            what,
            found,
            limit,
        }),
    }
}

/// Counts the tree `root` of `repository`, which is its name for messages. No file may have more than `max_bytes`.
pub(super) fn measure(
    objects: &Objects<'_>,
    root: Oid,
    max_bytes: u64,
    repository: &str,
) -> Result<TreeSize, FlakeError> {
    let mut count = Count {
        objects,
        max_bytes,
        repository,
        known: HashMap::new(),
        entries: 0,
        folder_bytes: 0,
    };
    Ok(count.folder(root, &mut Vec::new(), 1)?.size)
}

/// A folder with all that is below it.
#[derive(Clone, Copy)]
struct Counted {
    size: TreeSize,
    /// How many folders are nested in each other, itself included.
    height: usize,
}

struct Count<'a> {
    objects: &'a Objects<'a>,
    max_bytes: u64,
    repository: &'a str,
    /// No more than [`MAX_ENTRIES`] and the root, since each other folder is an entry of one.
    known: HashMap<Oid, Counted>,
    /// The entries of the folders in `known` and of those that are open.
    entries: u64,
    /// How many bytes those folders have in Git.
    folder_bytes: u64,
}

impl Count<'_> {
    /// The folder `id`, the `depth`th of those that are open.
    fn folder(&mut self, id: Oid, path: &mut Vec<u8>, depth: usize) -> Result<Counted, FlakeError> {
        let counted = match self.known.get(&id) {
            Some(counted) => *counted,
            None if depth > MAX_DEPTH => return Err(TreeError::TooDeep(MAX_DEPTH).into()),
            None => {
                let left = MAX_FOLDER_BYTES - self.folder_bytes;
                self.folder_bytes += self.objects.size(id, path, left)?;
                let tree = self.objects.tree(id, path)?;
                let counted = self.contents(&tree, path, depth)?;
                self.known.insert(id, counted);
                counted
            }
        };
        if depth - 1 + counted.height > MAX_DEPTH {
            return Err(TreeError::TooDeep(MAX_DEPTH).into());
        }
        Ok(counted)
    }

    fn contents(
        &mut self,
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<Counted, FlakeError> {
        let mut counted = Counted {
            size: TreeSize {
                entries: tree.len() as u64,
                bytes: 0,
            },
            height: 1,
        };
        // The whole has no fewer, and without a limit many different folders would take all memory.
        self.entries += counted.size.entries;
        let so_far = TreeSize {
            entries: self.entries,
            bytes: 0,
        };
        check(so_far, self.max_bytes, self.repository)?;
        let parent = path.len();
        for entry in tree {
            join(path, entry.name_bytes());
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    let child = self.folder(entry.id(), path, depth + 1)?;
                    counted.size = counted.size.plus(child.size);
                    counted.height = counted.height.max(child.height + 1);
                }
                Some(ObjectType::Blob) if entry.filemode() != GIT_LINK => {
                    let bytes = self.objects.file_size(entry.id(), path, self.max_bytes)?;
                    counted.size = counted.size.plus(TreeSize { entries: 0, bytes });
                }
                _ => {}
            }
            path.truncate(parent);
        }
        Ok(counted)
    }
}
