//! Getting a cache's files. One variant for each kind of cache.

mod file;
mod http;
mod payload;
mod s3;
mod s3_client;
mod stage;

use bytes::Bytes;

use crate::error::{FetchError, SetupError};
use crate::limits::Limits;
use crate::url::{CacheUrl, Scheme};
pub(crate) use file::Folder;
pub(crate) use http::client;
use niphas_http::Retries;
pub(crate) use payload::Payload;
use reqwest::Client;
pub(crate) use s3_client::failure_of as failure_of_s3;
pub(crate) use stage::{Lane, Stage};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where a cache's files come from.
#[derive(Debug)]
pub(crate) enum Transport {
    File(Arc<Folder>),
    Http(http::Server),
    S3(s3::Bucket),
}

/// A large file that was opened.
pub(crate) struct Opened {
    pub(crate) body: Body,
    /// Where in the file the body starts.
    pub(crate) start: u64,
    /// Bytes of the whole file, if known.
    pub(crate) length: Option<u64>,
    /// Differs when the file does, if known.
    pub(crate) version: Option<String>,
}

/// A file that is being read, piece by piece.
pub(crate) enum Body {
    Http(http::Pieces),
    S3(s3::Pieces),
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self {
            Self::Http(pieces) => pieces.next().await,
            Self::S3(pieces) => pieces.next().await,
        }
    }
}

impl Transport {
    /// `client` makes HTTP clients, which all servers share.
    pub(crate) fn new(
        url: &CacheUrl,
        client: Option<&Client>,
        limits: &Limits,
    ) -> Result<Self, SetupError> {
        Ok(match &url.scheme {
            Scheme::File(path) => Self::File(Arc::new(Folder::new(path.clone()))),
            Scheme::Http(base) => {
                let has_login = url.login.is_some() || base.password().is_some();
                if has_login && base.scheme() == "http" && !niphas_http::is_loopback(base) {
                    tracing::warn!(
                        cache = %url,
                        "credentials go to this cache without encryption; use https://"
                    );
                }
                let client = match client {
                    Some(client) => client.clone(),
                    None => self::client(limits, base.scheme() == "https")?,
                };
                Self::Http(http::Server::new(
                    base.clone(),
                    url.login.clone(),
                    client,
                    limits,
                ))
            }
            Scheme::S3(bucket) => {
                let bucket = s3::Bucket::new(bucket, limits).map_err(SetupError::S3)?;
                Self::S3(bucket)
            }
        })
    }

    /// For writing: how long an upload takes depends on its size, so silence
    /// alone means nothing.
    pub(crate) fn for_writing(url: &CacheUrl, limits: &Limits) -> Result<Self, SetupError> {
        let patient = Limits {
            read_timeout: Duration::from_hours(24),
            ..limits.clone()
        };
        Self::new(url, None, &patient)
    }

    /// A small file as a whole; `None` if there is none. Tries again where that
    /// may help.
    pub(crate) async fn get(
        &self,
        name: &str,
        max: usize,
        limits: &Limits,
    ) -> Result<Option<Bytes>, FetchError> {
        let mut retries = Retries::new(&limits.retries);
        loop {
            let got = match self {
                Self::File(folder) => folder.get(name, max).await,
                Self::Http(server) => server.get(name, max).await,
                Self::S3(bucket) => bucket.get(name, max).await,
            };
            match got {
                Ok(bytes) => return Ok(bytes),
                Err(error) => wait(&mut retries, name, error).await?,
            }
        }
    }

    /// The folder that files are read from, if there is none.
    pub(crate) fn missing_folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => folder.missing(),
            Self::Http(_) | Self::S3(_) => None,
        }
    }

    /// A large file from a folder; `None` if it is not a folder, `Some(None)`
    /// if there is no such file. Blocks.
    pub(crate) fn open_folder(
        &self,
        name: &str,
    ) -> Option<Result<Option<std::fs::File>, FetchError>> {
        match self {
            Self::File(folder) => Some(folder.open(name)),
            Self::Http(_) | Self::S3(_) => None,
        }
    }

    /// A large file from a server, from an offset on if that can be; `None` if
    /// there is none. Tries once.
    pub(crate) async fn open(&self, name: &str, from: u64) -> Result<Option<Opened>, FetchError> {
        match self {
            // A fetch from a folder reads the file itself.
            Self::File(_) => Ok(None),
            Self::Http(server) => server.open(name, from).await,
            Self::S3(bucket) => bucket.open(name, from).await,
        }
    }

    /// Whether there is such a file. Tries again where that may help.
    pub(crate) async fn exists(&self, name: &str, limits: &Limits) -> Result<bool, FetchError> {
        let mut retries = Retries::new(&limits.retries);
        loop {
            let exists = match self {
                Self::File(folder) => folder.exists(name),
                Self::Http(server) => server.exists(name).await,
                Self::S3(bucket) => bucket.exists(name).await,
            };
            match exists {
                Ok(exists) => return Ok(exists),
                Err(error) => wait(&mut retries, name, error).await?,
            }
        }
    }

    /// Writes a file, which is there as a whole or not at all. Tries again where
    /// that may help.
    pub(crate) async fn put(
        &self,
        name: &str,
        content_type: &'static str,
        payload: Payload,
        limits: &Limits,
    ) -> Result<(), FetchError> {
        let mut retries = Retries::new(&limits.retries);
        loop {
            let put = match self {
                Self::File(folder) => return folder.put(name, &payload),
                Self::Http(server) => server.put(name, content_type, &payload).await,
                Self::S3(bucket) => bucket.put(name, content_type, &payload).await,
            };
            match put {
                Ok(()) => return Ok(()),
                Err(error) => wait(&mut retries, name, error).await?,
            }
        }
    }

    /// Where files for this cache are made, if it is a folder.
    pub(crate) fn stage(&self) -> Result<Option<Stage>, FetchError> {
        match self {
            Self::File(folder) => folder.stage().map(|stage| Some(stage.clone())),
            Self::Http(_) | Self::S3(_) => Ok(None),
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Arc<Folder>> {
        match self {
            Self::File(folder) => Some(folder),
            Self::Http(_) | Self::S3(_) => None,
        }
    }
}

/// Waits before the next attempt, or gives the error back if there is none.
async fn wait(retries: &mut Retries<'_>, name: &str, error: FetchError) -> Result<(), FetchError> {
    let Some(pause) = retries.after(error.failure()) else {
        return Err(error);
    };
    tracing::debug!(
        name,
        attempts = retries.attempts(),
        ?pause,
        error = nix_formats::chain(&error),
        "a request failed; trying again"
    );
    tokio::time::sleep(pause).await;
    Ok(())
}

/// Whether a name stays below where it is looked up: relative, and without
/// `..`, a scheme, a backslash or control characters.
fn is_inside(name: &str) -> bool {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    !name.is_empty()
        && !name.starts_with('/')
        && !name
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b'\\')
        && !path.split('/').next().unwrap_or_default().contains(':')
        && path
            .split('/')
            .all(|part| !part.is_empty() && !matches!(decoded(part).as_str(), "." | ".."))
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_within_the_cache_are_taken() {
        for name in [
            "nix-cache-info",
            "nar/a.nar.xz",
            "nar/a.nar?hash=sha256:x/..",
            "a..b/c",
            "realisations/sha256:x!out.doi",
        ] {
            assert!(is_inside(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/%2e%2E/b",
            "http://x/y",
            "a//b",
            "a\\b",
            "a\nb",
        ] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
