//! Files of a pack in the making, which are gone when it comes to nothing.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::FileError;

/// What is read back at once.
const PIECE: u64 = 256 << 10;

/// A file that is removed unless it is renamed.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    is_kept: bool,
}

impl TemporaryFile {
    pub(super) fn create(path: PathBuf) -> Result<Self, FileError> {
        // The mode says that it is not known to be on disk: see `crate::sync`.
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .map_err(|error| FileError::new("create", &path, error))?;
        Ok(Self {
            path,
            file: Arc::new(file),
            is_kept: false,
        })
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), FileError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| FileError::new("write", &self.path, error))
    }

    pub(super) fn set_len(&self, length: u64) -> Result<(), FileError> {
        self.file
            .set_len(length)
            .map_err(|error| FileError::new("write", &self.path, error))
    }

    pub(super) fn rename(mut self, to: &Path) -> Result<(), FileError> {
        std::fs::rename(&self.path, to).map_err(|error| FileError::new("create", to, error))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a file that was being made");
        }
    }
}

/// Bytes that were written to a file, which goes with this.
#[derive(Debug)]
pub(super) struct Spilled {
    file: TemporaryFile,
    pub(super) length: u64,
}

impl Spilled {
    pub(super) fn create(path: &Path) -> Result<Self, FileError> {
        let file = TemporaryFile::create(path.to_owned())?;
        Ok(Self { file, length: 0 })
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives them all, in order.
    pub(super) fn read<E: From<FileError>>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut piece = vec![0; PIECE as usize];
        let mut done = 0;
        while done < self.length {
            let count = (self.length - done).min(PIECE);
            let bytes = &mut piece[..count as usize];
            let read = self.file.file.read_exact_at(bytes, done);
            read.map_err(|error| FileError::new("read", &self.file.path, error))?;
            take(bytes)?;
            done += count;
        }
        Ok(())
    }
}
