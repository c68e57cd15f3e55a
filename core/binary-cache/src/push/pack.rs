//! One path into one compressed NAR, in one pass: read, hashed, compressed,
//! hashed again, written.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use nix_formats::nar::{Checker, ReaderError};
use nix_formats::{HashAlgorithm, HashWriter, NarInfo, StoreDir, nix32};

use super::PushProgress;
use super::compress::{Compressor, CompressorContext};
use super::error::PushError;
use super::listing::ListingBuilder;
use crate::error::FetchError;
use crate::source::{NarSource, PathInfo, SourceError};
use crate::transport::{Lane, Payload};

/// What is held in memory before a file is made; a cache in a folder has its
/// file at once.
const IN_MEMORY: usize = 4 << 20;

/// A NAR, ready to be uploaded.
pub(crate) struct Packed {
    pub(crate) payload: Payload,
    /// Its narinfo, without a signature of ours.
    pub(crate) narinfo: NarInfo,
    /// The `.ls` file, if it is asked for.
    pub(crate) listing: Option<Vec<u8>>,
}

/// Packs one path after the other.
pub(crate) struct Packer {
    source: Arc<dyn NarSource>,
    compressor: Compressor,
    context: CompressorContext,
    lane: Option<Lane>,
    listings: bool,
    progress: Arc<PushProgress>,
}

impl Packer {
    pub(crate) fn new(
        source: Arc<dyn NarSource>,
        compressor: Compressor,
        lane: Option<Lane>,
        listings: bool,
        progress: Arc<PushProgress>,
    ) -> Self {
        Self {
            source,
            compressor,
            context: CompressorContext::default(),
            lane,
            listings,
            progress,
        }
    }

    /// The store that the paths are in.
    pub(crate) fn store_dir(&self) -> &StoreDir {
        self.source.store_dir()
    }

    /// Packs a path. Its NAR must be the one that the store knows: what changed on disk is not signed.
    pub(crate) fn pack(&mut self, info: PathInfo) -> Result<Packed, PushError> {
        let failed = |error| PushError::Write {
            path: info.path.clone(),
            source: error,
        };
        let sink = Sink::new(self.lane.as_ref(), info.nar_size).map_err(failed)?;
        let file = HashWriter::new(HashAlgorithm::Sha256, sink);
        let encoder = self
            .compressor
            .start(&mut self.context, info.nar_size, file)
            .map_err(failed)?;
        let mut nar = NarWriter {
            checker: Checker::default(),
            unsound: None,
            nar: HashWriter::new(HashAlgorithm::Sha256, encoder),
            progress: &self.progress,
            listing: self
                .listings
                .then(ListingBuilder::start)
                .transpose()
                .map_err(failed)?,
        };
        let written = self.source.write_nar(&info, &mut nar);
        let unsound = |source| PushError::Unsound {
            path: info.path.clone(),
            source,
        };
        let NarWriter {
            nar,
            listing,
            checker,
            unsound: error,
            ..
        } = nar;
        if let Some(error) = error {
            return Err(unsound(error));
        }
        written.map_err(|error| match error {
            SourceError::Write(error) => failed(error),
            source => PushError::Source {
                path: info.path.clone(),
                source,
            },
        })?;
        let (encoder, nar_hash, nar_size) = nar.finish();
        if nar_hash != info.nar_hash || nar_size != info.nar_size {
            return Err(PushError::Changed {
                path: info.path.clone(),
                expected: Box::new(info.nar_hash.into()),
                actual: Box::new(nar_hash),
            });
        }
        checker.finish().map_err(unsound)?;
        let listing = listing.map(ListingBuilder::finish).transpose();
        let listing = listing.map_err(failed)?.flatten();
        let file = encoder.finish().map_err(failed)?;
        let (sink, file_hash, file_size) = file.finish();
        let payload = sink.finish(file_size).map_err(failed)?;
        let url = format!(
            "nar/{}.nar{}",
            nix32::encode(file_hash.as_bytes()),
            self.compressor.suffix()
        );
        let narinfo = NarInfo {
            path: info.path,
            url,
            compression: self.compressor.method().clone(),
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references,
            deriver: info.deriver,
            signatures: info.signatures,
            ca: info.ca,
        };
        Ok(Packed {
            payload,
            narinfo,
            listing,
        })
    }
}

/// Hands the NAR to those who want it.
struct NarWriter<'a, W> {
    checker: Checker,
    /// Why no store could use the NAR.
    unsound: Option<ReaderError>,
    nar: HashWriter<W>,
    progress: &'a PushProgress,
    listing: Option<ListingBuilder>,
}

impl<W: Write> Write for NarWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.nar.write(bytes)?;
        if let Err(error) = self.checker.update(&bytes[..count]) {
            self.unsound = Some(error);
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.progress.count_bytes(count);
        if let Some(listing) = &mut self.listing {
            listing.write(&bytes[..count])?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the file is made.
enum Sink {
    Memory(Vec<u8>),
    File(File),
    Staged(File, PathBuf),
}

impl Sink {
    fn new(lane: Option<&Lane>, size: u64) -> io::Result<Self> {
        Ok(match lane {
            Some(lane) => {
                let path = lane.path();
                Self::Staged(File::create_new(&path)?, path)
            }
            None => Self::Memory(Vec::with_capacity(IN_MEMORY.min(size as usize / 2))),
        })
    }

    fn finish(self, size: u64) -> io::Result<Payload> {
        Ok(match self {
            Self::Memory(bytes) => Payload::Memory(bytes.into()),
            Self::File(mut file) => {
                file.rewind()?;
                Payload::File(Arc::new(file), size)
            }
            Self::Staged(_, path) => Payload::Staged(path),
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Memory(held) if held.len() + bytes.len() <= IN_MEMORY => {
                held.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Memory(held) => {
                // It has no name, so nothing is left of it whatever happens.
                let mut file = tempfile::tempfile()?;
                file.write_all(held)?;
                let count = file.write(bytes)?;
                *self = Self::File(file);
                Ok(count)
            }
            Self::File(file) | Self::Staged(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So that the caller of `pack` need not know of both kinds of errors.
impl From<FetchError> for PushError {
    fn from(error: FetchError) -> Self {
        Self::Cache(error)
    }
}
