//! Logs of builds, while they grow.

use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use tokio::sync::watch;

use super::Ingest;
use super::identity::Builds;
use crate::protocol::BuildName;

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// The bytes, none at the end.
    pub bytes: Bytes,
    /// Whether nothing more will come: the build has an outcome.
    pub is_complete: bool,
}

/// The most that is read at once.
const MAX_PIECE: usize = 1 << 20;

impl<B: Builds> Ingest<B> {
    /// Reads the log of a build from `offset` on, at most `max` bytes and a megabyte, as the pod sent it that was heard of last. None:
    /// no pod of it was heard of lately. The log of a build with an outcome is in the cache, too.
    pub async fn log(
        &self,
        build: &BuildName,
        offset: u64,
        max: usize,
    ) -> io::Result<Option<LogPiece>> {
        let Some(staged) = self.0.staging.latest(build) else {
            return Ok(None);
        };
        let read = move || {
            let is_complete = staged.outcome().is_some();
            let file = match regular_file::open_no_follow(&staged.log_path()) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Some(LogPiece {
                        bytes: Bytes::new(),
                        is_complete,
                    }));
                }
                Err(error) => return Err(error),
            };
            let mut bytes = vec![0; max.min(MAX_PIECE)];
            let count = file.read_at(&mut bytes, offset)?;
            bytes.truncate(count);
            Ok(Some(LogPiece {
                bytes: bytes.into(),
                is_complete,
            }))
        };
        tokio::task::spawn_blocking(read).await?
    }

    /// The length of the log of a build, whenever it grows.
    pub fn log_length(&self, build: &BuildName) -> Option<watch::Receiver<u64>> {
        let staged = self.0.staging.latest(build)?;
        Some(staged.log_length())
    }
}
