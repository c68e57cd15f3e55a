//! A cache behind HTTP.

use super::{Body, Opened, is_inside};
use crate::{decompress, error::FetchError, limits::Limits};
use bytes::{Bytes, BytesMut};
use nix_formats::Compression;
use reqwest::{
    Client, ClientBuilder, Response,
    header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE},
    redirect,
};
use std::{fmt, io::Read, sync::Arc, time::Duration};
use url::Url;

/// A client that never waits forever and never follows a redirect from https
/// to http. Where nothing needs https, a machine without certificates will do.
pub(crate) fn client(limits: &Limits, needs_https: bool) -> Result<Client, reqwest::Error> {
    // One provider for the whole process; whoever was first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match builder(limits).build() {
        Err(_) if !needs_https => builder(limits).tls_certs_only([]).build(),
        client => client,
    }
}

fn builder(limits: &Limits) -> ClientBuilder {
    let redirects = redirect::Policy::custom(|attempt| {
        let was_secure = attempt
            .previous()
            .last()
            .is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > 10 {
            attempt.error("too many redirects")
        } else if was_secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect from https to http")
        } else {
            attempt.follow()
        }
    });
    Client::builder()
        .user_agent(concat!("niphas/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.read_timeout)
        .redirect(redirects)
}

pub(crate) struct Server {
    base: Url,
    client: Client,
    timeout: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base may hold a password.
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(base: Url, client: Client, limits: &Limits) -> Self {
        Self {
            base,
            client,
            timeout: limits.request_timeout,
        }
    }

    async fn request(
        &self,
        name: &str,
        timeout: Option<Duration>,
        from: u64,
    ) -> Result<Option<Response>, FetchError> {
        let outside = || FetchError::Outside {
            name: name.to_owned(),
        };
        if !is_inside(name) {
            return Err(outside());
        }
        let url = self.base.join(name).map_err(|_| outside())?;
        let mut request = self.client.get(url);
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
            status => Err(FetchError::Status {
                name: name.to_owned(),
                status,
            }),
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
        let decoder = decompress::reader(&compression, bytes.as_ref());
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
            body: Body::Http(Pieces {
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
