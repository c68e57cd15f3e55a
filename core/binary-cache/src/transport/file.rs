//! A cache in a folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Payload, Stage, is_inside};
use crate::error::FetchError;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Made once something has to be written.
    stage: OnceLock<Stage>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            stage: OnceLock::new(),
        }
    }

    /// Where it is, if there is no folder.
    pub(super) fn missing(&self) -> Option<&Path> {
        (!self.path.is_dir()).then_some(&self.path)
    }

    pub(super) fn exists(&self, name: &str) -> Result<bool, FetchError> {
        let path = self.path(name)?;
        path.try_exists().map_err(|error| failed(&path, error))
    }

    /// The folder to make files in; it and the cache's own are made if they are missing.
    pub(super) fn stage(&self) -> Result<&Stage, FetchError> {
        if let Some(stage) = self.stage.get() {
            return Ok(stage);
        }
        for path in [&self.path, &self.path.join("nar")] {
            std::fs::create_dir_all(path).map_err(|error| not_written(path, error))?;
        }
        let stage = Stage::new(&self.path)?;
        Ok(self.stage.get_or_init(|| stage))
    }

    /// Puts a file in its place by a rename from the stage. It blocks, but for less time than it takes to have another thread do it: what
    /// is large was written before.
    pub(super) fn put(&self, name: &str, payload: &Payload) -> Result<(), FetchError> {
        let path = self.path(name)?;
        // Beside the folder of NARs, which the stage makes, there are folders only for what some caches have.
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            std::fs::create_dir_all(folder).map_err(|error| not_written(folder, error))?;
        }
        let written = match payload {
            Payload::Staged(staged) => std::fs::rename(staged, &path),
            Payload::Memory(bytes) => {
                let staged = self.stage()?.path();
                std::fs::write(&staged, bytes).and_then(|()| std::fs::rename(staged, &path))
            }
            Payload::File(..) => Err(io::ErrorKind::Unsupported.into()),
        };
        written.map_err(|error| not_written(&path, error))
    }

    /// Puts small files in their places, in this order. All that was put into the cache before is on the disk before the first
    /// of them becomes visible, and they are when this returns. Blocks.
    pub(crate) fn put_last(&self, files: &[(String, String)]) -> Result<(), FetchError> {
        let mut renames = Vec::with_capacity(files.len());
        for (name, text) in files {
            let (staged, path) = (self.stage()?.path(), self.path(name)?);
            std::fs::write(&staged, text).map_err(|error| not_written(&path, error))?;
            renames.push((staged, path));
        }
        let failed = |error| not_written(&self.path, error);
        let folder = std::fs::File::open(&self.path).map_err(failed)?;
        // One call for all: a call for each file takes longer the smaller they are.
        rustix::fs::syncfs(&folder).map_err(|error| failed(error.into()))?;
        for (staged, path) in renames {
            std::fs::rename(staged, &path).map_err(|error| not_written(&path, error))?;
        }
        folder.sync_all().map_err(failed)
    }

    /// Whether there is such a file, of the expected size. One that was not on the disk when the machine went down may be
    /// there and empty.
    pub(crate) fn has(&self, name: &str, size: Option<u64>) -> bool {
        let found = self.path(name).ok().and_then(|path| path.metadata().ok());
        found.is_some_and(|found| {
            found.is_file() && size.map_or(found.len() > 0, |size| found.len() == size)
        })
    }

    pub(super) fn path(&self, name: &str) -> Result<PathBuf, FetchError> {
        if !is_inside(name) {
            return Err(FetchError::Outside {
                name: name.to_owned(),
            });
        }
        Ok(self.path.join(name))
    }

    /// Opens a file, to be read by those who may block.
    pub(super) fn open(&self, name: &str) -> Result<Option<std::fs::File>, FetchError> {
        let path = self.path(name)?;
        match regular_file::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    pub(super) async fn get(&self, name: &str, max: usize) -> Result<Option<Bytes>, FetchError> {
        let (path, name) = (self.path(name)?, name.to_owned());
        // What is not there is not worth another thread.
        let Some(file) = self.open(&name)? else {
            return Ok(None);
        };
        let read = move || {
            let mut bytes = Vec::new();
            let read = file.take(max as u64 + 1).read_to_end(&mut bytes);
            read.map_err(|error| failed(&path, error))?;
            if bytes.len() > max {
                return Err(FetchError::TooLarge { name, limit: max });
            }
            Ok(Some(bytes.into()))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(bytes) => bytes,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(failed(&self.path, error.into())),
            },
        }
    }
}

fn not_written(path: &Path, error: io::Error) -> FetchError {
    FetchError::Write {
        path: path.display().to_string(),
        source: Arc::new(error),
    }
}

fn failed(path: &Path, error: io::Error) -> FetchError {
    FetchError::File {
        path: path.display().to_string(),
        source: Arc::new(error),
    }
}
