//! The entries of a zip archive that comes from anywhere, in bounded memory.
//!
//! Modes, times and names as libarchive reads them where it can seek, which Nix does for files: types and permissions are those of
//! the central directory, and entries come in the order of their data. Whatever says local time is taken for UTC.

use std::fs::File;
use std::io::{BufReader, Read};

use liblzma::stream::Stream;
use nix_formats::Compression;
use rawzip::extra_fields::ExtraFieldId;
use rawzip::time::UtcDateTime;
use rawzip::{
    CompressionMethod, CreatorSystem, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ZipArchive,
    ZipArchiveEntryWayfinder, ZipFileHeaderRecord,
};
use rustix::fs::{FileType, RawMode};
use thiserror::Error;

/// The longest target of a symbolic link, as on Linux.
const MAX_TARGET: u64 = 4096;

/// What an entry has that has no type and no permissions.
const NO_MODE: RawMode = 0o664;
/// DOS' flag of directories.
const DOS_DIRECTORY: u32 = 0x10;

/// Why an archive is refused.
#[derive(Debug, Error)]
pub(crate) enum ZipError {
    #[error("{0}")]
    Malformed(#[from] rawzip::Error),
    #[error("its entries overlap")]
    Overlap,
    #[error("file '{0}' is encrypted")]
    Encrypted(String),
    #[error("file '{0}' is compressed with method {1}, which is not supported")]
    Method(String, u16),
    #[error("the target of symbolic link '{0}' has more than {MAX_TARGET} bytes")]
    LongTarget(String),
    #[error("failed to decompress '{0}': {1}")]
    Contents(String, std::io::Error),
}

/// What an archive says of an entry.
pub(crate) struct ZipEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: FileType,
    pub(crate) executable: bool,
    /// In seconds since 1970.
    pub(crate) mtime: u64,
    /// Of the contents.
    pub(crate) size: u64,
    method: CompressionMethod,
    /// Where its header is.
    offset: u64,
    place: ZipArchiveEntryWayfinder,
}

/// An archive that is open.
pub(crate) struct ZipFile {
    archive: ZipArchive<FileReader>,
    size: u64,
}

impl ZipFile {
    /// Opens an archive.
    pub(crate) fn new(file: File) -> Result<Self, ZipError> {
        let size = file.metadata().map_err(rawzip::Error::from)?.len();
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer)?;
        Ok(Self { archive, size })
    }

    /// Gives each entry to `take`, in the order of the central directory.
    pub(crate) fn entries<E: From<ZipError>>(
        &self,
        mut take: impl FnMut(ZipEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let mut entries = self.archive.entries(&mut buffer);
        // Data that several entries had would be decompressed again for each of them.
        let mut left = self.size;
        while let Some(record) = entries.next_entry().map_err(ZipError::from)? {
            let stored = record.compressed_size_hint();
            left = left.checked_sub(stored).ok_or(ZipError::Overlap)?;
            take(entry(&record)?)?;
        }
        Ok(())
    }

    /// The contents of an entry. Reading fails at the end if they are not what the archive says.
    pub(crate) fn contents(&self, entry: &ZipEntry) -> Result<impl Read + '_, ZipError> {
        let found = self.archive.get_entry(entry.place)?;
        let stored = BufReader::new(found.reader());
        let failed = |error| ZipError::Contents(entry.shown(), error);
        let decompressed: Box<dyn Read + '_> = match entry.method {
            CompressionMethod::STORE => Box::new(stored),
            CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(stored)),
            CompressionMethod::BZIP2 => Box::new(bzip2::bufread::BzDecoder::new(stored)),
            CompressionMethod::ZSTD => {
                Box::new(zstd::stream::read::Decoder::with_buffer(stored).map_err(failed)?)
            }
            CompressionMethod::XZ => {
                let stream = Stream::new_stream_decoder(Compression::MOST_LOOKED_BACK, 0);
                let stream = stream.map_err(|error| failed(error.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(stored, stream))
            }
            method => return Err(ZipError::Method(entry.shown(), method.as_u16())),
        };
        Ok(found.verifying_reader(decompressed))
    }

    /// Where a symbolic link leads.
    pub(crate) fn target(&self, entry: &ZipEntry) -> Result<Vec<u8>, ZipError> {
        if entry.size > MAX_TARGET {
            return Err(ZipError::LongTarget(entry.shown()));
        }
        let mut target = Vec::new();
        let mut contents = self.contents(entry)?.take(MAX_TARGET + 1);
        match contents.read_to_end(&mut target) {
            Ok(_) => Ok(target),
            Err(error) => Err(ZipError::Contents(entry.shown(), error)),
        }
    }
}

impl ZipEntry {
    /// Entries come in this order.
    pub(crate) fn order(&self) -> u64 {
        self.offset
    }

    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

fn entry(record: &ZipFileHeaderRecord<'_>) -> Result<ZipEntry, ZipError> {
    let mut path = record.file_path().as_bytes().to_vec();
    let system = record.version_made_by().creator_system();
    if system == CreatorSystem::FAT && !path.contains(&b'/') {
        for byte in path.iter_mut().filter(|byte| **byte == b'\\') {
            *byte = b'/';
        }
    }
    let mode = mode(system, record.external_attributes(), path.ends_with(b"/"));
    let entry = ZipEntry {
        kind: FileType::from_raw_mode(mode),
        executable: mode & 0o100 != 0,
        mtime: mtime(record),
        size: record.uncompressed_size_hint(),
        method: record.compression_method(),
        offset: record.local_header_offset(),
        place: record.wayfinder(),
        path,
    };
    if record.flags().is_encrypted() {
        return Err(ZipError::Encrypted(entry.shown()));
    }
    Ok(entry)
}

/// An entry's type and permissions.
fn mode(system: CreatorSystem, attributes: u32, ends_with_slash: bool) -> RawMode {
    let directory = FileType::Directory.as_raw_mode();
    let mut mode = match system {
        CreatorSystem::UNIX => attributes >> 16,
        CreatorSystem::FAT if attributes & DOS_DIRECTORY != 0 => directory | 0o775,
        CreatorSystem::FAT => FileType::RegularFile.as_raw_mode() | NO_MODE,
        _ => 0,
    };
    if mode == 0 {
        mode = NO_MODE;
    }
    // Names say more than types.
    if ends_with_slash {
        mode = mode & 0o7777 | directory | 0o111;
    } else if mode & !0o7777 == 0 {
        mode |= FileType::RegularFile.as_raw_mode();
    }
    mode
}

/// When an entry was changed: what Info-ZIP says in UTC, else DOS' time.
fn mtime(record: &ZipFileHeaderRecord<'_>) -> u64 {
    for (id, data) in record.extra_fields() {
        // A byte of flags, and the time if the first is set.
        if id == ExtraFieldId::EXTENDED_TIMESTAMP
            && let [flags, a, b, c, d, ..] = data
            && flags & 1 != 0
        {
            let time = i32::from_le_bytes([*a, *b, *c, *d]);
            return u64::try_from(time).unwrap_or(0);
        }
    }
    let time = record.last_modified_dos();
    let time = UtcDateTime::from_components(
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        0,
    );
    time.map_or(0, |time| u64::try_from(time.to_unix()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_libarchive() {
        const FIFO: RawMode = 0o010_000;
        for (system, attributes, name, expected) in [
            (CreatorSystem::UNIX, 0o100_755 << 16, "a", 0o100_755),
            (CreatorSystem::UNIX, 0o120_777 << 16, "a", 0o120_777),
            (CreatorSystem::UNIX, FIFO << 16, "a", FIFO),
            (CreatorSystem::UNIX, 0o100_644 << 16, "a/", 0o040_755),
            (CreatorSystem::UNIX, 0o755 << 16, "a", 0o100_755),
            (CreatorSystem::UNIX, 0, "a", 0o100_664),
            (CreatorSystem::UNIX, 0, "a/", 0o040_775),
            (CreatorSystem::FAT, 0, "a", 0o100_664),
            (CreatorSystem::FAT, 0x10, "a", 0o040_775),
            (CreatorSystem::NTFS, 0o100_755 << 16, "a", 0o100_664),
        ] {
            let found = mode(system, attributes, name.ends_with('/'));
            assert_eq!(found, expected, "{system} {attributes:o} {name}: {found:o}");
        }
    }
}
