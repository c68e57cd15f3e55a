//! One file that arrives piece by piece.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::identity::Builds;
use super::refusal::Refusal;
use super::staged::{Encoding, Staged, What};
use super::{Ingest, Shared};

/// Bytes that are written at once: what a request holds in memory.
const PIECE: usize = 256 << 10;

/// Who writes an upload: one request at a time, and always the last.
#[derive(Debug, Default)]
pub(super) struct Upload {
    turn: tokio::sync::Mutex<()>,
    /// Ends the request that writes.
    current: Mutex<CancellationToken>,
}

impl Upload {
    /// Ends the request that writes now; this one is ended by the next.
    fn supersede(&self) -> CancellationToken {
        let next = CancellationToken::new();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, next.clone()).cancel();
        next
    }
}

/// Where bytes of a request go.
pub(super) struct Target {
    pub(super) staged: Arc<Staged>,
    pub(super) what: What,
    pub(super) encoding: Encoding,
    /// The most that the upload may have.
    pub(super) limit: u64,
}

impl<B: Builds> Ingest<B> {
    /// Writes what a request brings at the end of an upload; where it ends then. To be run to its end, even if the request ends
    /// before: what is being written is then counted.
    pub(super) async fn receive(
        &self,
        target: Target,
        offset: u64,
        body: Body,
    ) -> Result<u64, Refusal> {
        let shared = &self.0;
        let upload = target.staged.upload(&target.what);
        let superseded = upload.supersede();
        let _turn = upload.turn.lock().await;
        let _permit = shared.uploads.try_acquire().map_err(|_| Refusal::Busy)?;
        if target.staged.outcome().is_some() {
            return Err(Refusal::Finished);
        }
        let progress = target.staged.progress(&target.what);
        let length = match progress.map_err(|error| internal(&error))? {
            Some((encoding, 0)) if encoding != target.encoding => {
                let dropped = target.staged.drop_upload(&target.what);
                dropped.map_err(|error| internal(&error))?;
                0
            }
            Some((encoding, _)) if encoding != target.encoding => {
                return Err(Refusal::OtherEncoding);
            }
            Some((_, length)) => length,
            None => 0,
        };
        if offset != length {
            return Err(Refusal::Offset(length));
        }
        shared.write(&target, offset, body, &superseded).await
    }

    /// Removes an upload, so that it can begin again.
    pub(super) async fn discard(&self, staged: Arc<Staged>, what: What) -> Result<(), Refusal> {
        let upload = staged.upload(&what);
        upload.supersede();
        let _turn = upload.turn.lock().await;
        if staged.outcome().is_some() {
            return Err(Refusal::Finished);
        }
        staged.drop_upload(&what).map_err(|error| internal(&error))
    }
}

impl<B> Shared<B> {
    async fn write(
        &self,
        target: &Target,
        mut at: u64,
        body: Body,
        superseded: &CancellationToken,
    ) -> Result<u64, Refusal> {
        let limits = &self.settings.limits;
        let path = target.staged.path(&target.what, target.encoding);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path);
        let file = Arc::new(file.map_err(|error| internal(&error))?);
        let mut pieces = body.into_data_stream();
        let mut gathered = BytesMut::new();
        loop {
            let next = tokio::select! {
                next = tokio::time::timeout(limits.idle, pieces.next()) => next,
                // Another request goes on from what is written.
                () = superseded.cancelled() => return Err(Refusal::Superseded),
            };
            let (piece, failed) = match next {
                Ok(Some(Ok(piece))) => (Some(piece), None),
                Ok(None) => (None, None),
                // What came before stays.
                Ok(Some(Err(_))) => (None, Some(Refusal::BrokeOff)),
                Err(_) => (None, Some(Refusal::Idle(limits.idle.as_secs()))),
            };
            let is_last = piece.is_none();
            gathered.extend_from_slice(&piece.unwrap_or_default());
            // What is small is written soon enough; what is alive is written at once.
            if gathered.len() >= PIECE || is_last || target.what == What::Log {
                let bytes = gathered.split().freeze();
                self.check_room(target, at, bytes.len() as u64)?;
                at = append(&file, target, at, bytes).await?;
            }
            match failed {
                Some(refusal) => return Err(refusal),
                None if is_last => return Ok(at),
                None => {}
            }
        }
    }

    fn check_room(&self, target: &Target, at: u64, bytes: u64) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        if at.saturating_add(bytes) > target.limit {
            let what = match &target.what {
                What::Log => "the log",
                What::Output(_) => "an output",
            };
            return Err(Refusal::TooLarge {
                what,
                limit: target.limit,
            });
        }
        if target.staged.bytes().saturating_add(bytes) > limits.build_size {
            return Err(Refusal::TooLarge {
                what: "the uploads of a build",
                limit: limits.build_size,
            });
        }
        self.staging.room(bytes)
    }
}

async fn append(
    file: &Arc<std::fs::File>,
    target: &Target,
    at: u64,
    bytes: Bytes,
) -> Result<u64, Refusal> {
    let (file, count) = (Arc::clone(file), bytes.len() as u64);
    if count == 0 {
        return Ok(at);
    }
    let (staged, what) = (Arc::clone(&target.staged), target.what.clone());
    let write = move || {
        file.write_all_at(&bytes, at)?;
        staged.grew(&what, count, at + count);
        Ok(())
    };
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|error| internal(&error))?;
    Ok(at + count)
}

fn internal(error: &io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::StorageFull {
        return Refusal::NoRoom;
    }
    tracing::error!(%error, "failed to write an upload");
    Refusal::Internal("write an upload")
}
