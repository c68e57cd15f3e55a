//! Adding paths that this machine made: outputs of builds, and sources of evaluations.
//!
//! First a NAR is [packed](Store::pack), which tells its hash; then it becomes a path, or nothing is left of it. So contents can
//! be read, hashed, scanned and written in one pass, though their path comes of their hash, or is refused in the end.

use std::collections::BTreeSet;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use std::thread;

use nix_formats::nar::ReaderError;
use nix_formats::{
    Compression, ContentAddress, HashAlgorithm, Hasher, NarHash, NarInfo, StorePath, nix32,
};
use thiserror::Error;

use crate::error::{FileError, StoreError};
use crate::leases::Leases;
use crate::pack::{PackWriter, WriteError};
use crate::store::{Pin, Store, StoredPath, lock};

/// What is known of a path that was made here, besides what its NAR tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPath {
    /// The path.
    pub path: StorePath,
    /// What its contents name, itself included if they do.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// What the path was made of, if that is its contents.
    pub content_address: Option<ContentAddress>,
}

/// A NAR whose contents are in the store, and that is no path of it yet. Nothing is left of it when it is dropped.
#[derive(Debug)]
pub struct Packed {
    /// Its hash.
    pub nar_hash: NarHash,
    /// Its size in bytes.
    pub nar_size: u64,
    writer: PackWriter<Option<Leases>>,
}

/// A path of the store that is not collected as long as this lives.
#[derive(Debug)]
pub struct HeldPath {
    /// The path, and what is known of it.
    pub stored: StoredPath,
    _pin: Pin,
}

/// A NAR can't be put into the store.
#[derive(Debug, Error)]
pub enum PackError {
    /// What it is read from.
    #[error("failed to read the NAR")]
    Read(#[source] io::Error),
    /// It is none.
    #[error("failed to read the NAR")]
    Nar(#[source] ReaderError),
    /// It is one that no store holds.
    #[error("the NAR cannot be stored")]
    Unsuitable(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WriteError> for PackError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::File(error) => Self::Store(error.into()),
            WriteError::Nar(ReaderError::Io(error)) => Self::Read(error),
            WriteError::Nar(error) => Self::Nar(error),
            error => Self::Unsuitable(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

impl Store {
    /// Reads a NAR and writes its contents, but for files that are stored already. If it is known how many bytes it has, it is
    /// made sure first that there is room for them; garbage goes for it if need be.
    pub fn pack(&self, nar: impl Read, size: Option<u64>) -> Result<Packed, PackError> {
        self.writable()?;
        let _room = self.room_now(size.unwrap_or(0))?;
        let shared = &self.shared;
        let id = shared.next_pack().map_err(StoreError::from)?;
        let path = shared.layout.tmp().join(id.to_string());
        let known = Some(Leases::new(Arc::clone(shared)));
        let mut nar = Hashed {
            nar,
            hasher: Hasher::new(HashAlgorithm::Sha256),
        };
        let writer = PackWriter::new(id, path, known).read(&mut nar, size.unwrap_or(u64::MAX))?;
        let nar_size = nar.hasher.written();
        Ok(Packed {
            nar_hash: nar_hash(nar.hasher),
            nar_size,
            writer,
        })
    }

    /// As [`Self::pack`], of a NAR that is written by another thread.
    pub fn pack_written(
        &self,
        size: Option<u64>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
    ) -> Result<Packed, PackError> {
        const BUFFER: usize = 64 << 10;
        let (from, to) = io::pipe().map_err(PackError::Read)?;
        thread::scope(|scope| {
            let written = scope.spawn(move || {
                let mut to = BufWriter::with_capacity(BUFFER, to);
                write(&mut to)?;
                to.flush()
            });
            // It ends with this, so that the other thread does not wait for what is read no more.
            let packed = self.pack(BufReader::with_capacity(BUFFER, from), size);
            let written = written
                .join()
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            match (packed, written) {
                // What could not be read, or what was not sound, was not written to its end; or nothing read it on.
                (Err(error @ PackError::Store(_)), _) => Err(error),
                (_, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                    Err(PackError::Read(error))
                }
                (packed, _) => packed,
            }
        })
    }

    /// Makes a NAR that was packed one of the store's paths, signed with the store's own key, and holds it. It can be found at
    /// once. If the store has the same already, that is held, and has the key's signature from now on.
    pub fn add(&self, packed: Packed, new: NewPath) -> Result<HeldPath, StoreError> {
        self.writable()?;
        let store_dir = &self.shared.options.store_dir;
        let mut info = NarInfo {
            path: new.path,
            url: format!("nar/{}.nar", nix32::encode(packed.nar_hash.as_bytes())),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            nar_hash: packed.nar_hash,
            nar_size: packed.nar_size,
            references: new.references,
            deriver: new.deriver,
            signatures: Vec::new(),
            ca: new.content_address,
        };
        info.sign(store_dir, self.signing_key()?);
        let info = Arc::new(info);
        // Of two that add the same at once, the second finds it.
        let _one_at_a_time = lock(&self.shared.adding);
        if let Some(held) = self.stored_before(&info)? {
            return Ok(held);
        }
        let pin = if packed.writer.is_small() {
            self.put(packed.writer.into_small(), &info)?
        } else {
            let draft = packed.writer.finish(store_dir, &info);
            let draft = draft.map_err(|error| match error {
                WriteError::File(error) => error,
                error => FileError::new(
                    "write",
                    self.shared.layout.tmp(),
                    io::Error::new(io::ErrorKind::InvalidData, error),
                ),
            });
            self.publish(draft?, &info)?
        };
        Ok(HeldPath {
            stored: StoredPath {
                pack: pin.pack,
                info,
            },
            _pin: pin,
        })
    }

    /// Holds the path of which the same is known, and keeps the signatures of this.
    fn stored_before(&self, info: &NarInfo) -> Result<Option<HeldPath>, StoreError> {
        let Some(id) = self.shared.index().find(info) else {
            return Ok(None);
        };
        let Some(stored) = self.shared.stored(id) else {
            return Ok(None);
        };
        match self.pin(&stored) {
            Ok(pin) => {
                let is_signed = |signature| stored.info.signatures.contains(signature);
                if !info.signatures.iter().all(is_signed) {
                    self.keep_signatures(id, info.signatures.clone())?;
                }
                let stored = self.shared.stored(id).unwrap_or(stored);
                self.note_use(std::iter::once(id));
                Ok(Some(HeldPath { stored, _pin: pin }))
            }
            Err(StoreError::NotStored(_) | StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds what a path has in the store.
    pub fn hold_path(&self, path: &StoredPath) -> Result<HeldPath, StoreError> {
        Ok(HeldPath {
            _pin: self.pin(path)?,
            stored: path.clone(),
        })
    }
}

fn nar_hash(hasher: Hasher) -> NarHash {
    NarHash::try_from(hasher.finish()).expect("it is a SHA-256 hasher")
}

/// Hashes what is read.
struct Hashed<R> {
    nar: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.nar.read(out)?;
        self.hasher.update(&out[..count]);
        Ok(count)
    }
}
