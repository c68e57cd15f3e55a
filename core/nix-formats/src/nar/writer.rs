//! Writing a NAR as a stream.

use std::io;

use thiserror::Error;

use super::{MAGIC, MAX_DEPTH, is_valid_name, is_valid_target, padding, unexpected_end};

/// Why a NAR can't be written.
#[derive(Debug, Error)]
pub enum WriterError {
    /// A name that no directory entry may have.
    #[error("NAR contains invalid file name '{0}'")]
    InvalidName(String),
    /// An entry does not follow the one before it.
    #[error("NAR directory is not sorted: '{name}' comes after '{previous}'")]
    NotSorted {
        /// The entry.
        name: String,
        /// The one before it.
        previous: String,
    },
    /// A symlink target that is empty, too long or has a NUL byte.
    #[error("NAR contains invalid symlink target '{0}'")]
    InvalidTarget(String),
    /// Directories are nested too deeply.
    #[error("path exceeds maximum NAR directory depth of {MAX_DEPTH}")]
    TooDeep,
    /// The calls don't make up a tree.
    #[error("{0}")]
    OutOfOrder(&'static str),
    /// What is written to, or read from, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a NAR to `W`, driven by the caller: one object, where a directory is
/// [`Writer::begin_directory`], then for each name in byte order
/// [`Writer::entry`] and that entry's object, then [`Writer::end_directory`].
///
/// Small tokens are gathered, so `W` need not be buffered.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
    /// Names last seen in the directories that are open.
    open: Vec<Vec<u8>>,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// An object: the root's or an entry's.
    Node,
    /// `size` more bytes of a regular file, then padding for `total`.
    Contents { left: u64, total: u64 },
    /// An entry or the directory's end.
    Entry,
    /// Nothing.
    Done,
}

const FLUSH_AT: usize = 16 * 1024;

impl<W: io::Write> Writer<W> {
    /// A writer of one NAR.
    pub fn new(out: W) -> Self {
        let mut writer = Self {
            out,
            buffer: Vec::with_capacity(FLUSH_AT),
            open: Vec::new(),
            next: Next::Node,
        };
        writer.token(MAGIC.as_bytes());
        writer
    }

    /// Starts a directory.
    pub fn begin_directory(&mut self) -> Result<(), WriterError> {
        self.begin_node()?;
        self.token(b"type");
        self.token(b"directory");
        self.open.push(Vec::new());
        self.next = Next::Entry;
        self.drain(FLUSH_AT)
    }

    /// Names the next entry of the directory that is open; its object follows.
    pub fn entry(&mut self, name: &[u8]) -> Result<(), WriterError> {
        if self.next != Next::Entry {
            return Err(WriterError::OutOfOrder("an entry outside of a directory"));
        }
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if !is_valid_name(name) {
            return Err(WriterError::InvalidName(text(name)));
        }
        if let Some(previous) = self.open.last_mut() {
            if name <= previous.as_slice() {
                return Err(WriterError::NotSorted {
                    name: text(name),
                    previous: text(previous),
                });
            }
            previous.clear();
            previous.extend_from_slice(name);
        }
        for token in [b"entry".as_slice(), b"(", b"name", name, b"node"] {
            self.token(token);
        }
        self.next = Next::Node;
        self.drain(FLUSH_AT)
    }

    /// Ends the directory that is open.
    pub fn end_directory(&mut self) -> Result<(), WriterError> {
        if self.next != Next::Entry || self.open.pop().is_none() {
            return Err(WriterError::OutOfOrder(
                "the end of a directory that is not open",
            ));
        }
        self.end_node();
        self.drain(FLUSH_AT)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, target: &[u8]) -> Result<(), WriterError> {
        if !is_valid_target(target) {
            return Err(WriterError::InvalidTarget(
                String::from_utf8_lossy(target).into_owned(),
            ));
        }
        self.begin_node()?;
        for token in [b"type".as_slice(), b"symlink", b"target", target] {
            self.token(token);
        }
        self.end_node();
        self.drain(FLUSH_AT)
    }

    /// A regular file whose contents are in memory.
    pub fn file(&mut self, executable: bool, contents: &[u8]) -> Result<(), WriterError> {
        self.begin_file(executable, contents.len() as u64)?;
        self.contents(contents)?;
        self.end_file()
    }

    /// A regular file of this size, whose contents are read from `contents`.
    pub fn file_from(
        &mut self,
        executable: bool,
        size: u64,
        contents: &mut impl io::Read,
    ) -> Result<(), WriterError> {
        self.begin_file(executable, size)?;
        let mut chunk = vec![0; (size.min(128 * 1024)) as usize];
        while let Next::Contents { left, .. } = self.next
            && left > 0
        {
            let room = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match contents.read(&mut chunk[..room]) {
                Ok(0) => return Err(unexpected_end().into()),
                Ok(count) => self.contents(&chunk[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.end_file()
    }

    /// Starts a regular file of this size. [`Writer::contents`] follows, then
    /// [`Writer::end_file`].
    pub fn begin_file(&mut self, executable: bool, size: u64) -> Result<(), WriterError> {
        self.begin_node()?;
        self.token(b"type");
        self.token(b"regular");
        if executable {
            self.token(b"executable");
            self.token(b"");
        }
        self.token(b"contents");
        self.buffer.extend_from_slice(&size.to_le_bytes());
        self.next = Next::Contents {
            left: size,
            total: size,
        };
        Ok(())
    }

    /// The next piece of a regular file's contents.
    pub fn contents(&mut self, piece: &[u8]) -> Result<(), WriterError> {
        let Next::Contents { left, total } = self.next else {
            return Err(WriterError::OutOfOrder("contents outside of a file"));
        };
        let left = left
            .checked_sub(piece.len() as u64)
            .ok_or(WriterError::OutOfOrder(
                "more contents than the file's size",
            ))?;
        self.next = Next::Contents { left, total };
        if self.buffer.len() + piece.len() <= FLUSH_AT {
            self.buffer.extend_from_slice(piece);
            return Ok(());
        }
        self.drain(0)?;
        Ok(self.out.write_all(piece)?)
    }

    /// Ends a regular file.
    pub fn end_file(&mut self) -> Result<(), WriterError> {
        let Next::Contents { left: 0, total } = self.next else {
            return Err(WriterError::OutOfOrder(
                "the end of a file before its size was reached",
            ));
        };
        self.buffer.extend_from_slice(&[0; 8][..padding(total)]);
        self.end_node();
        self.drain(FLUSH_AT)
    }

    /// Ends the NAR and gives back what was written to.
    pub fn finish(mut self) -> Result<W, WriterError> {
        if self.next != Next::Done {
            return Err(WriterError::OutOfOrder(
                "the end of a NAR that is not complete",
            ));
        }
        self.drain(0)?;
        Ok(self.out)
    }

    fn begin_node(&mut self) -> Result<(), WriterError> {
        if self.next != Next::Node {
            return Err(WriterError::OutOfOrder("an object where none may be"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(WriterError::TooDeep);
        }
        self.token(b"(");
        Ok(())
    }

    fn end_node(&mut self) {
        self.token(b")");
        if self.open.is_empty() {
            self.next = Next::Done;
        } else {
            self.token(b")");
            self.next = Next::Entry;
        }
    }

    fn token(&mut self, token: &[u8]) {
        self.buffer
            .extend_from_slice(&(token.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(token);
        self.buffer
            .extend_from_slice(&[0; 8][..padding(token.len() as u64)]);
    }

    /// Writes the buffer out if it holds `limit` bytes or more.
    fn drain(&mut self, limit: usize) -> Result<(), WriterError> {
        if self.buffer.len() >= limit && !self.buffer.is_empty() {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}
