//! Scanning contents for the store paths they name.

use std::collections::{BTreeSet, HashMap};
use std::io;

use crate::nix32;
use crate::store_path::{HASH_PART_LEN, StorePath};

/// Finds which of a set of store paths are named in what is written to it, by
/// their hash parts. What is split over two writes is found too.
#[derive(Debug, Clone)]
pub struct RefScanner {
    wanted: HashMap<[u8; HASH_PART_LEN], StorePath>,
    found: BTreeSet<StorePath>,
    /// The last bytes seen, fewer than a hash part has.
    tail: Vec<u8>,
}

impl RefScanner {
    /// A scanner for these paths.
    pub fn new(paths: impl IntoIterator<Item = StorePath>) -> Self {
        let wanted = paths
            .into_iter()
            .filter_map(|path| Some((path.hash_part().as_bytes().try_into().ok()?, path)))
            .collect();
        Self {
            wanted,
            found: BTreeSet::new(),
            tail: Vec::new(),
        }
    }

    /// Scans the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        if self.wanted.is_empty() {
            return;
        }
        const KEEP: usize = HASH_PART_LEN - 1;
        if !self.tail.is_empty() {
            let mut seam = std::mem::take(&mut self.tail);
            seam.extend_from_slice(&piece[..piece.len().min(KEEP)]);
            self.search(&seam);
            self.tail = seam;
        }
        self.search(piece);
        if piece.len() >= KEEP {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - KEEP..]);
        } else {
            // The seam, if there was one, already ends with this piece.
            if self.tail.is_empty() {
                self.tail.extend_from_slice(piece);
            }
            let surplus = self.tail.len().saturating_sub(KEEP);
            self.tail.drain(..surplus);
        }
    }

    /// The paths that were found.
    pub fn found(&self) -> &BTreeSet<StorePath> {
        &self.found
    }

    fn search(&mut self, text: &[u8]) {
        let mut start = 0;
        while let Some(window) = text.get(start..start + HASH_PART_LEN) {
            // From the back, so that most text is skipped a window at a time.
            if let Some(index) = window.iter().rposition(|&byte| !nix32::is_digit(byte)) {
                start += index + 1;
                continue;
            }
            if let Some(path) = self.wanted.remove(window) {
                self.found.insert(path);
            }
            start += 1;
        }
    }
}

impl io::Write for RefScanner {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
