//! Rewriting hash parts of store paths in bytes that go by.

use std::io::{self, Read};

use memchr::memmem::Finder;
use nix_formats::store_path::HASH_PART_LEN;

/// A hash part, as text.
pub(super) type HashPart = [u8; HASH_PART_LEN];

/// What stands for the hash part of a path while it is not known, when contents are hashed.
pub(super) const NO_HASH: HashPart = [0; HASH_PART_LEN];

/// Which hash part is written in the place of which.
pub(super) type Rewrites = Vec<(HashPart, HashPart)>;

/// Bytes that are read at once.
const PIECE: usize = 128 << 10;

/// Reads what another reader gives, with hash parts rewritten, wherever they are.
pub(super) struct Rewriting<'a, R> {
    inner: R,
    rewrites: Vec<(Finder<'a>, HashPart)>,
    buffer: Vec<u8>,
    given: usize,
    /// The end of what cannot be the start of a hash part.
    settled: usize,
    has_ended: bool,
}

impl<'a, R: Read> Rewriting<'a, R> {
    pub(super) fn new(inner: R, rewrites: &'a [(HashPart, HashPart)]) -> Self {
        let rewrites = rewrites.iter();
        Self {
            inner,
            rewrites: rewrites
                .map(|(from, to)| (Finder::new(from), *to))
                .collect(),
            buffer: Vec::new(),
            given: 0,
            settled: 0,
            has_ended: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.given);
        self.given = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + PIECE, 0);
        let mut end = start;
        while end < self.buffer.len() {
            match self.inner.read(&mut self.buffer[end..]) {
                Ok(0) => {
                    self.has_ended = true;
                    break;
                }
                Ok(count) => end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(end);
        for (from, to) in &self.rewrites {
            let mut at = 0;
            while let Some(found) = from.find(&self.buffer[at..]) {
                at += found;
                self.buffer[at..at + HASH_PART_LEN].copy_from_slice(to);
                at += HASH_PART_LEN;
            }
        }
        self.settled = if self.has_ended {
            end
        } else {
            end.saturating_sub(HASH_PART_LEN - 1)
        };
        Ok(())
    }
}

impl<R: Read> Read for Rewriting<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.settled && !self.has_ended {
            self.fill()?;
        }
        let rest = &self.buffer[self.given..self.settled];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at once.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn hash_parts_are_rewritten_wherever_pieces_end() {
        let (from, to) = (
            *b"0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h",
            *b"s66mzxpvicwk07gjbjfw9izjfa797vsw",
        );
        let rewrites = [(from, to), (*b"11111111111111111111111111111111", NO_HASH)];
        for before in (0..70).chain(PIECE - 40..PIECE + 10).chain([2 * PIECE - 5]) {
            let mut bytes = vec![b'x'; before];
            bytes.extend_from_slice(&from);
            bytes.extend_from_slice(b"/bin");
            bytes.extend_from_slice(&from);
            bytes.extend_from_slice(&from[..31]);
            let mut wanted = vec![b'x'; before];
            wanted.extend_from_slice(&to);
            wanted.extend_from_slice(b"/bin");
            wanted.extend_from_slice(&to);
            wanted.extend_from_slice(&from[..31]);
            let mut found = Vec::new();
            let mut reader = Rewriting::new(Slowly(&bytes, 4099), &rewrites);
            reader.read_to_end(&mut found).unwrap();
            assert!(found == wanted, "{before}");
        }
        let mut found = Vec::new();
        Rewriting::new(b"".as_slice(), &rewrites)
            .read_to_end(&mut found)
            .unwrap();
        assert!(found.is_empty());
    }
}
