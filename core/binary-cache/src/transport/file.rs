//! A cache in a folder.

use super::is_inside;
use crate::error::FetchError;
use bytes::{Bytes, BytesMut};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncReadExt;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) async fn open(&self, name: &str) -> Result<Option<Pieces>, FetchError> {
        if !is_inside(name) {
            return Err(FetchError::Outside {
                name: name.to_owned(),
            });
        }
        let path = self.path.join(name);
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Some(Pieces { file, path })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    pub(super) async fn get(&self, name: &str, max: usize) -> Result<Option<Bytes>, FetchError> {
        let Some(mut pieces) = self.open(name).await? else {
            return Ok(None);
        };
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await? {
            if bytes.len() + piece.len() > max {
                return Err(FetchError::TooLarge {
                    name: name.to_owned(),
                    limit: max,
                });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes.freeze()))
    }
}

pub(crate) struct Pieces {
    file: tokio::fs::File,
    path: PathBuf,
}

impl Pieces {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let mut piece = BytesMut::with_capacity(64 * 1024);
        match self.file.read_buf(&mut piece).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(piece.freeze())),
            Err(error) => Err(failed(&self.path, error)),
        }
    }
}

fn failed(path: &Path, error: io::Error) -> FetchError {
    FetchError::File {
        path: path.display().to_string(),
        source: Arc::new(error),
    }
}
