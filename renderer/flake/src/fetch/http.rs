//! Downloads over HTTP: bounded in time and size, retried, conditional.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use niphas_http::{
    Failure, Redacted, RedirectError, Retries, Secret, client_without_redirects, is_loopback,
    is_same_origin, next_hop, retry_after,
};
use nix_formats::chain;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LINK, LOCATION,
};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::runtime::{Builder, Runtime};

use super::rate::Rate;
use super::{FetchLimits, lock};
use crate::error::FlakeError;

/// What to download.
pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    /// Headers that show who asks. They go to the origin of `url` and to no other that it redirects to.
    pub(super) credentials: &'a [(String, Secret)],
    /// Only if it has changed since.
    pub(super) etag: Option<&'a str>,
    /// What is sent; none to only ask for what is at the URL.
    pub(super) post: Option<Post>,
    /// The most bytes that are taken.
    pub(super) limit: u64,
}

/// What is sent to a server, which answers with the same media type. A redirect does not change the method.
pub(super) struct Post {
    pub(super) media_type: &'static str,
    pub(super) body: String,
}

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
    engine: Result<(Runtime, Client), String>,
    limits: FetchLimits,
    /// Hosts that were warned about.
    warned: Mutex<BTreeSet<String>>,
}

impl Http {
    pub(super) fn new(limits: FetchLimits) -> Self {
        let for_client = niphas_http::Limits {
            connect_timeout: limits.connect_timeout,
            read_timeout: limits.read_timeout,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| chain(&error));
        let engine = runtime.and_then(|runtime| {
            let client = client_without_redirects(&for_client).map_err(|error| chain(&error))?;
            Ok((runtime, client))
        });
        Self {
            engine,
            limits,
            warned: Mutex::default(),
        }
    }

    /// Downloads to the file `to`.
    pub(super) fn download(
        &self,
        request: &Request<'_>,
        to: &Path,
    ) -> Result<Download, FlakeError> {
        let failed = |reason: String| FlakeError::Download {
            url: request.url.into(),
            reason,
        };
        let (runtime, client) = match &self.engine {
            Ok((runtime, client)) => (runtime, client),
            Err(error) => return Err(failed(error.clone())),
        };
        tracing::info!("downloading '{}'", Redacted::from(request.url));
        let mut retries = Retries::new(&self.limits.retries);
        loop {
            let (reason, failure) = match runtime.block_on(self.attempt(client, request, to)) {
                Ok(download) => return Ok(download),
                Err(Problem::Error(error)) => return Err(error),
                Err(Problem::Failed(reason, failure)) => (reason, failure),
            };
            let Some(pause) = retries.after(failure) else {
                return Err(failed(reason));
            };
            tracing::warn!(
                "unable to download '{}': {reason}; retrying in {} ms",
                Redacted::from(request.url),
                pause.as_millis()
            );
            std::thread::sleep(pause);
        }
    }

    async fn attempt(
        &self,
        client: &Client,
        request: &Request<'_>,
        to: &Path,
    ) -> Result<Download, Problem> {
        let response = self.send(client, request).await?;
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
            let retry_after = retry_after(response.headers());
            let asks = retry_after.map_or_else(String::new, |pause| {
                format!(", and the server asks for a pause of {} s", pause.as_secs())
            });
            let failure = Failure::Status {
                status: status.as_u16(),
                retry_after,
            };
            return Err(Problem::Failed(
                format!("HTTP error {status}{asks}"),
                failure,
            ));
        }
        self.receive(response, request, to).await?;
        download.received = true;
        Ok(download)
    }

    /// The answer at the end of all redirects.
    async fn send(&self, client: &Client, request: &Request<'_>) -> Result<Response, Problem> {
        let mut url =
            Url::parse(request.url).map_err(|error| Problem::lasting(error.to_string()))?;
        let credentials = credentials(request, &mut url)?;
        self.warn_if_in_clear(&url, &credentials);
        let origin = url.clone();
        let mut hops = 0;
        loop {
            let mut ask = match &request.post {
                None => client.get(url.clone()),
                Some(post) => client
                    .post(url.clone())
                    .header(CONTENT_TYPE, post.media_type)
                    .header(ACCEPT, post.media_type)
                    .body(post.body.clone()),
            };
            if is_same_origin(&origin, &url) {
                ask = ask.headers(credentials.clone());
            }
            if let Some(etag) = request.etag {
                ask = ask.header(IF_NONE_MATCH, etag);
            }
            let sent = ask.send().await;
            let response = sent.map_err(|error| self.problem(error, &url))?;
            let Some(location) = location(&response) else {
                return Ok(response);
            };
            hops += 1;
            url = next_hop(&url, &location, hops)
                .map_err(|error: RedirectError| Problem::lasting(error.to_string()))?;
        }
    }

    async fn receive(
        &self,
        mut response: Response,
        request: &Request<'_>,
        to: &Path,
    ) -> Result<(), Problem> {
        let url = response.url().clone();
        let failed = |error| Problem::Error(FlakeError::io("writing file", to)(error));
        #[expect(
            clippy::disallowed_methods,
            reason = "a name of our own in a scratch folder"
        )]
        let mut file = File::create(to).map_err(failed)?;
        let mut total = 0;
        let mut rate = Rate::new(self.limits.min_rate, self.limits.read_timeout);
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.problem(error, &url))?
        {
            total += piece.len() as u64;
            if total > request.limit {
                return Err(Problem::Error(FlakeError::TooLarge {
                    url: request.url.into(),
                    limit: request.limit,
                }));
            }
            file.write_all(&piece).map_err(failed)?;
            if !rate.holds(total) {
                let reason = format!(
                    "'{}' sent less than {} bytes per second for {} s",
                    url.host_str().unwrap_or_default(),
                    self.limits.min_rate,
                    self.limits.read_timeout.as_secs_f64()
                );
                return Err(Problem::Failed(reason, Failure::Broken));
            }
        }
        Ok(())
    }

    /// What went wrong with a request to `url`, which must not be repeated: it may hold a password.
    fn problem(&self, error: reqwest::Error, url: &Url) -> Problem {
        let host = url.host_str().unwrap_or_default();
        let failure = Failure::of(&error);
        let reason = if !error.is_timeout() {
            chain(&error.without_url())
        } else if error.is_connect() {
            let limit = self.limits.connect_timeout.as_secs_f64();
            format!("no connection to '{host}' within {limit} s")
        } else {
            let limit = self.limits.read_timeout.as_secs_f64();
            format!("'{host}' sent nothing for {limit} s")
        };
        Problem::Failed(reason, failure)
    }

    fn warn_if_in_clear(&self, url: &Url, credentials: &HeaderMap) {
        if credentials.is_empty() || url.scheme() != "http" || is_loopback(url) {
            return;
        }
        let host = url.host_str().unwrap_or_default();
        if lock(&self.warned).insert(host.to_owned()) {
            tracing::warn!("credentials go to '{host}' without encryption; use https://");
        }
    }
}

/// All headers that show who asks. What the URL says of it is taken out of the URL.
fn credentials(request: &Request<'_>, url: &mut Url) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    let invalid = || Problem::lasting("the credentials are not one line of text".to_owned());
    let mut add = |name: HeaderName, value: &str| -> Result<(), Problem> {
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    };
    if !url.username().is_empty() || url.password().is_some() {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
        let mut login = decode(url.username());
        login.push(b':');
        login.extend(decode(url.password().unwrap_or_default()));
        let login = data_encoding::BASE64.encode(&login);
        add(reqwest::header::AUTHORIZATION, &format!("Basic {login}"))?;
        // Fails only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    for (name, value) in request.credentials {
        let name = HeaderName::from_bytes(name.as_bytes());
        add(name.map_err(|_| invalid())?, value.expose())?;
    }
    Ok(headers)
}

/// Where a redirect leads to.
fn location(response: &Response) -> Option<String> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if is_redirect {
        text_header(response.headers(), LOCATION)
    } else {
        None
    }
}

enum Problem {
    /// The request, for this reason.
    Failed(String, Failure),
    /// What was to be done with the answer.
    Error(FlakeError),
}

impl Problem {
    /// One that another request does not change.
    fn lasting(reason: String) -> Self {
        Self::Failed(reason, Failure::Lasting)
    }
}

fn text_header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
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
mod tests;
