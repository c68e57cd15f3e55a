//! Files that are outputs by several names.
//!
//! Nix makes the metadata of one output after the other canonical, and with it that of every hard link of its files. An output
//! that is such a link is then no longer the builder's, and is refused.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::{FileType, Stat};

/// Device and number of a file.
type Inode = (u64, u64);

/// The outputs that have several names, and which of them were seen so far.
#[derive(Debug, Default)]
pub(super) struct LinkedOutputs {
    seen: BTreeMap<Inode, bool>,
}

impl LinkedOutputs {
    /// Of the outputs of a build.
    pub(super) fn of(outputs: impl IntoIterator<Item = Stat>) -> Self {
        let linked: BTreeSet<Inode> = outputs.into_iter().filter_map(|it| linked(&it)).collect();
        Self {
            seen: linked.into_iter().map(|inode| (inode, false)).collect(),
        }
    }

    /// Something was found in an output.
    pub(super) fn see(&mut self, stat: &Stat) {
        if self.seen.is_empty() {
            return;
        }
        if let Some(seen) = linked(stat).and_then(|inode| self.seen.get_mut(&inode)) {
            *seen = true;
        }
    }

    /// Whether something was found under another name.
    pub(super) fn has_seen(&self, stat: &Stat) -> bool {
        linked(stat).is_some_and(|inode| self.seen.get(&inode) == Some(&true))
    }
}

/// What tells a file that has several names from others.
fn linked(stat: &Stat) -> Option<Inode> {
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    (!is_folder && stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino))
}
