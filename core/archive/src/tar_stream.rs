//! The entries of a tar archive that comes from anywhere, one after the other, in bounded memory.
//!
//! ustar, PAX and GNU's formats as libarchive reads them, which Nix uses: long names of both kinds, and sparse files of all
//! four (GNU's own, and 0.0, 0.1 and 1.0 of PAX), which have the contents that they expand to.

use std::io::{self, Read};

use tar::{EntryType, Header};
use thiserror::Error;
use tree_writer::{TreeError, TreeFile};

const BLOCK: u64 = 512;

/// The longest extended header or name, as for libarchive.
const MAX_EXTENSION: u64 = 1 << 20;

/// The most pieces of a sparse file.
const MAX_PIECES: usize = 1 << 20;

/// Why an archive is refused.
#[derive(Debug, Error)]
pub(crate) enum TarError {
    #[error("it ends too early")]
    EndsTooEarly,
    #[error("{0}")]
    Malformed(&'static str),
    /// With the cause, because the reason is kept as text.
    #[error("{0}")]
    Read(io::Error),
    #[error(transparent)]
    Write(#[from] TreeError),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::EndsTooEarly,
            _ => Self::Read(error),
        }
    }
}

/// What an archive says of a file.
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) kind: EntryType,
    pub(crate) executable: bool,
    /// In seconds since 1970.
    pub(crate) mtime: u64,
    /// Of the file, holes included.
    pub(crate) size: u64,
    /// Where the bytes of a sparse file belong.
    pieces: Option<Vec<Piece>>,
}

#[derive(Clone, Copy)]
struct Piece {
    offset: u64,
    length: u64,
}

/// Extended headers, which speak of the entry after them.
#[derive(Default)]
struct Extension {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<u64>,
    /// `GNU.sparse.name`
    sparse_name: Option<Vec<u8>>,
    /// `GNU.sparse.size` or `GNU.sparse.realsize`
    sparse_size: Option<u64>,
    is_sparse_1_0: bool,
    pieces: Option<Vec<Piece>>,
    /// `GNU.sparse.offset`, whose length comes next.
    offset: Option<u64>,
}

pub(crate) struct TarStream<R> {
    input: R,
    /// What is left of the contents of the last entry.
    left: u64,
    padding: u64,
}

impl<R: Read> TarStream<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
        }
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The next entry. What was not read of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extension = Extension::default();
        loop {
            self.skip(self.left.saturating_add(self.padding))?;
            self.left = 0;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let is_extension = matches!(header.as_bytes()[156], b'L' | b'K' | b'x' | b'g');
            let size = match extension.size {
                Some(size) if !is_extension => size,
                _ => header.entry_size()?,
            };
            self.left = size;
            self.padding = (BLOCK - size % BLOCK) % BLOCK;
            match header.as_bytes()[156] {
                b'L' => extension.long_path = Some(self.name()?),
                b'K' => extension.long_link = Some(self.name()?),
                b'x' => {
                    let records = self.extension()?;
                    extension.read(&records)?;
                }
                // Nothing that it may say counts for one file.
                b'g' => {}
                _ => return self.entry(&header, extension).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extension: Extension) -> Result<Entry, TarError> {
        let kind = header.entry_type();
        let (size, pieces) = if kind == EntryType::GNUSparse {
            self.gnu_pieces(header)?
        } else if extension.is_sparse_1_0 {
            let pieces = self.leading_pieces()?;
            (extension.sparse_size.unwrap_or(self.left), Some(pieces))
        } else if let Some(pieces) = extension.pieces {
            (extension.sparse_size.unwrap_or(self.left), Some(pieces))
        } else {
            (self.left, None)
        };
        if let Some(pieces) = &pieces {
            check_pieces(pieces, size, self.left)?;
        }
        let path = extension
            .sparse_name
            .or(extension.long_path)
            .or(extension.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extension
            .long_link
            .or(extension.link)
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        Ok(Entry {
            path,
            link,
            kind,
            executable: header.mode()? & 0o100 != 0,
            mtime: match extension.mtime {
                Some(mtime) => mtime,
                None => header.mtime()?,
            },
            size,
            pieces,
        })
    }

    /// Writes the contents of the entry that came last.
    pub(crate) fn write_to(&mut self, entry: &Entry, out: &mut TreeFile) -> Result<(), TarError> {
        let Some(pieces) = &entry.pieces else {
            return self.copy(entry.size, out);
        };
        let mut at = 0;
        for piece in pieces {
            out.skip(piece.offset - at)?;
            self.copy(piece.length, out)?;
            at = piece.offset + piece.length;
        }
        Ok(out.skip(entry.size - at)?)
    }

    fn copy(&mut self, count: u64, out: &mut TreeFile) -> Result<(), TarError> {
        let mut chunk = vec![0; count.min(128 << 10) as usize];
        let mut left = count;
        while left > 0 {
            let room = left.min(chunk.len() as u64) as usize;
            self.input.read_exact(&mut chunk[..room])?;
            out.write(&chunk[..room])?;
            left -= room as u64;
        }
        self.left -= count;
        Ok(())
    }

    /// The next header; none at the end.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::EndsTooEarly),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let sum: u32 = bytes
            .iter()
            .enumerate()
            .map(|(place, &byte)| match place {
                148..156 => u32::from(b' '),
                _ => u32::from(byte),
            })
            .sum();
        if header.cksum()? != sum {
            return Err(TarError::Malformed("the checksum of a header is wrong"));
        }
        Ok(Some(header))
    }

    fn skip(&mut self, count: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut (&mut self.input).take(count), &mut io::sink())?;
        if skipped < count {
            return Err(TarError::EndsTooEarly);
        }
        Ok(())
    }

    /// The contents of an extended header.
    fn extension(&mut self) -> Result<Vec<u8>, TarError> {
        if self.left > MAX_EXTENSION {
            return Err(TarError::Malformed(
                "an extended header is longer than 1 MiB",
            ));
        }
        let mut contents = vec![0; self.left as usize];
        self.input.read_exact(&mut contents)?;
        self.left = 0;
        Ok(contents)
    }

    fn name(&mut self) -> Result<Vec<u8>, TarError> {
        let mut name = self.extension()?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    /// The pieces that a header of GNU's and the blocks behind it name, and the file's size.
    fn gnu_pieces(&mut self, header: &Header) -> Result<(u64, Option<Vec<Piece>>), TarError> {
        let gnu = header.as_gnu().ok_or(TarError::Malformed(
            "a sparse file has a header of no GNU tar",
        ))?;
        let mut pieces = Vec::new();
        let mut add = |descriptors: &[tar::GnuSparseHeader]| -> Result<(), TarError> {
            for descriptor in descriptors.iter().filter(|it| !it.is_empty()) {
                push_piece(&mut pieces, descriptor.offset()?, descriptor.length()?)?;
            }
            Ok(())
        };
        add(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.input.read_exact(block.as_mut_bytes())?;
            add(&block.sparse)?;
            more = block.is_extended();
        }
        Ok((gnu.real_size()?, Some(pieces)))
    }

    /// The pieces that the contents start with: their count, then offset and length of each, a decimal line each.
    fn leading_pieces(&mut self) -> Result<Vec<Piece>, TarError> {
        let mut block = [0; BLOCK as usize];
        let mut at = block.len();
        let mut numbers: Vec<u64> = Vec::new();
        let mut number = None;
        loop {
            if at == block.len() {
                let left = self.left.checked_sub(BLOCK);
                self.left = left.ok_or(MALFORMED_MAP)?;
                self.input.read_exact(&mut block)?;
                at = 0;
            }
            match block[at] {
                byte @ b'0'..=b'9' => {
                    number = number
                        .unwrap_or(0_u64)
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                        .map(Some)
                        .ok_or(MALFORMED_MAP)?;
                }
                b'\n' => numbers.push(number.take().ok_or(MALFORMED_MAP)?),
                _ => return Err(MALFORMED_MAP),
            }
            at += 1;
            if let Some(&count) = numbers.first() {
                if count > MAX_PIECES as u64 {
                    return Err(TOO_MANY_PIECES);
                }
                if numbers.len() as u64 == 1 + 2 * count {
                    break;
                }
            }
        }
        let mut pieces = Vec::new();
        for pair in numbers[1..].chunks_exact(2) {
            push_piece(&mut pieces, pair[0], pair[1])?;
        }
        Ok(pieces)
    }
}

const MALFORMED_MAP: TarError = TarError::Malformed("the map of a sparse file is malformed");
const TOO_MANY_PIECES: TarError =
    TarError::Malformed("a sparse file has more than a million pieces");
const MALFORMED_RECORD: TarError = TarError::Malformed("an extended header is malformed");

fn push_piece(pieces: &mut Vec<Piece>, offset: u64, length: u64) -> Result<(), TarError> {
    if pieces.len() >= MAX_PIECES {
        return Err(TOO_MANY_PIECES);
    }
    pieces.push(Piece { offset, length });
    Ok(())
}

/// Pieces have to follow each other within `size`, and have all of the `stored` bytes.
fn check_pieces(pieces: &[Piece], size: u64, stored: u64) -> Result<(), TarError> {
    let (mut end, mut sum) = (0, 0_u64);
    for piece in pieces {
        if piece.offset < end {
            return Err(MALFORMED_MAP);
        }
        let next = piece.offset.checked_add(piece.length);
        end = next.ok_or(MALFORMED_MAP)?;
        // No more than `end`, which is no overflow.
        sum += piece.length;
    }
    if end > size || sum != stored {
        return Err(MALFORMED_MAP);
    }
    Ok(())
}

impl Extension {
    /// Reads the records of a PAX header: `<length> <key>=<value>\n`, the length that of all of it.
    fn read(&mut self, mut records: &[u8]) -> Result<(), TarError> {
        while !records.is_empty() {
            let digits = records
                .iter()
                .position(|&byte| byte == b' ')
                .ok_or(MALFORMED_RECORD)?;
            let length = number(&records[..digits]).ok_or(MALFORMED_RECORD)?;
            let length = usize::try_from(length).map_err(|_| MALFORMED_RECORD)?;
            let record = records.get(digits + 1..length).ok_or(MALFORMED_RECORD)?;
            let record = record.strip_suffix(b"\n").ok_or(MALFORMED_RECORD)?;
            let equals = record
                .iter()
                .position(|&byte| byte == b'=')
                .ok_or(MALFORMED_RECORD)?;
            self.take(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        let count = || number(value).ok_or(MALFORMED_RECORD);
        match key {
            b"path" => self.path = Some(value.to_owned()),
            b"linkpath" => self.link = Some(value.to_owned()),
            b"size" => self.size = Some(count()?),
            b"mtime" => {
                // In whole seconds; times before 1970 count as none.
                let whole = value.split(|&byte| byte == b'.').next();
                self.mtime = whole.and_then(number).or(self.mtime);
            }
            b"GNU.sparse.name" => self.sparse_name = Some(value.to_owned()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = Some(count()?),
            b"GNU.sparse.major" => self.is_sparse_1_0 = value == b"1",
            b"GNU.sparse.offset" => self.offset = Some(count()?),
            b"GNU.sparse.numbytes" => {
                let offset = self.offset.take().ok_or(MALFORMED_MAP)?;
                push_piece(self.pieces.get_or_insert_default(), offset, count()?)?;
            }
            b"GNU.sparse.map" => {
                let mut numbers = value.split(|&byte| byte == b',').map(number);
                let pieces = self.pieces.get_or_insert_default();
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().flatten().ok_or(MALFORMED_MAP)?;
                    push_piece(pieces, offset.ok_or(MALFORMED_MAP)?, length)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
