//! A cache behind HTTP.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nix_formats::Compression;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, LAST_MODIFIED, RANGE,
};
use reqwest::{Body, Client, Method, RequestBuilder, Response};
use url::Url;

use super::{Opened, Payload, is_inside};
use crate::error::{FetchError, SetupError};
use crate::limits::Limits;
use crate::url::Login;
use crate::{decompress, trace};

/// The client that the servers of all caches share.
pub(crate) fn client(limits: &Limits, needs_https: bool) -> Result<Client, SetupError> {
    let limits = niphas_http::Limits {
        connect_timeout: limits.connect_timeout,
        read_timeout: limits.read_timeout,
    };
    Ok(niphas_http::client(&limits, needs_https)?)
}

pub(crate) struct Server {
    base: Url,
    client: Client,
    timeout: Duration,
    login: Option<Login>,
    /// The token, and when the file was looked at.
    token: Mutex<Option<(Instant, HeaderValue)>>,
}

/// Bytes per second below which an upload is given up.
const SLOWEST_UPLOAD: u64 = 16 * 1024;

/// How long a token is used before its file is read again.
const TOKEN_AGE: Duration = Duration::from_secs(10);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base may hold a password.
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(base: Url, login: Option<Login>, client: Client, limits: &Limits) -> Self {
        Self {
            base,
            client,
            timeout: limits.request_timeout,
            login,
            token: Mutex::default(),
        }
    }

    fn url(&self, name: &str) -> Result<Url, FetchError> {
        let outside = || FetchError::Outside {
            name: name.to_owned(),
        };
        if !is_inside(name) {
            return Err(outside());
        }
        self.base.join(name).map_err(|_| outside())
    }

    /// A request that shows who asks. On a redirect to another host or port the
    /// client leaves that out.
    fn start(&self, method: Method, name: &str) -> Result<RequestBuilder, FetchError> {
        let mut request = self.client.request(method, self.url(name)?);
        if let Some(parent) = trace::traceparent() {
            request = request.header(trace::HEADER, parent);
        }
        Ok(match &self.login {
            None => request,
            Some(Login::Password { user, password }) => {
                request.basic_auth(user, Some(password.expose()))
            }
            Some(Login::TokenFile(path)) => request.header(AUTHORIZATION, self.token(path)?),
        })
    }

    fn token(&self, path: &Path) -> Result<HeaderValue, FetchError> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, token)) = &*token
            && when.elapsed() < TOKEN_AGE
        {
            return Ok(token.clone());
        }
        let cannot_read = |source| FetchError::Token {
            path: path.display().to_string(),
            source: Arc::new(source),
        };
        let text = std::fs::read_to_string(path).map_err(cannot_read)?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "it is not one line of text");
        let value = HeaderValue::from_str(&format!("Bearer {}", text.trim()));
        let mut value = value.map_err(|_| cannot_read(invalid()))?;
        value.set_sensitive(true);
        *token = Some((Instant::now(), value.clone()));
        Ok(value)
    }

    pub(super) async fn exists(&self, name: &str) -> Result<bool, FetchError> {
        let request = self.start(Method::HEAD, name)?.timeout(self.timeout);
        let response = request.send().await.map_err(|error| failed(name, error))?;
        match response.status().as_u16() {
            200..=299 => Ok(true),
            404 | 410 => Ok(false),
            _ => Err(refused(name, &response)),
        }
    }

    /// Uploads a file, as Nix does.
    pub(super) async fn put(
        &self,
        name: &str,
        content_type: &'static str,
        payload: &Payload,
    ) -> Result<(), FetchError> {
        let request = self
            .start(Method::PUT, name)?
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, payload.size())
            .timeout(self.timeout + Duration::from_secs(payload.size() / SLOWEST_UPLOAD));
        let request = match payload {
            Payload::Memory(bytes) => request.body(bytes.clone()),
            payload => request.body(Body::wrap_stream(payload.pieces())),
        };
        let response = request.send().await.map_err(|error| failed(name, error))?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            _ => Err(refused(name, &response)),
        }
    }

    async fn request(
        &self,
        name: &str,
        timeout: Option<Duration>,
        from: u64,
    ) -> Result<Option<Response>, FetchError> {
        let mut request = self.start(Method::GET, name)?;
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(|error| failed(name, error))?;
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            206 if from > 0 => Ok(Some(response)),
            404 | 410 => Ok(None),
            416 if from > 0 => Err(FetchError::Range {
                name: name.to_owned(),
            }),
            _ => Err(refused(name, &response)),
        }
    }

    pub(super) async fn get(&self, name: &str, max: usize) -> Result<Option<Bytes>, FetchError> {
        let Some(mut response) = self.request(name, Some(self.timeout), 0).await? else {
            return Ok(None);
        };
        let too_large = || FetchError::TooLarge {
            name: name.to_owned(),
            limit: max,
        };
        let mut bytes = BytesMut::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| failed(name, error))?
        {
            if bytes.len() + piece.len() > max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        let Some(compression) = content_encoding(&response) else {
            return Ok(Some(bytes.freeze()));
        };
        // Nix stores narinfo compressed if asked to, and S3 says so whatever
        // was asked for.
        let encoding = || FetchError::Encoding {
            name: name.to_owned(),
            encoding: compression.name().to_owned(),
        };
        let mut context = decompress::Context::new();
        let decoder = decompress::reader(
            &compression,
            Compression::MOST_LOOKED_BACK,
            &mut context,
            bytes.as_ref(),
        );
        let mut decoded = Vec::new();
        decoder
            .take(max as u64 + 1)
            .read_to_end(&mut decoded)
            .map_err(|_| encoding())?;
        if decoded.len() > max {
            return Err(too_large());
        }
        Ok(Some(decoded.into()))
    }

    /// Opens a file at an offset, or at its start if the server knows no
    /// ranges.
    pub(super) async fn open(&self, name: &str, from: u64) -> Result<Option<Opened>, FetchError> {
        let Some(response) = self.request(name, None, from).await? else {
            return Ok(None);
        };
        let (start, length) = if response.status().as_u16() == 206 {
            let range = response.headers().get(CONTENT_RANGE);
            let range = range.and_then(|range| content_range(range.to_str().ok()?));
            range.ok_or_else(|| FetchError::Range {
                name: name.to_owned(),
            })?
        } else {
            (0, response.content_length())
        };
        Ok(Some(Opened {
            start,
            length,
            version: version(&response),
            body: super::Body::Http(Pieces {
                response,
                name: name.to_owned(),
            }),
        }))
    }
}

/// Start of the range and length of the whole, from `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, length.parse().ok()))
}

/// What tells one version of a file from another, if the server says.
fn version(response: &Response) -> Option<String> {
    let headers = response.headers();
    let value = headers.get(ETAG).or_else(|| headers.get(LAST_MODIFIED))?;
    value.to_str().ok().map(str::to_owned)
}

fn content_encoding(response: &Response) -> Option<Compression> {
    let value = response.headers().get(CONTENT_ENCODING)?;
    match value.to_str().unwrap_or("unreadable").trim() {
        "" | "identity" => None,
        "x-gzip" => Some(Compression::Gzip),
        other => other.parse().ok(),
    }
}

pub(crate) struct Pieces {
    response: Response,
    name: String,
}

impl Pieces {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        self.response
            .chunk()
            .await
            .map_err(|error| failed(&self.name, error))
    }
}

/// An answer that is none.
fn refused(name: &str, response: &Response) -> FetchError {
    FetchError::Status {
        name: name.to_owned(),
        status: response.status().as_u16(),
        retry_after: niphas_http::retry_after(response.headers()),
    }
}

fn failed(name: &str, error: reqwest::Error) -> FetchError {
    let name = name.to_owned();
    if error.is_timeout() {
        return FetchError::Timeout { name };
    }
    // The URL may hold a password.
    FetchError::Http {
        name,
        source: Arc::new(error.without_url()),
    }
}
