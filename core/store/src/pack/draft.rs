//! A pack that is whole, until it is one of the store's.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::temporary::TemporaryFile;
use crate::error::FileError;
use crate::layout::PackId;
use crate::places::Places;

/// A pack that is whole but not yet one of the store's.
#[derive(Debug)]
pub(crate) struct Draft<K> {
    pub(super) id: PackId,
    pub(super) file: TemporaryFile,
    pub(super) known: K,
    pub(super) contents: Places,
    pub(super) refers: Vec<PackId>,
    pub(super) data: u64,
    pub(super) length: u64,
}

/// What the index has to know of a pack that was published.
pub(crate) struct Published<K> {
    pub(crate) id: PackId,
    /// Keeps what it refers to.
    pub(crate) known: K,
    /// Contents that were not stored before, and where they are.
    pub(crate) contents: Places,
    pub(crate) refers: Vec<PackId>,
    /// Bytes of contents.
    pub(crate) data: u64,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Bytes on disk.
    pub(crate) disk: u64,
}

impl<K> Draft<K> {
    /// Its number.
    pub(crate) fn id(&self) -> PackId {
        self.id
    }

    /// The file, which goes when the draft does.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Makes it one of the store's packs.
    pub(crate) fn publish(self, path: &Path) -> Result<Published<K>, FileError> {
        use std::os::unix::fs::MetadataExt;
        let metadata = self.file.file.metadata();
        let metadata = metadata.map_err(|error| FileError::new("read", path, error))?;
        self.file.rename(path)?;
        Ok(Published {
            id: self.id,
            known: self.known,
            contents: self.contents,
            refers: self.refers,
            data: self.data,
            length: self.length,
            disk: metadata.blocks() * 512,
        })
    }
}
