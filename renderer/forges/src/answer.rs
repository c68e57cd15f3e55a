//! Requests and their answers, as plain values.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::forge::Forge;

/// What a host answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why an answer is not what a call asks for.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Its status is not that of success.
    #[error("the host refused it")]
    Status,
    /// Its body is another one.
    #[error("the body has another form")]
    Body(#[source] serde_json::Error),
    /// A value in it is one that cannot be.
    #[error("expected {0}")]
    Value(&'static str),
}

/// A request, without credentials, and how its answer is read.
pub struct Call<T> {
    /// The request.
    pub request: Request<Vec<u8>>,
    /// Whether it may be sent again where it is not known if the host did what the first one asked for.
    pub repeats: bool,
    read: Read<T>,
}

type Read<T> = Box<dyn Fn(&Answer) -> Result<T, ReadError> + Send + Sync>;

/// Some of the items of a list, and where the next ones are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What the next page is asked for by; the first is 0.
    pub next: Option<u64>,
}

impl<T: 'static> Call<T> {
    /// A request that is answered with JSON of the form `J`.
    pub(crate) fn json<J: DeserializeOwned>(
        forge: Forge,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        read: impl Fn(J) -> Result<T, ReadError> + Send + Sync + 'static,
    ) -> Self {
        let read = move |answer: &Answer| read(answer.json()?);
        Self::new(forge, method, url, body, read)
    }

    pub(crate) fn new(
        forge: Forge,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        read: impl Fn(&Answer) -> Result<T, ReadError> + Send + Sync + 'static,
    ) -> Self {
        let repeats = method != Method::POST;
        let mut request = Request::builder().method(method).uri(url.as_str());
        request = match forge {
            Forge::GitHub => request
                .header(ACCEPT, "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28"),
            // Answers 403 to some requests without it, as to those of a browser.
            Forge::BitbucketServer => request
                .header(ACCEPT, "application/json")
                .header("x-atlassian-token", "no-check"),
            _ => request.header(ACCEPT, "application/json"),
        };
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        Self {
            request: request.body(body).expect("a URL is a URI"),
            repeats,
            read: Box::new(read),
        }
    }

    /// The same, which may be sent twice.
    pub(crate) fn repeated(self) -> Self {
        Self {
            repeats: true,
            ..self
        }
    }

    /// What the answer says.
    pub fn read(&self, answer: &Answer) -> Result<T, ReadError> {
        (self.read)(answer)
    }
}

impl Answer {
    /// Whether it is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of an answer that is one of success.
    pub(crate) fn json<J: DeserializeOwned>(&self) -> Result<J, ReadError> {
        self.success()?;
        serde_json::from_slice(&self.body).map_err(ReadError::Body)
    }

    pub(crate) fn success(&self) -> Result<(), ReadError> {
        if self.is_success() {
            Ok(())
        } else {
            Err(ReadError::Status)
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}
