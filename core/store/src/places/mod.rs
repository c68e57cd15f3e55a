//! Where contents lie, by their BLAKE3 hash.
//!
//! What came last is in memory; the rest is in [segments], files that are sorted by hash. A segment is never changed: it is merged with
//! those that are not much larger, so there are few, and each entry is written again a few times. Memory does not grow with the
//! number of entries.
//!
//! This says where contents *may* lie. Packs that are gone are left out when segments are merged, and nothing is ever taken
//! out otherwise: contents are read before they are referred to.
//!
//! [segments]: segment

mod segment;

pub(crate) use segment::Segment;

use std::path::Path;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::error::FileError;
use crate::layout::PackId;
use crate::record::{ContentHash, Place};

/// Contents, and where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) hash: ContentHash,
    pub(crate) place: Place,
}

/// Entries in memory.
#[derive(Debug, Default)]
struct Recent(HashTable<Content>);

/// Entries that are kept in memory, 3 MiB, before they are written.
pub(crate) const MAX_RECENT: usize = 1 << 16;

/// Segments without names that are open before they are merged.
const MAX_UNNAMED: usize = 32;

/// A table of contents and places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    recent: Recent,
    /// Those that are being written.
    frozen: Arc<Recent>,
    /// The last are the youngest.
    segments: Vec<Arc<Segment>>,
}

impl Places {
    /// What these segments hold, which are the store's.
    pub(crate) fn of_segments(segments: Vec<Segment>) -> Self {
        Self {
            segments: segments.into_iter().map(Arc::new).collect(),
            ..Self::default()
        }
    }

    /// Says where contents are.
    pub(crate) fn insert(&mut self, hash: ContentHash, place: Place) {
        self.recent.insert(Content { hash, place });
    }

    /// The entries of a table that has no segments.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Content> {
        self.recent.0.iter()
    }

    /// Entries that are in memory only.
    pub(crate) fn unwritten(&self) -> usize {
        self.recent.0.len()
    }

    /// Where contents may be, the place that was said last first.
    pub(crate) fn find(&self, hash: &ContentHash) -> impl Iterator<Item = Place> {
        let in_memory = [self.recent.find(hash), self.frozen.find(hash)];
        let on_disk = self.segments.iter().rev().filter_map(move |segment| {
            let found = segment.find(hash);
            // Contents that are not found are written again.
            found.unwrap_or_else(|error| {
                tracing::debug!(error = %nix_formats::chain(&error), "an index of contents can't be read");
                None
            })
        });
        in_memory.into_iter().flatten().chain(on_disk)
    }

    /// Whether more is in memory, or in files without names, than should be.
    pub(crate) fn is_large(&self) -> bool {
        let named = self
            .segments
            .iter()
            .filter(|segment| segment.number.is_some());
        self.unwritten() > 2 * MAX_RECENT || self.segments.len() - named.count() > MAX_UNNAMED
    }

    /// Takes over all that another table has, whose files have no names.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.segments.extend(other.segments);
        for content in other.frozen.0.iter().chain(&other.recent.0) {
            self.recent.insert(*content);
        }
    }

    /// Writes what is in memory to a file that has no name, which is made at `path`.
    pub(crate) fn spill(&mut self, path: &Path) -> Result<(), FileError> {
        let merge = self.begin_merge(self.segments.len());
        let merged = merge.run(path, |_| true)?;
        merged.unname()?;
        self.end_merge(&merge, merged);
        Ok(())
    }

    /// Begins to write what is in memory to one of the store's segments, merged with all segments that have no names. One at a
    /// time.
    pub(crate) fn begin_save(&mut self) -> Merge {
        let named = self
            .segments
            .iter()
            .take_while(|segment| segment.number.is_some());
        self.begin_merge(named.count())
    }

    /// What is in memory, the segments from this one on, and those before that are not much larger.
    fn begin_merge(&mut self, mut start: usize) -> Merge {
        self.frozen = Arc::new(std::mem::take(&mut self.recent));
        let sizes = |segments: &[Arc<Segment>]| {
            segments
                .iter()
                .map(|segment| segment.entries())
                .sum::<u64>()
        };
        let mut entries = self.frozen.0.len() as u64 + sizes(&self.segments[start..]);
        while entries > 0
            && let Some(before) = start.checked_sub(1)
            && self.segments[before].entries() <= 2 * entries
        {
            start = before;
            entries += self.segments[start].entries();
        }
        Merge {
            frozen: Arc::clone(&self.frozen),
            start,
            segments: self.segments[start..].to_vec(),
            entries,
        }
    }

    /// Puts a segment in the place of what it was made of.
    pub(crate) fn end_merge(&mut self, merge: &Merge, merged: Segment) {
        // Others may have come since, behind these.
        let merged_ones = merge.start..merge.start + merge.segments.len();
        self.segments.splice(merged_ones, [Arc::new(merged)]);
        self.frozen = Arc::default();
    }

    /// Forgets what is in memory, for it can't be written.
    pub(crate) fn forget(&mut self) {
        self.frozen = Arc::default();
        self.recent = Recent::default();
    }

    /// The numbers of the segments that are the store's.
    pub(crate) fn numbers(&self) -> Vec<PackId> {
        let segments = self.segments.iter();
        segments.filter_map(|segment| segment.number).collect()
    }
}

/// Entries to be written to one segment.
#[derive(Debug)]
pub(crate) struct Merge {
    frozen: Arc<Recent>,
    /// Where the segments stand.
    start: usize,
    pub(crate) segments: Vec<Arc<Segment>>,
    entries: u64,
}

impl Merge {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Writes them to a new file at `path`, but for packs that do not stay.
    pub(crate) fn run(
        &self,
        path: &Path,
        stays: impl Fn(PackId) -> bool,
    ) -> Result<Segment, FileError> {
        let mut added: Vec<Content> = self.frozen.0.iter().copied().collect();
        added.sort_unstable_by_key(|content| content.hash);
        let mut sources: Vec<segment::Sorted<'_>> = vec![Box::new(added.into_iter().map(Ok))];
        for segment in self.segments.iter().rev() {
            sources.push(Box::new(segment.iter()));
        }
        segment::merge(sources, self.entries, path, stays)
    }
}

impl Recent {
    fn find(&self, hash: &ContentHash) -> Option<Place> {
        let found = self.0.find(word(hash, 0), |content| content.hash == *hash);
        found.map(|content| content.place)
    }

    fn insert(&mut self, content: Content) {
        let rehash = |content: &Content| word(&content.hash, 0);
        let is_same = |other: &Content| other.hash == content.hash;
        let entry = self.0.entry(word(&content.hash, 0), is_same, rehash);
        *entry.or_insert(content).get_mut() = content;
    }
}

/// The number at byte `at`, little-endian: of a hash as good as another hash of it.
fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
