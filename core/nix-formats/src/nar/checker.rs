//! Checking a NAR that is written somewhere, as it goes by.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use super::{Event, MAX_NAME_LEN, MAX_TARGET_LEN, Reader, ReaderError};

/// More bytes than there are from any event of a NAR to the next, contents of files aside.
const MOST_AT_ONCE: usize = MAX_TARGET_LEN + MAX_NAME_LEN + 1024;

/// What is gathered before it is looked at.
const BATCH: usize = 4 * MOST_AT_ONCE;

/// Takes the NAR that is written to it apart as [`Reader`] does, and keeps nothing. A write fails once it is clear that the
/// NAR is not sound.
#[derive(Debug)]
pub struct Checker {
    reader: Reader<Pending>,
    objects: u64,
}

/// Bytes that were written and not yet read.
#[derive(Debug, Default)]
struct Pending(VecDeque<u8>);

impl Read for Pending {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            reader: Reader::of_size(Pending::default(), BATCH as u64),
            objects: 0,
        }
    }
}

impl Checker {
    /// Checks the next piece.
    pub fn update(&mut self, mut piece: &[u8]) -> Result<(), ReaderError> {
        while !piece.is_empty() {
            let contents = self.reader.contents_left();
            let (now, later) = if contents > 0 && self.buffered() == 0 {
                // Large files are not even copied.
                let count = contents.min(piece.len() as u64);
                self.reader.pass_contents(count);
                (0, count as usize)
            } else {
                let count = piece.len().min(BATCH);
                (count, count)
            };
            self.reader.source().0.extend(&piece[..now]);
            piece = &piece[later..];
            self.read_events()?;
        }
        Ok(())
    }

    /// How many files, directories and symlinks were seen so far, about: what came last may not have been looked at.
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// The NAR is all there.
    pub fn finish(mut self) -> Result<(), ReaderError> {
        while self.reader.next_event()?.is_some() {}
        Ok(())
    }

    /// Reads the events that are there as a whole for sure.
    fn read_events(&mut self) -> Result<(), ReaderError> {
        loop {
            let contents = self.reader.contents_left();
            let count = contents.min(self.buffered() as u64);
            self.reader.skip_contents(count)?;
            if count < contents || self.buffered() < MOST_AT_ONCE {
                return Ok(());
            }
            if let Some(event) = self.reader.next_event()?
                && !matches!(event, Event::Entry(_) | Event::EndDirectory)
            {
                self.objects += 1;
            }
        }
    }

    fn buffered(&mut self) -> usize {
        self.reader.buffered() + self.reader.source().0.len()
    }
}

impl Write for Checker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.update(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
