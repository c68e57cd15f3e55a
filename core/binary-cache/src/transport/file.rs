//! A cache in a folder.

use super::is_inside;
use crate::error::FetchError;
use bytes::Bytes;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self, name: &str) -> Result<PathBuf, FetchError> {
        if !is_inside(name) {
            return Err(FetchError::Outside {
                name: name.to_owned(),
            });
        }
        Ok(self.path.join(name))
    }

    /// Opens a file for whoever may block.
    pub(super) fn open(&self, name: &str) -> Result<Option<std::fs::File>, FetchError> {
        let path = self.path(name)?;
        match std::fs::File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    pub(super) async fn get(&self, name: &str, max: usize) -> Result<Option<Bytes>, FetchError> {
        let path = self.path(name)?;
        let name = name.to_owned();
        let read = move || {
            let file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(&path, error)),
            };
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

fn failed(path: &Path, error: io::Error) -> FetchError {
    FetchError::File {
        path: path.display().to_string(),
        source: Arc::new(error),
    }
}
