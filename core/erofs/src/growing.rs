//! Bytes that grow, of which all but the last may lie outside of memory.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Where bytes of an image are kept until it is written: as a rule a file that has no name.
pub trait Scratch: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Scratch for T {}

/// The most bytes that are kept in memory if there is scratch space, and how many of them then go there.
const MOST: usize = 4 << 20;
const MOVED: usize = 3 << 20;

/// Bytes that grow. The first failure is kept, and given when they are read.
pub(crate) struct Growing {
    scratch: Option<Box<dyn Scratch>>,
    /// Bytes in the scratch space; the others follow.
    moved: usize,
    last: Vec<u8>,
    failure: Option<io::Error>,
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growing")
            .field("length", &self.len())
            .finish_non_exhaustive()
    }
}

impl Growing {
    /// Without scratch space all is kept in memory.
    pub(crate) fn new(scratch: Option<Box<dyn Scratch>>) -> Self {
        Self {
            scratch,
            moved: 0,
            last: Vec::new(),
            failure: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.moved + self.last.len()
    }

    /// Adds zeros.
    pub(crate) fn grow(&mut self, count: usize) {
        self.last.resize(self.last.len() + count, 0);
        if let Some(scratch) = &mut self.scratch
            && self.last.len() > MOST
        {
            let moved = &self.last[..MOVED];
            let written = scratch
                .seek(SeekFrom::Start(self.moved as u64))
                .and_then(|_| scratch.write_all(moved));
            self.moved += MOVED;
            self.last.drain(..MOVED);
            self.note(written);
        }
    }

    /// Changes bytes that are there.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        let in_scratch = self.moved.saturating_sub(at).min(bytes.len());
        let (moved, last) = bytes.split_at(in_scratch);
        if !last.is_empty() {
            let start = at + in_scratch - self.moved;
            self.last[start..start + last.len()].copy_from_slice(last);
        }
        if let Some(scratch) = &mut self.scratch
            && !moved.is_empty()
        {
            let written = scratch
                .seek(SeekFrom::Start(at as u64))
                .and_then(|_| scratch.write_all(moved));
            self.note(written);
        }
    }

    /// Adds bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(MOVED) {
            let at = self.len();
            self.grow(piece.len());
            self.put(at, piece);
        }
    }

    /// Gives all bytes, piece by piece.
    pub(crate) fn read(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(scratch) = &mut self.scratch {
            scratch.seek(SeekFrom::Start(0))?;
            let mut piece = vec![0; (256 << 10).min(self.moved)];
            let mut left = self.moved;
            while left > 0 {
                let count = piece.len().min(left);
                scratch.read_exact(&mut piece[..count])?;
                take(&piece[..count])?;
                left -= count;
            }
        }
        take(&self.last)
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn all(growing: &mut Growing) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = growing.read(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        read.unwrap();
        bytes
    }

    #[test]
    fn what_is_in_the_scratch_space_is_as_in_memory() {
        let mut spilled = Growing::new(Some(Box::new(Cursor::new(Vec::new()))));
        let mut kept = Growing::new(None);
        for growing in [&mut spilled, &mut kept] {
            for round in 0..40_u8 {
                growing.extend(&vec![round; 300_001]);
                growing.grow(7);
                // Long ago, just now, and across the border of what was moved.
                growing.put(usize::from(round), &[0xff; 3]);
                growing.put(growing.len() - 5, &[0xfe; 5]);
                let border = growing.moved.max(1) - 1;
                growing.put(border, &[0xfd; 2]);
            }
        }
        assert!(spilled.moved > 0 && spilled.last.len() <= MOST);
        let borders: Vec<usize> = (1..4).map(|number| number * MOVED - 1).collect();
        let (mut spilled, mut kept) = (all(&mut spilled), all(&mut kept));
        for bytes in [&mut spilled, &mut kept] {
            for border in &borders {
                bytes[*border..border + 2].fill(0);
            }
            bytes[..2].fill(0);
        }
        assert!(spilled == kept);
    }

    #[test]
    fn a_failure_is_told_in_the_end() {
        let full = Cursor::new(vec![0; 1024].into_boxed_slice());
        let mut growing = Growing::new(Some(Box::new(full)));
        growing.grow(MOST + 1);
        growing.grow(MOST + 1);
        assert!(growing.read(|_| Ok(())).is_err());
    }
}
