//! Logs of builds, for people: of those that go on as far as pods have sent them, of others as the cache keeps them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use niphas_build_jobs::schedule::Progress;
use niphas_cache_service::ingest::Ingest;
use niphas_cache_service::protocol::BuildName;
use nix_formats::StorePath;
use tokio::task::spawn_blocking;

use super::deliveries::Pods;
use super::record::RecordedState;
use super::shop::Shop;

/// How long a log may be silent before it is asked whether its build goes on.
const SILENCE: Duration = Duration::from_secs(5);
/// The most that is read at once.
const PIECE: usize = 256 << 10;

/// The logs of builds.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(super) shop: Arc<Shop>,
    pub(super) ingest: Ingest<Pods>,
}

/// A log that is read from its beginning or a place in it.
pub(crate) struct Log {
    logs: Logs,
    derivation: StorePath,
    build: BuildName,
    /// None: it is read as its pod sends it.
    stored: Option<Arc<File>>,
    pub(crate) is_live: bool,
    pub(crate) state: Option<RecordedState>,
}

impl Logs {
    /// Opens the log of a derivation, if there is one.
    pub(crate) async fn open(&self, derivation: StorePath) -> io::Result<Option<Log>> {
        let build = BuildName::of(&derivation);
        let state = self.state(&derivation).await;
        let sent = self.ingest.log(&build, 0, 0).await?;
        let is_sent = sent.is_some();
        let is_live =
            sent.is_some_and(|sent| !sent.is_complete) && state == Some(RecordedState::Running);
        let stored = if is_live {
            None
        } else {
            let folder = self.shop.settings.cache_folder().join("log");
            let file = folder.join(derivation.base_name());
            open(move || regular_file::open_no_follow(&file)).await?
        };
        if stored.is_none() && !is_sent {
            return Ok(None);
        }
        Ok(Some(Log {
            logs: self.clone(),
            derivation,
            build,
            stored: stored.map(Arc::new),
            is_live,
            state,
        }))
    }

    async fn state(&self, derivation: &StorePath) -> Option<RecordedState> {
        let progress = self.shop.builds.progress(derivation.clone()).await;
        Some(match progress.ok().flatten()?.progress {
            Progress::Waiting => RecordedState::Waiting,
            Progress::Running => RecordedState::Running,
            Progress::Built => RecordedState::Built,
            Progress::Failed(_) => RecordedState::Failed,
            Progress::Blocked { .. } => RecordedState::Blocked,
        })
    }
}

impl Log {
    /// How long it is so far.
    pub(crate) async fn length(&self) -> io::Result<u64> {
        let Some(file) = &self.stored else {
            let length = self.logs.ingest.log_length(&self.build);
            return Ok(length.map_or(0, |length| *length.borrow()));
        };
        let file = Arc::clone(file);
        let metadata = open(move || file.metadata()).await?;
        Ok(metadata.map_or(0, |it| it.len()))
    }

    /// The bytes from a place on, as many as are read at once; none at the end of what there is.
    pub(crate) async fn piece(&self, from: u64) -> io::Result<Bytes> {
        let Some(file) = &self.stored else {
            let piece = self.logs.ingest.log(&self.build, from, PIECE).await?;
            return Ok(piece.map(|piece| piece.bytes).unwrap_or_default());
        };
        let file = Arc::clone(file);
        let read = spawn_blocking(move || {
            let mut bytes = vec![0; PIECE];
            let count = file.read_at(&mut bytes, from)?;
            bytes.truncate(count);
            Ok(Bytes::from(bytes))
        });
        read.await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// All of the last `most` bytes, and where they begin.
    pub(crate) async fn last(&self, most: u64) -> io::Result<(Vec<u8>, u64)> {
        let begin = self.length().await?.saturating_sub(most);
        let mut text = Vec::new();
        while (text.len() as u64) < most {
            let piece = self.piece(begin + text.len() as u64).await?;
            if piece.is_empty() {
                break;
            }
            text.extend_from_slice(&piece);
        }
        Ok((text, begin))
    }

    /// Waits until there is more than `length`, for a while; whether there may be.
    pub(crate) async fn grows(&self, length: u64) -> bool {
        if !self.is_live {
            return false;
        }
        let Some(mut now) = self.logs.ingest.log_length(&self.build) else {
            return false;
        };
        let longer = async { now.wait_for(|now| *now > length).await.is_ok() };
        match tokio::time::timeout(SILENCE, longer).await {
            Ok(is_longer) => is_longer,
            Err(_) => self.goes_on(length).await,
        }
    }

    async fn goes_on(&self, length: u64) -> bool {
        let sent = self.logs.ingest.log(&self.build, length, 1).await;
        let is_open = match sent {
            Ok(Some(sent)) => !sent.is_complete || !sent.bytes.is_empty(),
            Ok(None) | Err(_) => false,
        };
        is_open && self.logs.state(&self.derivation).await == Some(RecordedState::Running)
    }
}

/// What a file system has, or none.
async fn open<T: Send + 'static>(
    open: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<Option<T>> {
    match spawn_blocking(open).await {
        Ok(Ok(found)) => Ok(Some(found)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}
