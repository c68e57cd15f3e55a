//! A file that is being written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Mode, fchmod, ftruncate, futimens};

use crate::writer::TIMES;
use crate::{Modes, TreeError};

/// Runs of zeros this long become holes.
const HOLE: usize = 64 << 10;

/// A file of a tree that is being written, from its start to its end.
#[derive(Debug)]
pub struct TreeFile {
    pub(crate) file: File,
    /// For messages.
    pub(crate) path: PathBuf,
    pub(crate) modes: Modes,
    pub(crate) executable: bool,
    pub(crate) size: u64,
    pub(crate) offset: u64,
    /// How far the file reaches on the disk.
    pub(crate) end: u64,
}

impl TreeFile {
    /// Writes the next piece of the contents.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), TreeError> {
        let start = self.offset;
        self.advance(piece.len() as u64)?;
        let mut data = 0;
        for (index, part) in piece.chunks(HOLE).enumerate() {
            if part.len() == HOLE && part.iter().all(|&byte| byte == 0) {
                let hole = index * HOLE;
                self.write_at(&piece[data..hole], start + data as u64)?;
                data = hole + HOLE;
            }
        }
        self.write_at(&piece[data..], start + data as u64)
    }

    fn write_at(&mut self, data: &[u8], start: u64) -> Result<(), TreeError> {
        if data.is_empty() {
            return Ok(());
        }
        self.file
            .write_all_at(data, start)
            .map_err(|source| self.failed("write", source))?;
        self.end = start + data.len() as u64;
        Ok(())
    }

    /// Leaves out `count` bytes, which read as zeros.
    pub fn skip(&mut self, count: u64) -> Result<(), TreeError> {
        self.advance(count)
    }

    /// Writes all that is left of the contents.
    pub fn copy_from(&mut self, contents: &mut impl Read) -> Result<(), TreeError> {
        let mut chunk = vec![0; (self.size - self.offset).min(128 << 10) as usize];
        while self.offset < self.size {
            let room = chunk.len().min((self.size - self.offset) as usize);
            match contents.read(&mut chunk[..room]) {
                Ok(0) => break,
                Ok(count) => self.write(&chunk[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed("read the contents of", source)),
            }
        }
        Ok(())
    }

    /// Ends the file, whose contents have to be complete.
    pub fn finish(self) -> Result<(), TreeError> {
        if self.offset < self.size {
            return Err(self.wrong_size(Some(self.offset)));
        }
        if self.end < self.size {
            ftruncate(&self.file, self.size)
                .map_err(|source| self.failed("write", source.into()))?;
        }
        if let Some(mode) = self.modes.of_file(self.executable) {
            fchmod(&self.file, Mode::from_raw_mode(mode))
                .map_err(|source| self.failed("change the mode of", source.into()))?;
        }
        if self.modes == Modes::Store {
            futimens(&self.file, &TIMES)
                .map_err(|source| self.failed("change the time of", source.into()))?;
        }
        Ok(())
    }

    fn advance(&mut self, count: u64) -> Result<(), TreeError> {
        match self.offset.checked_add(count) {
            Some(offset) if offset <= self.size => {
                self.offset = offset;
                Ok(())
            }
            _ => Err(self.wrong_size(None)),
        }
    }

    fn wrong_size(&self, found: Option<u64>) -> TreeError {
        TreeError::Size {
            path: self.path.clone(),
            expected: self.size,
            found,
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> TreeError {
        TreeError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}
