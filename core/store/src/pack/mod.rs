//! The pack: all that is stored of one store path, in one file.
//!
//! | | |
//! |---|---|
//! | from byte 0 | contents of files, each starting at a multiple of 512; zeros between, long runs of zeros are holes |
//! | from the next multiple of 512 | the [record](crate::record) |
//! | the last 64 bytes | the trailer |
//!
//! The trailer is `niphaspk`, the version (u32, little-endian like all numbers here), 4 zero bytes, where the record starts
//! (u64), how long it is (u64), and the BLAKE3 hash of the record and of the 32 bytes of the trailer that come before. So one
//! read of the end of a file tells whether it is a pack, and whole.

mod draft;
mod temporary;
mod writer;

pub(crate) use draft::Draft;
pub(crate) use writer::{Known, PackWriter, SmallPath, WriteError};

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix_formats::StoreDir;

use crate::BLOCK;
use crate::error::{FileError, failed};
use crate::layout::PackId;
use crate::record::{self, Extent, Record, RecordError};

const MAGIC: &[u8; 8] = b"niphaspk";
/// The version of the format.
pub(crate) const VERSION: u32 = 1;
const TRAILER_LEN: usize = 64;
const TRAILER_HEAD_LEN: usize = 32;

/// Largest record that is written or read, in bytes. It is never in memory as a whole.
pub(crate) const MAX_RECORD_LEN: u64 = 512 << 20;

/// The trailer of a pack whose record was hashed, starts at byte `offset` and has `length` bytes.
pub(crate) fn trailer(offset: u64, length: u64, mut record: blake3::Hasher) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&offset.to_le_bytes());
    bytes[24..32].copy_from_slice(&length.to_le_bytes());
    let checksum = record.update(&bytes[..TRAILER_HEAD_LEN]).finalize();
    bytes[TRAILER_HEAD_LEN..].copy_from_slice(checksum.as_bytes());
    bytes
}

/// Where the record is, as the trailer says, and its checksum.
struct Trailer<'a> {
    offset: u64,
    length: u64,
    head: &'a [u8],
    checksum: &'a [u8],
}

/// Reads the trailer at the end of `tail`, which is the end of a file of `size` bytes.
fn parse_trailer(size: u64, tail: &[u8]) -> Result<Trailer<'_>, RecordError> {
    let start = tail.len().checked_sub(TRAILER_LEN);
    let trailer = &tail[start.ok_or(RecordError::NotAPack)?..];
    let (head, checksum) = trailer.split_at(TRAILER_HEAD_LEN);
    let number = |at: usize| {
        let bytes: [u8; 8] = head[at..at + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    if !head.starts_with(MAGIC) {
        return Err(RecordError::NotAPack);
    }
    let version = number(8) as u32;
    if version != VERSION {
        return Err(RecordError::TooNew(version));
    }
    let (offset, length) = (number(16), number(24));
    let is_consistent = offset.is_multiple_of(BLOCK)
        && length <= MAX_RECORD_LEN
        && offset.checked_add(length + TRAILER_LEN as u64) == Some(size);
    if !is_consistent {
        return Err(RecordError::NotAPack);
    }
    Ok(Trailer {
        offset,
        length,
        head,
        checksum,
    })
}

/// Why a pack can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error("'{}' is no pack", path.display())]
    Record {
        path: std::path::PathBuf,
        source: RecordError,
    },
}

impl ReadError {
    /// What is in the file at `path` is wrong.
    pub(crate) fn record(path: &Path, source: RecordError) -> Self {
        Self::Record {
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads the record of the pack `id` in `file`, which is at `path`. Gives how many bytes of contents it has, too.
pub(crate) fn read_record(
    file: &Arc<File>,
    path: &Path,
    store_dir: &StoreDir,
    id: PackId,
) -> Result<(Record, u64), ReadError> {
    // Enough for most records, so that one read does.
    const GUESS: usize = 16 * 1024;
    let read = |bytes: &mut [u8], offset| {
        file.read_exact_at(bytes, offset)
            .map_err(failed("read", path))
    };
    let wrong = |source| ReadError::record(path, source);
    let size = file.metadata().map_err(failed("read", path))?.len();
    let mut tail = vec![0; GUESS.min(usize::try_from(size).unwrap_or(GUESS))];
    let start = size - tail.len() as u64;
    read(&mut tail, start)?;
    let trailer = parse_trailer(size, &tail).map_err(wrong)?;
    let Trailer { offset, length, .. } = trailer;
    let is_right = |mut record: blake3::Hasher| {
        *record.update(trailer.head).finalize().as_bytes() == *trailer.checksum
    };
    let mut hasher = blake3::Hasher::new();
    if length > record::IN_MEMORY as u64 {
        let mut piece = vec![0; 256 << 10];
        let mut done = 0;
        while done < length {
            let count = (length - done).min(piece.len() as u64) as usize;
            read(&mut piece[..count], offset + done)?;
            hasher.update(&piece[..count]);
            done += count as u64;
        }
        if !is_right(hasher) {
            return Err(wrong(RecordError::Checksum));
        }
        let extent = Extent { offset, length };
        let record = Record::read(store_dir, id, offset, file, extent).map_err(wrong)?;
        return Ok((record, offset));
    }
    let length = length as usize;
    let record = if length + TRAILER_LEN <= tail.len() {
        let end = tail.len() - TRAILER_LEN;
        tail[end - length..end].to_vec()
    } else {
        let mut record = vec![0; length];
        read(&mut record, offset)?;
        record
    };
    hasher.update(&record);
    if !is_right(hasher) {
        return Err(wrong(RecordError::Checksum));
    }
    let record = Record::decode(store_dir, id, offset, record).map_err(wrong)?;
    Ok((record, offset))
}
