//! Downloads over HTTP: bounded, retried, conditional.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use nix_formats::chain;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH, LINK};

use crate::error::FlakeError;

const ATTEMPTS: u32 = 4;

/// A finished download.
pub(super) struct Download {
    /// None if what the caller has is still current.
    pub(super) received: bool,
    pub(super) etag: Option<String>,
    /// Of the header `Link: <…>; rel="immutable"`.
    pub(super) immutable_url: Option<String>,
}

#[derive(Debug)]
pub(super) struct Http {
    client: Result<Client, String>,
    limit: u64,
}

impl Http {
    pub(super) fn new(limit: u64) -> Self {
        // Fails only if another provider was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("niphas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(15))
            // The whole of a large download may take long; a stall may not.
            .timeout(None)
            .tcp_keepalive(Duration::from_secs(30))
            .build()
            .map_err(|error| chain(&error));
        Self { client, limit }
    }

    /// Downloads `url` to the file `to`. With `etag`, only if it has changed since.
    pub(super) fn download(
        &self,
        url: &str,
        headers: &[(String, String)],
        etag: Option<&str>,
        to: &Path,
    ) -> Result<Download, FlakeError> {
        let failed = |reason: String| FlakeError::Download {
            url: url.to_owned(),
            reason,
        };
        let client = self
            .client
            .as_ref()
            .map_err(|error| failed(error.clone()))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut request = client.get(url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(etag) = etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let outcome = match request.send() {
                Ok(response) => self.receive(url, response, to),
                Err(error) if error.is_builder() => return Err(failed(chain(&error))),
                Err(error) => Err(Problem::Passing(chain(&error))),
            };
            match outcome {
                Ok(download) => return Ok(download),
                Err(Problem::Lasting(error)) => return Err(error),
                Err(Problem::Passing(reason)) if attempt == ATTEMPTS => {
                    return Err(failed(reason));
                }
                Err(Problem::Passing(reason)) => {
                    let pause = Duration::from_millis(250 << attempt);
                    tracing::warn!(
                        "unable to download '{url}': {reason}; retrying in {} ms",
                        pause.as_millis()
                    );
                    std::thread::sleep(pause);
                }
            }
        }
    }

    fn receive(&self, url: &str, response: Response, to: &Path) -> Result<Download, Problem> {
        let status = response.status();
        let header = |name| text_header(response.headers(), name);
        let mut download = Download {
            received: false,
            etag: header(ETAG),
            immutable_url: header(LINK).as_deref().and_then(immutable_link),
        };
        if status == StatusCode::NOT_MODIFIED {
            return Ok(download);
        }
        if !status.is_success() {
            let reason = format!("HTTP error {status}");
            let passing = status.is_server_error()
                || matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                );
            return Err(if passing && status != StatusCode::NOT_IMPLEMENTED {
                Problem::Passing(reason)
            } else {
                Problem::Lasting(FlakeError::Download {
                    url: url.to_owned(),
                    reason,
                })
            });
        }
        let mut file = File::create(to)
            .map_err(FlakeError::io("creating", to))
            .map_err(Problem::Lasting)?;
        let copied = io::copy(&mut response.take(self.limit + 1), &mut file)
            .map_err(|error| Problem::Passing(error.to_string()))?;
        if copied > self.limit {
            return Err(Problem::Lasting(FlakeError::TooLarge {
                url: url.to_owned(),
                limit: self.limit,
            }));
        }
        download.received = true;
        Ok(download)
    }
}

enum Problem {
    /// Trying again may help.
    Passing(String),
    Lasting(FlakeError),
}

fn text_header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The target of a `Link` header with `rel="immutable"`.
fn immutable_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_immutable = parameters.split(';').any(|parameter| {
            parameter
                .trim()
                .strip_prefix("rel=")
                .is_some_and(|rel| rel.trim_matches('"') == "immutable")
        });
        is_immutable.then(|| target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::immutable_link;

    #[test]
    fn the_immutable_link_is_found_among_others() {
        assert_eq!(
            immutable_link(r#"<https://h/next>; rel="next", <https://h/x?rev=1>; rel="immutable""#),
            Some("https://h/x?rev=1".to_owned())
        );
        assert_eq!(immutable_link(r#"<https://h/next>; rel="next""#), None);
    }
}
