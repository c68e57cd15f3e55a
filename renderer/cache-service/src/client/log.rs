//! The log of a build on its way to the service, while it grows.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Method;
use niphas_http::{Failure, Retries};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::Sent;
use super::upload::offset;
use super::{Client, ClientError, send};
use crate::protocol::{BuildName, UPLOAD_OFFSET};

/// The most that one request has.
const PIECE: usize = 1 << 20;

impl Client {
    /// Sends what is written to a file, as it grows, until `done` and all of it arrived. The file need not be there yet. It is read
    /// again where the service lacks something.
    pub async fn follow_log(
        &self,
        build: &BuildName,
        file: &Path,
        done: CancellationToken,
    ) -> Result<(), ClientError> {
        let path = ["builds", build.as_str(), "log"];
        let mut arrived = None;
        let mut retries = Retries::new(&self.options.retries);
        loop {
            // Before the file is read, so that its last bytes are not missed.
            let is_last = done.is_cancelled();
            let failed = match self.send_log(&path, file, &mut arrived).await {
                Ok(0) if is_last => return Ok(()),
                Ok(0) => {
                    retries = Retries::new(&self.options.retries);
                    let pause = sleep(self.options.log_interval);
                    done.run_until_cancelled(pause).await;
                    continue;
                }
                Ok(_) => {
                    retries = Retries::new(&self.options.retries);
                    continue;
                }
                Err(Stopped::File(source)) => {
                    return Err(ClientError::Log {
                        path: file.to_owned(),
                        source,
                    });
                }
                Err(Stopped::Sent(error)) => error,
            };
            let failure = match &failed {
                // The service says where it goes on.
                Sent::Refused {
                    offset: Some(now), ..
                } => {
                    arrived = Some(*now);
                    Failure::Broken
                }
                error => {
                    arrived = None;
                    error.failure()
                }
            };
            match retries.after(failure) {
                Some(pause) => sleep(pause).await,
                None => return Err(failed.doing("send the log")),
            }
        }
    }

    /// Sends the next bytes; how many there were.
    async fn send_log(
        &self,
        path: &[&str],
        file: &Path,
        arrived: &mut Option<u64>,
    ) -> Result<usize, Stopped> {
        let at = if let Some(at) = *arrived {
            at
        } else {
            let head = send(self.start(Method::HEAD, path)?).await?;
            offset(head.headers()).ok_or(Sent::Offset)?
        };
        *arrived = Some(at);
        let bytes = read(file.to_owned(), at).await.map_err(Stopped::File)?;
        let count = bytes.len();
        if count == 0 {
            return Ok(0);
        }
        let request = self.start(Method::PATCH, path)?;
        let answer = send(request.header(UPLOAD_OFFSET, at).body(bytes)).await?;
        *arrived = Some(offset(answer.headers()).ok_or(Sent::Offset)?);
        Ok(count)
    }
}

enum Stopped {
    File(io::Error),
    Sent(Sent),
}

impl From<Sent> for Stopped {
    fn from(error: Sent) -> Self {
        Self::Sent(error)
    }
}

async fn read(path: PathBuf, at: u64) -> io::Result<Bytes> {
    let read = move || {
        let file = match regular_file::open_no_follow(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Bytes::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; PIECE];
        let count = file.read_at(&mut bytes, at)?;
        bytes.truncate(count);
        Ok(bytes.into())
    };
    tokio::task::spawn_blocking(read).await?
}
