//! Writing a pack in one pass over a NAR.

use std::io::{self, Read};
use std::path::PathBuf;

use nix_formats::nar::{Event, Reader, ReaderError};
use nix_formats::{NarInfo, StoreDir};
use thiserror::Error;

use super::draft::Draft;
use super::temporary::{Spilled, TemporaryFile};
use super::{MAX_RECORD_LEN, trailer};
use crate::BLOCK;
use crate::error::FileError;
use crate::layout::PackId;
use crate::places::Places;
use crate::record::{ContentHash, FileNode, Place, RecordWriter};

/// Files of up to this many bytes are read as a whole before it is decided whether they are written.
const SMALL: u64 = 1 << 20;

/// As many bytes are gathered before they are written.
const GATHERED: usize = 1 << 20;

/// The largest NAR of a path that is put with [others](crate::common), in bytes. All of its contents fit into what is
/// gathered: a file has a fifth of a kilobyte in a NAR beside its contents, and takes at most one block more than those.
const SMALL_NAR: u64 = 256 << 10;

/// Pieces in which larger files go by. Those of zeros only are not written.
const PIECE: usize = 256 << 10;

/// The most entries of a NAR: files, directories and symlinks.
const MAX_ENTRIES: u64 = 4_000_000;

/// The most entries of one directory: making an image of it takes about 100 bytes of memory for each.
const MAX_IN_DIRECTORY: u32 = 1_000_000;

/// Contents of the pack whose places are in memory before they are written to a file.
const MAX_OWN: usize = 1 << 14;

/// Bytes of the record that are in memory before they are written to a file.
const MAX_RECORD_IN_MEMORY: usize = 1 << 20;

/// Why a pack can't be written.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    /// The NAR, or what it is read from.
    #[error(transparent)]
    Nar(#[from] ReaderError),
    /// The NAR has too many entries.
    #[error(
        "the NAR has more than {MAX_ENTRIES} files, directories and symlinks; split the store path into several"
    )]
    TooManyEntries,
    /// A directory in the NAR has too many entries.
    #[error(
        "a directory in the NAR has more than {MAX_IN_DIRECTORY} entries; spread them over several"
    )]
    TooManyInDirectory,
    /// The names and targets in the NAR are so long that its record would be too large.
    #[error(
        "the names in the NAR, and what else is recorded of its files, take more than {MAX_RECORD_LEN} bytes; split the store path into several"
    )]
    RecordTooLarge,
    /// The NAR has more contents than a pack holds.
    #[error("the NAR has more contents than a pack holds (2 TiB)")]
    TooLarge,
    /// The store.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where contents are that are not in the pack itself. What it gives stays as long as it lives.
pub(crate) trait Known {
    /// The place of contents of this size that are stored already. A writer asks for each file.
    fn find(&mut self, hash: &ContentHash, size: u64) -> Option<Place>;

    /// Whether a small path may be put with others; else it gets a pack of its own, which refers to no other.
    fn shares(&self) -> bool;
}

/// A pack in the making. Its file is removed unless it is [published](Draft::publish).
#[derive(Debug)]
pub(crate) struct PackWriter<K> {
    id: PackId,
    path: PathBuf,
    /// Made when something has to be written.
    file: Option<TemporaryFile>,
    known: K,
    /// Contents of this very pack.
    own: Places,
    record: RecordWriter,
    /// The start of the record's tree, once it is long.
    spilled: Option<Spilled>,
    entries: u64,
    /// What to write at `written`. Its length is a multiple of the block size between files.
    buffer: Vec<u8>,
    written: u64,
    is_small: bool,
}

impl<K: Known> PackWriter<K> {
    /// A pack that is made at `path`.
    pub(crate) fn new(id: PackId, path: PathBuf, known: K) -> Self {
        Self {
            id,
            path,
            file: None,
            known,
            own: Places::default(),
            record: RecordWriter::default(),
            spilled: None,
            entries: 0,
            buffer: Vec::new(),
            written: 0,
            is_small: false,
        }
    }

    /// Reads a NAR, which should have this many bytes, to its end. Whether it is the NAR that was wanted the caller finds out
    /// before it [finishes](Self::finish) the pack.
    pub(crate) fn read(mut self, nar: impl Read, size: u64) -> Result<Self, WriteError> {
        let mut nar = Reader::of_size(nar, size);
        let (mut name, mut open) = (Vec::new(), Vec::new());
        while let Some(event) = nar.next_event()? {
            match event {
                Event::Entry(entry) => {
                    name = entry;
                    self.entries += 1;
                    if let Some(entries) = open.last_mut() {
                        *entries += 1;
                        if *entries > MAX_IN_DIRECTORY {
                            return Err(WriteError::TooManyInDirectory);
                        }
                    }
                    continue;
                }
                Event::Directory => {
                    self.record.enter(&name);
                    open.push(0);
                }
                Event::EndDirectory => {
                    self.record.leave();
                    open.pop();
                }
                Event::Symlink(target) => self.record.symlink(&name, &target),
                Event::File {
                    executable, size, ..
                } => {
                    let (place, hash) = match size {
                        0 => (self.at(0), *blake3::hash(&[]).as_bytes()),
                        1..=SMALL => self.small_file(&mut nar, size as usize)?,
                        _ => self.large_file(&mut nar)?,
                    };
                    let file = FileNode {
                        executable,
                        size,
                        place,
                        hash,
                    };
                    self.record.file(&name, self.id, file);
                }
            }
            if self.entries > MAX_ENTRIES {
                return Err(WriteError::TooManyEntries);
            }
            self.spill()?;
        }
        self.is_small = nar.offset() <= SMALL_NAR && self.written == 0 && self.known.shares();
        if !self.is_small {
            self.flush()?;
        }
        Ok(self)
    }

    /// Whether the path is one to be put with [others](crate::common): nothing of it was written.
    pub(crate) fn is_small(&self) -> bool {
        self.is_small
    }

    /// What was read of a [small](Self::is_small) path.
    pub(crate) fn into_small(self) -> SmallPath<K> {
        SmallPath {
            id: self.id,
            contents: self.buffer,
            own: self.own,
            record: self.record,
            known: self.known,
        }
    }

    fn small_file(
        &mut self,
        nar: &mut Reader<impl Read>,
        size: usize,
    ) -> Result<(Place, ContentHash), WriteError> {
        let start = self.buffer.len();
        self.buffer.resize(start + size, 0);
        read_exact(nar, &mut self.buffer[start..])?;
        let hash = *blake3::hash(&self.buffer[start..]).as_bytes();
        if let Some(place) = self.find(&hash, size as u64) {
            self.buffer.truncate(start);
            return Ok((place, hash));
        }
        let block = block(self.written + start as u64)?;
        self.own.insert(hash, self.at(block));
        self.align();
        if self.buffer.len() >= GATHERED {
            self.flush()?;
        }
        Ok((self.at(block), hash))
    }

    fn large_file(
        &mut self,
        nar: &mut Reader<impl Read>,
    ) -> Result<(Place, ContentHash), WriteError> {
        self.flush()?;
        let start = self.written;
        let mut hasher = blake3::Hasher::new();
        let mut piece = std::mem::take(&mut self.buffer);
        piece.resize(PIECE, 0);
        loop {
            let count = fill(nar, &mut piece)?;
            if count == 0 {
                break;
            }
            let bytes = &piece[..count];
            hasher.update(bytes);
            if !is_zero(bytes) {
                self.write_at(bytes, self.written)?;
            }
            self.written += count as u64;
        }
        piece.clear();
        self.buffer = piece;
        let hash = *hasher.finalize().as_bytes();
        if let Some(place) = self.find(&hash, self.written - start) {
            self.file()?.set_len(start)?;
            self.written = start;
            return Ok((place, hash));
        }
        let block = block(start)?;
        self.own.insert(hash, self.at(block));
        self.written = self.written.next_multiple_of(BLOCK);
        Ok((self.at(block), hash))
    }

    fn find(&mut self, hash: &ContentHash, size: u64) -> Option<Place> {
        if let Some(place) = self.own.find(hash).next() {
            return Some(place);
        }
        self.known.find(hash, size)
    }

    /// Writes what grows with the number of entries to files, lest it takes memory.
    fn spill(&mut self) -> Result<(), WriteError> {
        if self.own.unwritten() >= MAX_OWN {
            self.own.spill(&self.path.with_extension("contents"))?;
        }
        if self.record.len() >= MAX_RECORD_IN_MEMORY {
            let spilled = match &mut self.spilled {
                Some(spilled) => spilled,
                none => none.insert(Spilled::create(&self.path.with_extension("record"))?),
            };
            spilled.add(&self.record.take_items())?;
            if spilled.length > MAX_RECORD_LEN {
                return Err(WriteError::RecordTooLarge);
            }
        }
        Ok(())
    }

    fn at(&self, block: u32) -> Place {
        Place {
            pack: self.id,
            block,
        }
    }

    fn align(&mut self) {
        let length = self.buffer.len().next_multiple_of(BLOCK as usize);
        self.buffer.resize(length, 0);
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write_at(&buffer, self.written)?;
        }
        self.written += buffer.len() as u64;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        Ok(self.file()?.write_all_at(bytes, offset)?)
    }

    fn file(&mut self) -> Result<&TemporaryFile, WriteError> {
        Ok(match &mut self.file {
            Some(file) => file,
            none => none.insert(TemporaryFile::create(self.path.clone())?),
        })
    }

    /// Writes what is missing of the pack.
    pub(crate) fn finish(
        mut self,
        store_dir: &StoreDir,
        info: &NarInfo,
    ) -> Result<Draft<K>, WriteError> {
        let refers = self.record.packs().to_vec();
        let data = self.written + self.buffer.len() as u64;
        let mut hasher = blake3::Hasher::new();
        let head = self.record.head(store_dir, info);
        self.add(&mut hasher, &head)?;
        if let Some(mut spilled) = self.spilled.take() {
            spilled.read(|piece| self.add(&mut hasher, piece))?;
        }
        let items = self.record.take_items();
        self.add(&mut hasher, &items)?;
        let length = self.written + self.buffer.len() as u64 - data;
        if length > MAX_RECORD_LEN {
            return Err(WriteError::RecordTooLarge);
        }
        self.buffer
            .extend_from_slice(&trailer(data, length, hasher));
        self.flush()?;
        let Some(file) = self.file else {
            unreachable!("the trailer was written to it");
        };
        Ok(Draft {
            id: self.id,
            file,
            known: self.known,
            contents: self.own,
            refers,
            data,
            length: self.written,
        })
    }

    /// Adds a part of the record.
    fn add(&mut self, hasher: &mut blake3::Hasher, bytes: &[u8]) -> Result<(), WriteError> {
        hasher.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= GATHERED {
            self.flush()?;
        }
        Ok(())
    }
}

/// A small path that was read, of which nothing is written yet.
#[derive(Debug)]
pub(crate) struct SmallPath<K> {
    pub(crate) id: PackId,
    /// Whole blocks.
    pub(crate) contents: Vec<u8>,
    /// Where among them each file's start, as if they were at the start of a pack of its own.
    pub(crate) own: Places,
    /// As if the contents were at the start of a pack of its own.
    pub(crate) record: RecordWriter,
    /// Keeps what the record refers to.
    pub(crate) known: K,
}

fn block(offset: u64) -> Result<u32, WriteError> {
    u32::try_from(offset / BLOCK).map_err(|_| WriteError::TooLarge)
}

/// Reads as much of a file as fits; less than that only at its end.
fn fill(nar: &mut Reader<impl Read>, bytes: &mut [u8]) -> Result<usize, WriteError> {
    let mut count = 0;
    while count < bytes.len() {
        match nar.read(&mut bytes[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReaderError::Io(error).into()),
        }
    }
    Ok(count)
}

fn read_exact(nar: &mut Reader<impl Read>, bytes: &mut [u8]) -> Result<(), WriteError> {
    let offset = nar.offset();
    if fill(nar, bytes)? < bytes.len() {
        return Err(ReaderError::Truncated(offset).into());
    }
    Ok(())
}

fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| *block == [0; 64]) && rest.iter().all(|&byte| byte == 0)
}
