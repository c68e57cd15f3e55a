//! One file from a server, read on a blocking thread: resumed where it broke
//! off, and asked for a second time while it stalls.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::error::FetchError;
use crate::limits::Limits;
use crate::transport::{Body, Opened};

/// Where a file is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) cache: Arc<Cache>,
    /// Its name within the cache.
    pub(crate) url: String,
}

/// Finds another place that has the same file, byte for byte.
pub(crate) type Mirror = Box<dyn FnMut() -> BoxFuture<'static, Option<Place>> + Send>;

/// What is fetched, and what came of it. To be read, it needs a runtime to wait
/// on, which [`Download::attach`] gives.
pub(crate) struct Download {
    place: Place,
    mirror: Mirror,
    limits: Arc<Limits>,
    /// Most bytes that it may have.
    max: u64,
    /// How long it may say nothing.
    patience: Duration,
    /// How long the pause before another request may be.
    longest_pause: Duration,
    /// Bytes got so far.
    offset: u64,
    /// Bytes that came a second time, from servers that give the whole file where the rest is asked for.
    passed_over: u64,
    /// Whether the rest was asked for, as the first answer stalled or broke off.
    is_pieced: bool,
    length: Option<u64>,
    version: Option<String>,
    /// Requests under way, two at most; each gives the bytes at the offset.
    steps: FuturesUnordered<BoxFuture<'static, (Place, Result<Step, FetchError>)>>,
    /// What was last wrong with the place itself, not with a mirror of it.
    own_error: Option<FetchError>,
    /// Requests that failed since the last byte came.
    attempts: u32,
    rate: Rate,
    lag: Lag,
    current: Bytes,
    ended: bool,
    waiter: Option<Waiter>,
    /// Why it failed.
    pub(crate) failure: Option<FetchError>,
}

/// Bytes of the file, or its end.
struct Step {
    /// Where in the file they are: at the offset that is next, or before it.
    at: u64,
    piece: Option<Bytes>,
    body: Body,
    length: Option<u64>,
    version: Option<String>,
}

/// For reads that must wait.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) runtime: Handle,
    /// The reader of the bytes holds the other end.
    pub(crate) cancelled: watch::Receiver<()>,
}

impl Waiter {
    /// Ends when the bytes are not needed any more.
    pub(crate) async fn gone(&mut self) {
        while self.cancelled.changed().await.is_ok() {}
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.cancelled.has_changed().is_err()
    }
}

impl Download {
    /// `is_only`: there is no other cache to ask.
    pub(crate) fn new(
        place: Place,
        mirror: Mirror,
        limits: Arc<Limits>,
        max: u64,
        is_only: bool,
    ) -> Self {
        let (patience, longest_pause) = if is_only {
            (limits.read_timeout, limits.retries.patience)
        } else {
            let patience = limits.read_timeout.min(limits.hedge_after * 3);
            (patience, patience)
        };
        let download = Self {
            steps: FuturesUnordered::new(),
            mirror,
            limits,
            max,
            patience,
            longest_pause,
            offset: 0,
            passed_over: 0,
            is_pieced: false,
            length: None,
            version: None,
            own_error: None,
            attempts: 0,
            rate: Rate::default(),
            lag: Lag::default(),
            current: Bytes::new(),
            ended: false,
            waiter: None,
            failure: None,
            place,
        };
        download.steps.push(ask(download.place.clone(), 0).boxed());
        download
    }

    pub(crate) fn attach(&mut self, waiter: Waiter) {
        self.waiter = Some(waiter);
    }

    /// Waits for the first bytes, and for the end if they are all. `false`: there
    /// is no such file.
    pub(crate) async fn start(&mut self) -> Result<bool, FetchError> {
        match self.advance().await {
            Ok(()) => Ok(true),
            Err(FetchError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes that are here, and not read yet.
    pub(crate) fn here(&self) -> &[u8] {
        &self.current
    }

    /// Whether the bytes may be of several answers.
    pub(crate) fn is_pieced(&self) -> bool {
        self.is_pieced
    }

    /// Whether all bytes came.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Gets the next piece, or the end.
    async fn advance(&mut self) -> Result<(), FetchError> {
        loop {
            // A piece that is passed over is one that came: no server was silent then.
            let (since, before) = (Instant::now(), self.offset + self.passed_over);
            let got = self.next_piece(since).await;
            let bytes = self.offset + self.passed_over - before;
            self.lag.add(since.elapsed(), bytes, &self.limits);
            got?;
            if self.ended || !self.current.is_empty() {
                return Ok(());
            }
        }
    }

    async fn next_piece(&mut self, since: Instant) -> Result<(), FetchError> {
        // Between attempts: no server was waited for then.
        let mut paused = Duration::ZERO;
        loop {
            let waited = since.elapsed().saturating_sub(paused);
            let left = self.lag.left(since.elapsed(), &self.limits);
            if left.is_zero() {
                return Err(FetchError::Slow {
                    name: self.place.url.clone(),
                    rate: self.limits.nar_rate,
                });
            }
            let silence = if self.steps.len() < 2 {
                self.limits.hedge_after.min(self.patience)
            } else {
                self.patience.saturating_sub(waited)
            };
            let silence = silence.min(left);
            let Ok(step) = tokio::time::timeout(silence, self.steps.next()).await else {
                if self.lag.left(since.elapsed(), &self.limits).is_zero() {
                    continue;
                }
                if since.elapsed().saturating_sub(paused) >= self.patience {
                    let name = self.place.url.clone();
                    paused += self.try_again(FetchError::Timeout { name }, since).await?;
                } else if self.steps.len() < 2 {
                    self.hedge();
                }
                continue;
            };
            let Some((place, step)) = step else {
                let next = ask(self.place.clone(), self.offset).boxed();
                self.steps.push(next);
                continue;
            };
            let waited = since.elapsed().saturating_sub(paused);
            let Err(error) = step.and_then(|step| self.take(place.clone(), step, waited)) else {
                return Ok(());
            };
            // What a mirror lacks says nothing about the place itself.
            let is_own = Arc::ptr_eq(&place.cache, &self.place.cache);
            let error = match &self.own_error {
                Some(own) if !is_own => own.clone(),
                _ => error,
            };
            if is_own {
                self.own_error = Some(error.clone());
            }
            // Where another request is under way, it goes on.
            if self.steps.is_empty() {
                paused += self.try_again(error, since).await?;
            }
        }
    }

    /// Asks for the rest elsewhere, or here once more, while the first request
    /// may still be answered.
    fn hedge(&mut self) {
        tracing::debug!(cache = %self.place.cache.name, name = %self.place.url, "it stalls: asking again");
        self.is_pieced |= self.offset > 0;
        let mirror = (self.mirror)();
        let (place, offset) = (self.place.clone(), self.offset);
        let again = async move { ask(mirror.await.unwrap_or(place), offset).await };
        self.steps.push(again.boxed());
    }

    /// Takes a piece; requests other than the one it came from are dropped.
    fn take(&mut self, place: Place, step: Step, waited: Duration) -> Result<(), FetchError> {
        let name = || place.url.clone();
        let is_same_place = Arc::ptr_eq(&place.cache, &self.place.cache);
        let other_version =
            is_same_place && matches!((&self.version, &step.version), (Some(a), Some(b)) if a != b);
        let other_length = matches!((self.length, step.length), (Some(a), Some(b)) if a != b);
        if self.offset > 0 && (other_version || other_length) {
            return Err(FetchError::Changed { name: name() });
        }
        self.length = self.length.or(step.length);
        let Some(mut piece) = step.piece else {
            if step.at < self.offset {
                return Err(FetchError::Range { name: name() });
            }
            if let Some(expected) = self.length.filter(|&length| length > self.offset) {
                // The rest was asked for, and there is nothing in it.
                if self.attempts > 0 {
                    return Err(FetchError::Range { name: name() });
                }
                return Err(FetchError::Truncated {
                    name: name(),
                    expected,
                    actual: self.offset,
                });
            }
            self.ended = true;
            return Ok(());
        };
        let next = step.at + piece.len() as u64;
        let known = (self.offset - step.at).min(piece.len() as u64);
        self.passed_over += known;
        // Otherwise a server that breaks off again and again would send without an end.
        if self.passed_over > self.max {
            return Err(FetchError::Range { name: name() });
        }
        if known > 0 {
            piece = piece.split_off(known as usize);
        }
        if piece.len() as u64 > self.max - self.offset {
            return Err(FetchError::TooLarge {
                name: name(),
                limit: usize::try_from(self.max).unwrap_or(usize::MAX),
            });
        }
        self.offset += piece.len() as u64;
        if !self
            .rate
            .is_enough(piece.len() + known as usize, waited, &self.limits)
        {
            return Err(FetchError::Slow {
                name: name(),
                rate: self.limits.min_rate,
            });
        }
        if piece.is_empty() {
            let more = more(step.body, next, place, step.length, step.version);
            self.steps.push(more.boxed());
            return Ok(());
        }
        self.version = step.version;
        self.place = place.clone();
        self.own_error = None;
        self.attempts = 0;
        self.steps.clear();
        if self.length == Some(self.offset) {
            self.ended = true;
        } else {
            let version = self.version.clone();
            let more = more(step.body, next, place, step.length, version);
            self.steps.push(more.boxed());
        }
        self.current = piece;
        Ok(())
    }

    /// After a failure: the next request, if there is one, and the pause that was made before. Where another cache may be
    /// asked, that is done rather than to wait long.
    async fn try_again(
        &mut self,
        error: FetchError,
        since: Instant,
    ) -> Result<Duration, FetchError> {
        self.attempts += 1;
        self.steps.clear();
        let retries = &self.limits.retries;
        let left = self.lag.left(since.elapsed(), &self.limits);
        let longest = left.min(self.longest_pause);
        let Some(pause) = retries.pause(self.attempts, error.failure(), longest) else {
            return Err(error);
        };
        tracing::debug!(cache = %self.place.cache.name, name = %self.place.url, offset = self.offset, ?pause, error = nix_formats::chain(&error), "a request failed; trying again");
        tokio::time::sleep(pause).await;
        self.rate = Rate::default();
        self.is_pieced |= self.offset > 0;
        if self.attempts == 1 {
            let next = ask(self.place.clone(), self.offset);
            self.steps.push(next.boxed());
        } else {
            self.hedge();
        }
        Ok(pause)
    }
}

/// A request for the rest of a file from `offset` on, up to the first bytes that come.
async fn ask(place: Place, offset: u64) -> (Place, Result<Step, FetchError>) {
    let step = first(&place, offset).await;
    (place, step)
}

async fn first(place: &Place, offset: u64) -> Result<Step, FetchError> {
    let name = || place.url.clone();
    let opened = place.cache.transport.open(&place.url, offset).await?;
    let Opened {
        mut body,
        start,
        length,
        version,
    } = opened.ok_or_else(|| FetchError::Missing { name: name() })?;
    // A server that knows no ranges sends all again.
    if start > offset {
        return Err(FetchError::Range { name: name() });
    }
    let piece = next_of(&mut body).await?;
    Ok(Step {
        at: start,
        piece,
        body,
        length,
        version,
    })
}

async fn next_of(body: &mut Body) -> Result<Option<Bytes>, FetchError> {
    loop {
        match body.next().await? {
            Some(piece) if piece.is_empty() => {}
            piece => return Ok(piece),
        }
    }
}

/// The next bytes of a body, which are there in the file.
async fn more(
    mut body: Body,
    at: u64,
    place: Place,
    length: Option<u64>,
    version: Option<String>,
) -> (Place, Result<Step, FetchError>) {
    let piece = match next_of(&mut body).await {
        Ok(piece) => piece,
        Err(error) => return (place, Err(error)),
    };
    let step = Step {
        at,
        piece,
        body,
        length,
        version,
    };
    (place, Ok(step))
}

/// How fast bytes come, less the time in which no reader waited for them.
#[derive(Default)]
struct Rate {
    bytes: u64,
    waited: Duration,
}

impl Rate {
    fn is_enough(&mut self, bytes: usize, waited: Duration, limits: &Limits) -> bool {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.waited < limits.read_timeout {
            return true;
        }
        let enough = self.bytes as f64 >= limits.min_rate as f64 * self.waited.as_secs_f64();
        *self = Self::default();
        enough
    }
}

/// How late the bytes are, the time left out that they were not waited for: never negative, so that what came fast makes
/// up for nothing that comes later.
#[derive(Default)]
struct Lag(Duration);

impl Lag {
    fn add(&mut self, waited: Duration, bytes: u64, limits: &Limits) {
        let due = Duration::from_secs_f64(bytes as f64 / limits.nar_rate.max(1) as f64);
        self.0 = (self.0 + waited).saturating_sub(due);
    }

    /// How long to wait for the next bytes.
    fn left(&self, waited: Duration, limits: &Limits) -> Duration {
        limits.nar_grace.saturating_sub(self.0 + waited)
    }
}

impl BufRead for Download {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.failure.is_some() {
            return Err(io::Error::other("the download failed"));
        }
        if self.current.is_empty() && !self.ended {
            let Some(mut waiter) = self.waiter.take() else {
                return Err(io::Error::other("nothing to wait on"));
            };
            let runtime = waiter.runtime.clone();
            let got = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = waiter.gone() => None,
                    got = self.advance() => Some(got),
                }
            });
            self.waiter = Some(waiter);
            match got {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the download failed"));
                }
                None => return Err(cancelled()),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        let _ = self.current.split_to(count);
    }
}

impl Read for Download {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = out.len().min(available.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

pub(crate) fn cancelled() -> io::Error {
    io::Error::other("its reader is gone")
}
