//! The other end of [`crate::protocol`]: for the agent in a build pod.
//!
//! Requests that fail in passing are sent again, and uploads go on where they were. Memory does not grow with what is sent.

mod error;
mod log;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use binary_cache::{NarSource, PathInfo};
use http::{HeaderMap, Method, StatusCode};
use niphas_http::{Failure, Retries, RetryPolicy, Secret, retry_after};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use url::Url;

use crate::protocol::{BuildName, BuildRequest, BuildResult, Outcome, OutputClaim, Problem};
pub use error::ClientError;
use error::Sent;

/// Where the service is, and who asks.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Token,
    options: Options,
}

/// A token of the pod's ServiceAccount.
#[derive(Debug, Clone)]
pub enum Token {
    /// A file, which is read for each request: kubelet replaces it before it expires.
    File(PathBuf),
    /// The token itself.
    Secret(Secret),
}

/// How uploads are sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Attempts, and the pauses between them. Progress starts them from the first.
    pub retries: RetryPolicy,
    /// NARs are compressed on their way.
    pub is_compressed: bool,
    /// Bytes of one request.
    pub request_size: u64,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the service may take to check and store the outputs of a build.
    pub finish_timeout: Duration,
    /// How often a log that grows is sent.
    pub log_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retries: RetryPolicy {
                attempts: 20,
                pause: Duration::from_millis(250),
                patience: Duration::from_mins(10),
            },
            is_compressed: true,
            request_size: 64 << 20,
            request_timeout: Duration::from_mins(5),
            finish_timeout: Duration::from_hours(2),
            log_interval: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Client");
        debug
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// How often outputs are sent that arrive damaged.
const DELIVERIES: u32 = 3;

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

impl Client {
    /// A client of the service at a URL. Make `http` with [`niphas_http`]: without redirects, for it carries a token.
    pub fn new(http: reqwest::Client, base: Url, token: Token, options: Options) -> Self {
        Self {
            http,
            base,
            token,
            options,
        }
    }

    /// Asks what the pod has to build.
    pub async fn request(&self, build: &BuildName) -> Result<BuildRequest, ClientError> {
        let path = ["builds", build.as_str()];
        let get = self.retrying("get the build", |client| {
            let request = client.start(Method::GET, &path);
            async move { send(request?).await }
        });
        read(get.await?)
            .await
            .map_err(|error| error.doing("read the build"))
    }

    /// Uploads all outputs of a build that succeeded, and waits for what the service makes of them. What arrived damaged is sent
    /// again; where there is an outcome already, that is it.
    pub async fn deliver(
        &self,
        build: &BuildName,
        source: Arc<dyn NarSource>,
        outputs: &BTreeMap<String, PathInfo>,
    ) -> Result<Outcome, ClientError> {
        let claim = |info: &PathInfo| OutputClaim {
            path: info.path.clone(),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
        };
        let claims = outputs.iter();
        let result = BuildResult::Built {
            outputs: claims
                .map(|(name, info)| (name.clone(), claim(info)))
                .collect(),
        };
        let mut left = DELIVERIES;
        loop {
            left -= 1;
            for (name, info) in outputs {
                match self.upload(build, name, Arc::clone(&source), info).await {
                    Err(error) if error.status() == Some(StatusCode::GONE) => break,
                    uploaded => uploaded?,
                }
            }
            match self.finish(build, &result).await {
                Err(error) if left > 0 && error.status() == Some(StatusCode::CONFLICT) => {}
                finished => return finished,
            }
        }
    }

    /// Says what came of a build, once its outputs are uploaded; waits for what the service makes of it.
    pub async fn finish(
        &self,
        build: &BuildName,
        result: &BuildResult,
    ) -> Result<Outcome, ClientError> {
        const DOING: &str = "finish the build";
        let path = ["builds", build.as_str(), "finish"];
        let body = serde_json::to_vec(result).unwrap_or_default();
        let finish = async {
            loop {
                let answer = self.retrying(DOING, |client| {
                    let request = client.start(Method::POST, &path);
                    let request = request.map(|request| request.body(body.clone()));
                    async move { send(request?).await }
                });
                let answer = answer.await?;
                if answer.status() != StatusCode::ACCEPTED {
                    return read(answer).await.map_err(|error| error.doing(DOING));
                }
                sleep(pause(answer.headers())).await;
            }
        };
        let finished = tokio::time::timeout(self.options.finish_timeout, finish).await;
        finished.unwrap_or(Err(ClientError::Slow {
            doing: DOING,
            time: self.options.finish_timeout,
        }))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Sent> {
        let mut url = self.base.clone();
        let segments = url.path_segments_mut();
        let mut segments = segments.map_err(|()| Sent::Url)?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        Ok(url)
    }

    /// A request that shows who asks.
    fn start(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Sent> {
        let token = match &self.token {
            Token::Secret(token) => token.clone(),
            Token::File(path) => {
                let text = regular_file::read_to_string(path);
                let text = text.map_err(|source| Sent::Token {
                    path: path.clone(),
                    source,
                })?;
                Secret::from(text.trim())
            }
        };
        let request = self.http.request(method, self.url(path)?);
        let request = request.timeout(self.options.request_timeout);
        Ok(request.bearer_auth(token.expose()))
    }

    /// Sends a request, again where that may help.
    async fn retrying<F>(
        &self,
        doing: &'static str,
        mut attempt: impl FnMut(Self) -> F,
    ) -> Result<Response, ClientError>
    where
        F: Future<Output = Result<Response, Sent>>,
    {
        let mut retries = Retries::new(&self.options.retries);
        loop {
            match attempt(self.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => match retries.after(error.failure()) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(error.doing(doing)),
                },
            }
        }
    }
}

/// How long the service wants to be left alone.
fn pause(headers: &HeaderMap) -> Duration {
    retry_after(headers).unwrap_or(Duration::from_secs(1))
}

/// Sends a request. An answer that is a refusal is an error.
async fn send(request: RequestBuilder) -> Result<Response, Sent> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let offset = upload::offset(response.headers());
    let failure = Failure::Status {
        status: status.as_u16(),
        retry_after: retry_after(response.headers()),
    };
    let message = match bytes(response).await {
        Ok(body) => serde_json::from_slice(&body).map_or_else(
            |_| format!("it answered {status}"),
            |problem: Problem| problem.message,
        ),
        Err(_) => format!("it answered {status}"),
    };
    Err(Sent::Refused {
        status,
        failure,
        offset,
        message,
    })
}

async fn bytes(mut response: Response) -> Result<Vec<u8>, Sent> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(Sent::TooLarge(MAX_ANSWER));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Sent> {
    let body = bytes(response).await?;
    serde_json::from_slice(&body).map_err(Sent::Malformed)
}
