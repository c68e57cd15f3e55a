//! Reading a NAR as a stream, from a source that is not trusted.

use std::io::{self, BufRead, Read};

use thiserror::Error;

use super::{
    MAGIC, MAX_DEPTH, MAX_NAME_LEN, MAX_TARGET_LEN, is_valid_name, is_valid_target, padding,
};

/// What comes next in a NAR. The whole is one object: a directory is
/// [`Event::Directory`], its entries each followed by their object, and
/// [`Event::EndDirectory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A directory starts.
    Directory,
    /// The name of a directory entry, whose object follows.
    Entry(Vec<u8>),
    /// The directory ends.
    EndDirectory,
    /// A regular file. Its contents can be read from the reader until the next
    /// event is asked for; what is left unread is skipped.
    File {
        /// Whether it is executable.
        executable: bool,
        /// Its size in bytes.
        size: u64,
        /// Where in the NAR its contents start.
        offset: u64,
    },
    /// A symbolic link.
    Symlink(Vec<u8>),
}

/// Why a NAR is refused.
#[derive(Debug, Error)]
pub enum ReaderError {
    /// The first token is another one.
    #[error("bad archive: input doesn't look like a Nix archive")]
    NotAnArchive,
    /// A token is not what it must be.
    #[error("bad archive: expected {expected}, got '{found}' at byte {offset}")]
    UnexpectedToken {
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
        /// Where it starts.
        offset: u64,
    },
    /// A token is longer than any may be there.
    #[error("bad archive: string of {length} bytes is too long at byte {offset}")]
    TooLong {
        /// Its length.
        length: u64,
        /// Where it starts.
        offset: u64,
    },
    /// Padding that is not zero.
    #[error("bad archive: non-zero padding before byte {0}")]
    Padding(u64),
    /// A name that no directory entry may have.
    #[error("bad archive: NAR contains invalid file name '{0}'")]
    InvalidName(String),
    /// An entry does not follow the one before it.
    #[error("bad archive: NAR directory is not sorted: '{name}' comes after '{previous}'")]
    NotSorted {
        /// The entry.
        name: String,
        /// The one before it.
        previous: String,
    },
    /// A symlink target that is empty or has a NUL byte.
    #[error("bad archive: NAR contains invalid symlink target '{0}'")]
    InvalidTarget(String),
    /// Directories are nested too deeply.
    #[error("bad archive: NAR directory nesting exceeds maximum depth of {MAX_DEPTH}")]
    TooDeep,
    /// Something follows the object.
    #[error("bad archive: data after the end at byte {0}")]
    TrailingData(u64),
    /// The input ends too early.
    #[error("bad archive: it ends at byte {0}, before its end")]
    Truncated(u64),
    /// The input can't be read.
    #[error("cannot read the archive")]
    Io(#[source] io::Error),
}

/// Reads a NAR from `R`, event by event. Memory is bounded whatever the input;
/// names are unique, sorted and free of `/`, NUL, `.` and `..`.
///
/// It buffers, so it may read beyond the archive; but what follows the archive
/// is an error anyway.
#[derive(Debug)]
pub struct Reader<R> {
    input: io::BufReader<R>,
    offset: u64,
    /// Names last seen in the directories that are open.
    open: Vec<Vec<u8>>,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Magic,
    Node,
    Contents { left: u64, total: u64 },
    Entry,
    End,
    Done,
}

/// Tokens are 10 bytes at most; some more make messages better.
const MAX_TOKEN_LEN: usize = 32;

impl<R: Read> Reader<R> {
    /// A reader of one NAR.
    pub fn new(input: R) -> Self {
        Self::of_size(input, u64::MAX)
    }

    /// A reader of one NAR that has about as many bytes, which saves memory
    /// where that is little.
    pub fn of_size(input: R, size: u64) -> Self {
        let capacity = size.clamp(512, 64 * 1024) as usize;
        Self {
            input: io::BufReader::with_capacity(capacity, input),
            offset: 0,
            open: Vec::new(),
            next: Next::Magic,
        }
    }

    /// Bytes of the NAR read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where it reads from.
    pub(super) fn source(&mut self) -> &mut R {
        self.input.get_mut()
    }

    /// Bytes that were read from the source and are no part of an event yet.
    pub(super) fn buffered(&self) -> usize {
        self.input.buffer().len()
    }

    /// Bytes of a file's contents that are to come.
    pub(super) fn contents_left(&self) -> u64 {
        match self.next {
            Next::Contents { left, .. } => left,
            _ => 0,
        }
    }

    /// Has the next `count` bytes of the contents be read elsewhere.
    pub(super) fn pass_contents(&mut self, count: u64) {
        if let Next::Contents { left, .. } = &mut self.next {
            *left -= count;
            self.offset += count;
        }
    }

    /// Skips the next `count` bytes of the contents.
    pub(super) fn skip_contents(&mut self, count: u64) -> Result<(), ReaderError> {
        self.skip(count)?;
        if let Next::Contents { left, .. } = &mut self.next {
            *left -= count;
        }
        Ok(())
    }

    /// The next event; `None` once the NAR is complete and nothing follows it.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReaderError> {
        loop {
            match self.next {
                Next::Magic => {
                    match self.token(MAGIC.len()) {
                        Ok(magic) if magic == MAGIC.as_bytes() => {}
                        Err(error @ ReaderError::Io(_)) => return Err(error),
                        _ => return Err(ReaderError::NotAnArchive),
                    }
                    self.next = Next::Node;
                }
                Next::Node => return self.node().map(Some),
                Next::Contents { left, total } => {
                    self.skip(left)?;
                    self.pad(total)?;
                    self.expect(b")", "')'")?;
                    self.end_node()?;
                }
                Next::Entry => return self.entry().map(Some),
                Next::End => {
                    if !self.fill()?.is_empty() {
                        return Err(ReaderError::TrailingData(self.offset));
                    }
                    self.next = Next::Done;
                }
                Next::Done => return Ok(None),
            }
        }
    }

    fn node(&mut self) -> Result<Event, ReaderError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(ReaderError::TooDeep);
        }
        self.expect(b"(", "'('")?;
        self.expect(b"type", "'type'")?;
        let offset = self.offset;
        let kind = self.token(MAX_TOKEN_LEN)?;
        match kind.as_slice() {
            b"directory" => {
                self.open.push(Vec::new());
                self.next = Next::Entry;
                Ok(Event::Directory)
            }
            b"regular" => self.file(),
            b"symlink" => {
                self.expect(b"target", "'target'")?;
                let target = self.token(MAX_TARGET_LEN)?;
                if !is_valid_target(&target) {
                    return Err(ReaderError::InvalidTarget(shown(&target)));
                }
                self.expect(b")", "')'")?;
                self.end_node()?;
                Ok(Event::Symlink(target))
            }
            _ => Err(unexpected("a file type", &kind, offset)),
        }
    }

    fn file(&mut self) -> Result<Event, ReaderError> {
        let mut offset = self.offset;
        let mut tag = self.token(MAX_TOKEN_LEN)?;
        let executable = tag == b"executable";
        if executable {
            self.token(0)?;
            offset = self.offset;
            tag = self.token(MAX_TOKEN_LEN)?;
        }
        if tag != b"contents" {
            return Err(unexpected("'contents'", &tag, offset));
        }
        let size = self.number()?;
        self.next = Next::Contents {
            left: size,
            total: size,
        };
        Ok(Event::File {
            executable,
            size,
            offset: self.offset,
        })
    }

    fn entry(&mut self) -> Result<Event, ReaderError> {
        let offset = self.offset;
        let tag = self.token(MAX_TOKEN_LEN)?;
        match tag.as_slice() {
            b")" => {
                self.open.pop();
                self.end_node()?;
                return Ok(Event::EndDirectory);
            }
            b"entry" => {}
            _ => return Err(unexpected("'entry' or ')'", &tag, offset)),
        }
        self.expect(b"(", "'('")?;
        self.expect(b"name", "'name'")?;
        let name = self.token(MAX_NAME_LEN)?;
        if !is_valid_name(&name) {
            return Err(ReaderError::InvalidName(shown(&name)));
        }
        if let Some(previous) = self.open.last_mut() {
            if name <= *previous {
                return Err(ReaderError::NotSorted {
                    name: shown(&name),
                    previous: shown(previous),
                });
            }
            previous.clone_from(&name);
        }
        self.expect(b"node", "'node'")?;
        self.next = Next::Node;
        Ok(Event::Entry(name))
    }

    /// An object is complete but for what the directory around it adds.
    fn end_node(&mut self) -> Result<(), ReaderError> {
        if self.open.is_empty() {
            self.next = Next::End;
        } else {
            self.expect(b")", "')'")?;
            self.next = Next::Entry;
        }
        Ok(())
    }

    fn expect(&mut self, wanted: &[u8], shown: &'static str) -> Result<(), ReaderError> {
        let offset = self.offset;
        let token = self.token(MAX_TOKEN_LEN)?;
        if token == wanted {
            Ok(())
        } else {
            Err(unexpected(shown, &token, offset))
        }
    }

    fn token(&mut self, max: usize) -> Result<Vec<u8>, ReaderError> {
        let offset = self.offset;
        let length = self.number()?;
        if length > max as u64 {
            return Err(ReaderError::TooLong { length, offset });
        }
        let mut token = vec![0; length as usize];
        self.exact(&mut token)?;
        self.pad(length)?;
        Ok(token)
    }

    fn number(&mut self) -> Result<u64, ReaderError> {
        let mut bytes = [0; 8];
        self.exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn pad(&mut self, size: u64) -> Result<(), ReaderError> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..padding(size)];
        self.exact(bytes)?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(ReaderError::Padding(self.offset));
        }
        Ok(())
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), ReaderError> {
        match self.input.read_exact(bytes) {
            Ok(()) => {
                self.offset += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReaderError::Truncated(self.offset))
            }
            Err(error) => Err(ReaderError::Io(error)),
        }
    }

    fn skip(&mut self, mut left: u64) -> Result<(), ReaderError> {
        while left > 0 {
            let available = self.fill()?.len() as u64;
            if available == 0 {
                return Err(ReaderError::Truncated(self.offset));
            }
            let step = available.min(left);
            self.input.consume(step as usize);
            self.offset += step;
            left -= step;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<&[u8], ReaderError> {
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReaderError::Io(error)),
            }
        }
        Ok(self.input.buffer())
    }
}

/// Reads the contents of the file that the last event announced.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Next::Contents { left, total } = self.next else {
            return Ok(0);
        };
        let room = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut bytes[..room])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                ReaderError::Truncated(self.offset),
            ));
        }
        self.offset += count as u64;
        self.next = Next::Contents {
            left: left - count as u64,
            total,
        };
        Ok(count)
    }
}

fn unexpected(expected: &'static str, found: &[u8], offset: u64) -> ReaderError {
    ReaderError::UnexpectedToken {
        expected,
        found: shown(found),
        offset,
    }
}

/// For messages: short, and with nothing in it that plays tricks on terminals.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 256;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let mut text = String::new();
    for character in start.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    if bytes.len() > MOST {
        text.push('…');
    }
    text
}
