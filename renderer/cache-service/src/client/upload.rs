//! Outputs on their way to the service.

use std::io::{self, Write};
use std::sync::Arc;

use binary_cache::{NarSource, PathInfo, SourceError};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method};
use niphas_http::{Failure, Retries};
use reqwest::Body;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use zstd::stream::write::Encoder;

use super::error::Sent;
use super::{Client, ClientError, send};
use crate::protocol::{BuildName, UPLOAD_OFFSET};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Pieces that wait to be sent.
const WAITING: usize = 8;

/// Fast: the way within a cluster is short, and the service compresses again.
const LEVEL: i32 = 1;

/// Where an upload ends, as an answer says.
pub(super) fn offset(headers: &HeaderMap) -> Option<u64> {
    headers.get(UPLOAD_OFFSET)?.to_str().ok()?.parse().ok()
}

impl Client {
    /// Uploads an output of a build. What arrived before, of this pod, is not sent again.
    pub async fn upload(
        &self,
        build: &BuildName,
        output: &str,
        source: Arc<dyn NarSource>,
        info: &PathInfo,
    ) -> Result<(), ClientError> {
        const DOING: &str = "upload an output";
        let upload = Upload {
            client: self,
            path: ["builds", build.as_str(), "outputs", output],
            source,
            info,
        };
        let mut retries = Retries::new(&self.options.retries);
        let mut furthest = 0;
        loop {
            let error = match upload.once(&mut furthest).await {
                Ok(()) => return Ok(()),
                Err(Stopped::Source(source)) => {
                    return Err(ClientError::Source {
                        output: output.to_owned(),
                        source,
                    });
                }
                Err(Stopped::Sent { error, progressed }) => {
                    if progressed {
                        retries = Retries::new(&self.options.retries);
                    }
                    error
                }
            };
            // The service knows where it ends: it is asked again.
            let failure = match &error {
                Sent::Refused {
                    offset: Some(_), ..
                } => Failure::Broken,
                error => error.failure(),
            };
            match retries.after(failure) {
                Some(pause) => sleep(pause).await,
                None => return Err(error.doing(DOING)),
            }
        }
    }
}

struct Upload<'a> {
    client: &'a Client,
    path: [&'a str; 4],
    source: Arc<dyn NarSource>,
    info: &'a PathInfo,
}

/// Why an attempt ended.
enum Stopped {
    Source(SourceError),
    Sent {
        error: Sent,
        /// More had arrived than ever before.
        progressed: bool,
    },
}

impl From<Sent> for Stopped {
    fn from(error: Sent) -> Self {
        Self::Sent {
            error,
            progressed: false,
        }
    }
}

impl Upload<'_> {
    /// Sends all that has not arrived, or as much as goes. `furthest` is the most that ever had.
    async fn once(&self, furthest: &mut u64) -> Result<(), Stopped> {
        let is_compressed = self.client.options.is_compressed;
        let mut arrived = self.begin(is_compressed).await?;
        let mut nar = NarPieces::start(
            Arc::clone(&self.source),
            self.info.clone(),
            is_compressed,
            arrived,
        );
        loop {
            let body = nar.next(self.client.options.request_size);
            let request = self.client.start(Method::PATCH, &self.path)?;
            let mut request = request.header(UPLOAD_OFFSET, arrived);
            if is_compressed {
                request = request.header(CONTENT_ENCODING, "zstd");
            }
            let sent = send(request.body(body)).await;
            let progressed = |now: u64, furthest: &mut u64| {
                let progressed = now > *furthest;
                *furthest = now.max(*furthest);
                progressed
            };
            let answer = match sent {
                Ok(answer) => answer,
                Err(error) => {
                    // The store's failure ends the request, too.
                    nar.failure().await.map_err(Stopped::Source)?;
                    let now = match &error {
                        Sent::Refused {
                            offset: Some(now), ..
                        } => *now,
                        _ => arrived,
                    };
                    let progressed = progressed(now, furthest);
                    return Err(Stopped::Sent { error, progressed });
                }
            };
            let Some(now) = offset(answer.headers()) else {
                return Err(Sent::Offset.into());
            };
            progressed(now, furthest);
            arrived = now;
            match nar.is_at_end(arrived).await.map_err(Stopped::Source)? {
                Some(true) => return Ok(()),
                Some(false) => return Err(Sent::Offset.into()),
                None => {}
            }
        }
    }

    /// How many bytes arrived. What began in another encoding begins again.
    async fn begin(&self, is_compressed: bool) -> Result<u64, Sent> {
        let head = send(self.client.start(Method::HEAD, &self.path)?).await?;
        let length = offset(head.headers()).ok_or(Sent::Offset)?;
        let is_other = head.headers().contains_key(CONTENT_ENCODING) != is_compressed;
        if length > 0 && is_other {
            send(self.client.start(Method::DELETE, &self.path)?).await?;
            return Ok(0);
        }
        Ok(length)
    }
}

/// A NAR that a thread reads, compresses, and gives piece by piece.
struct NarPieces {
    pieces: Arc<Mutex<Pieces>>,
    thread: Option<JoinHandle<Result<(), SourceError>>>,
}

struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    /// Where the next piece starts.
    at: u64,
    has_ended: bool,
}

impl NarPieces {
    /// From an offset on.
    fn start(source: Arc<dyn NarSource>, info: PathInfo, is_compressed: bool, offset: u64) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || {
            let out = Sender {
                pieces: sender,
                skip: offset,
                gathered: BytesMut::new(),
            };
            if !is_compressed {
                let mut out = out;
                source.write_nar(&info, &mut out)?;
                return out.send().map_err(SourceError::Write);
            }
            let mut encoder = Encoder::new(out, LEVEL).map_err(SourceError::Write)?;
            source.write_nar(&info, &mut encoder)?;
            let sent = encoder.finish().and_then(|mut out| out.send());
            sent.map_err(SourceError::Write)
        });
        Self {
            pieces: Arc::new(Mutex::new(Pieces {
                receiver,
                at: offset,
                has_ended: false,
            })),
            thread: Some(thread),
        }
    }

    /// The body of a request: at most about as many bytes.
    fn next(&self, size: u64) -> Body {
        let pieces = Arc::clone(&self.pieces);
        let body = stream::unfold((pieces, size), |(pieces, left)| async move {
            if left == 0 {
                return None;
            }
            let mut open = pieces.lock().await;
            let Some(piece) = open.receiver.recv().await else {
                open.has_ended = true;
                return None;
            };
            let length = piece.len() as u64;
            open.at += length;
            drop(open);
            Some((
                Ok::<_, io::Error>(piece),
                (pieces, left.saturating_sub(length)),
            ))
        });
        Body::wrap_stream(body)
    }

    /// None: there may be more to send. Else whether all that there is arrived.
    async fn is_at_end(&mut self, arrived: u64) -> Result<Option<bool>, SourceError> {
        let (at, has_ended) = {
            let pieces = self.pieces.lock().await;
            (pieces.at, pieces.has_ended)
        };
        if arrived != at {
            return Ok(Some(false));
        }
        if !has_ended {
            return Ok(None);
        }
        self.failure().await?;
        Ok(Some(true))
    }

    /// What the store failed with, if it did.
    async fn failure(&mut self) -> Result<(), SourceError> {
        let has_ended = self.pieces.lock().await.has_ended;
        let Some(thread) = self.thread.take_if(|_| has_ended) else {
            return Ok(());
        };
        match thread.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Gives what is written to it away, but for the beginning.
struct Sender {
    pieces: mpsc::Sender<Bytes>,
    skip: u64,
    gathered: BytesMut,
}

impl Sender {
    fn send(&mut self) -> io::Result<()> {
        let piece = self.gathered.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        let sent = self.pieces.blocking_send(piece);
        // The attempt ended.
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        self.gathered.extend_from_slice(&bytes[skipped as usize..]);
        if self.gathered.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
