//! What is uploaded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

const PIECE: u64 = 256 * 1024;

/// A file to be written, which is complete.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// All of it.
    Memory(Bytes),
    /// A file without a name, and its size.
    File(Arc<File>, u64),
    /// A file in the [stage](super::Stage) of the folder that it is for.
    Staged(PathBuf),
}

impl Payload {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
            // Only folders have stages, and they rename.
            Self::Staged(_) => 0,
        }
    }

    /// Its bytes, from the start.
    pub(super) fn pieces(&self) -> BoxStream<'static, io::Result<Bytes>> {
        match self {
            Self::Memory(bytes) => {
                let bytes = bytes.clone();
                stream::once(async move { Ok(bytes) }).boxed()
            }
            Self::File(file, size) => {
                let (file, size) = (Arc::clone(file), *size);
                stream::try_unfold(0, move |offset| read_piece(Arc::clone(&file), offset, size))
                    .boxed()
            }
            Self::Staged(_) => stream::empty().boxed(),
        }
    }
}

async fn read_piece(file: Arc<File>, offset: u64, size: u64) -> io::Result<Option<(Bytes, u64)>> {
    let length = PIECE.min(size - offset);
    if length == 0 {
        return Ok(None);
    }
    let read = move || {
        let mut piece = vec![0; length as usize];
        file.read_exact_at(&mut piece, offset)?;
        Ok(Some((piece.into(), offset + length)))
    };
    tokio::task::spawn_blocking(read).await?
}
