//! What is done together: small paths that one thread packs, and narinfos that a folder gets.

use std::collections::BinaryHeap;

use nix_formats::{NarInfo, StorePath};

use crate::source::PathInfo;

/// This many bytes of NARs, and this many paths, a thread packs before it is asked again: waking one costs as much as packing a
/// small path.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH_PATHS: usize = 32;

/// This many bytes of files, or this many paths, are put into a folder before they are synced to the disk and their narinfos
/// written. A push that is killed packs them again.
const SYNC_BYTES: u64 = 64 << 20;
const SYNC_PATHS: usize = 4096;

/// Narinfos to write into a folder together, in the order in which they may become visible.
#[derive(Default)]
pub(super) struct Batch {
    /// Of paths that were there and lacked a signature.
    pub(super) signed: Vec<NarInfo>,
    pub(super) pushed: Vec<NarInfo>,
    /// Bytes of the files that they tell of.
    bytes: u64,
}

impl Batch {
    pub(super) fn add(&mut self, narinfo: NarInfo) {
        self.bytes += narinfo.file_size.unwrap_or_default();
        self.pushed.push(narinfo);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.pushed.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= SYNC_BYTES || self.signed.len() + self.pushed.len() >= SYNC_PATHS
    }
}

/// A path to be packed; the greatest has the largest NAR.
pub(super) struct Waiting(pub(super) PathInfo);

impl Waiting {
    fn key(&self) -> (u64, &StorePath) {
        (self.0.nar_size, &self.0.path)
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

/// What one thread is to pack next: the largest path, or several small ones.
pub(super) fn next_batch(waiting: &mut BinaryHeap<Waiting>) -> Vec<PathInfo> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES
        && batch.len() < BATCH_PATHS
        && let Some(Waiting(info)) = waiting.pop()
    {
        bytes += info.nar_size;
        batch.push(info);
    }
    batch
}
