//! Files and their parts.

use std::fmt;
use std::ops::Range;

/// Bytes of every part but a file's last. Large enough that requests are few, small enough that the parts of one large file are
/// spread over many nodes.
pub const PART_SIZE: u64 = 4 << 20;

/// A file of a cache: a digest of both names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 32]);

impl FileId {
    /// The file with this name in this cache.
    pub fn new(cache: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("niphas mesh 2026 file of a cache");
        hasher.update(&(cache.len() as u64).to_le_bytes());
        hasher.update(cache.as_bytes());
        hasher.update(name.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A part of a file: what nodes ask each other for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The file.
    pub file: FileId,
    /// The part's place in the file, counted from 0.
    pub index: u32,
}

impl Part {
    /// The bytes of the file that the part has at most; its last part may have fewer.
    pub fn range(self) -> Range<u64> {
        let start = u64::from(self.index) * PART_SIZE;
        start..start + PART_SIZE
    }

    /// The bytes of the part in a file of `size` bytes. Every file has a first part, and it may be empty.
    pub fn size_within(self, size: u64) -> Option<u64> {
        let start = self.range().start;
        (start < size || self.index == 0).then(|| PART_SIZE.min(size.saturating_sub(start)))
    }

    /// Depends on all bits of the part.
    pub(crate) fn seed(self) -> u64 {
        let mut seed = u64::from(self.index);
        for bytes in self.file.0.as_chunks::<8>().0 {
            seed = mix(seed ^ u64::from_le_bytes(*bytes));
        }
        seed
    }
}

/// A bijection that spreads every bit over all: the last step of `SplitMix64`.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_file_without_gap() {
        for size in [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 5 * PART_SIZE] {
            let file = FileId::new("https://cache", "nar/x");
            let parts = (0..).map_while(|index| Part { file, index }.size_within(size));
            let sizes: Vec<u64> = parts.collect();
            assert_eq!(sizes.iter().sum::<u64>(), size);
            assert_eq!(sizes.len() as u64, size.div_ceil(PART_SIZE).max(1));
        }
    }

    #[test]
    fn a_file_is_one_of_its_cache() {
        assert_ne!(FileId::new("ab", "c"), FileId::new("a", "bc"));
        assert_eq!(FileId::new("a", "b"), FileId::new("a", "b"));
    }
}
