//! The vectors, and a small HTTP server that can misbehave.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binary_cache::{CacheUrl, Caches, Limits, RetryPolicy};
use niphas_testing::server::{self, Delivery, Reply};
use nix_formats::{PublicKey, PublicKeys, StoreDir, StorePath};

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/cache")
}

pub(crate) fn store_dir() -> StoreDir {
    StoreDir::new("/tmp/nix-vectors/store").unwrap()
}

pub(crate) fn keys() -> PublicKeys {
    PublicKeys::from_iter([include_str!("../vectors/public-key")
        .parse::<PublicKey>()
        .unwrap()])
}

/// A root of the vectors: `app`, `flat`, `recursive` or `addressed`.
pub(crate) fn root(name: &str) -> StorePath {
    let lines = include_str!("../vectors/roots.txt").lines();
    let path = lines
        .filter_map(|line| line.split_once(' '))
        .find(|line| line.0 == name)
        .unwrap()
        .1;
    store_dir().parse(path).unwrap()
}

/// A path of the vectors that refers to nothing, whose content address makes it.
pub(crate) fn leaf() -> StorePath {
    let lines = include_str!("../vectors/app-lines.txt").lines();
    let paths = lines.filter_map(|line| line.split(' ').next());
    let path = paths.into_iter().find(|path| path.ends_with("-text"));
    store_dir().parse(path.unwrap()).unwrap()
}

/// Limits that let nothing wait long.
pub(crate) fn limits() -> Limits {
    Limits {
        retries: RetryPolicy {
            attempts: 3,
            pause: Duration::from_millis(5),
            ..RetryPolicy::default()
        },
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_millis(700),
        request_timeout: Duration::from_millis(1500),
        ..Limits::default()
    }
}

pub(crate) fn caches(urls: &[String]) -> Caches {
    let urls: Vec<CacheUrl> = urls.iter().map(|url| url.parse().unwrap()).collect();
    Caches::new(store_dir(), urls, keys(), limits()).unwrap()
}

pub(crate) fn file_url() -> String {
    format!("file://{}", folder().display())
}

/// What a server does when it is asked for a file.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Serve the vector of that name.
    Serve,
    /// Answer with this status.
    Status(u16),
    /// Take the request and say nothing.
    Stall,
    /// Send the header and half the body, then say nothing.
    StallHalfway,
    /// Send the header and half the body, then hang up.
    Truncate,
    /// Serve the vector, or the part of it that is asked for.
    Ranges,
    /// Serve the vector; where a part of it is asked for, give that as wrongly as this.
    Wrong(Rest),
    /// Serve this.
    Body(Vec<u8>),
    /// Serve this with a content encoding.
    Encoded(&'static str, Vec<u8>),
    /// Send the body in pieces of this many bytes, with a pause before each piece.
    Drip(usize, Duration),
    /// Send bytes for ever.
    Endless,
    /// Serve the vector to clients with this `authorization`.
    Login(&'static str),
    /// Go elsewhere.
    Redirect(String),
}

/// How the rest of a file is given by servers that do it wrongly.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rest {
    /// With a status of 200, as if it were the whole file.
    AsWhole,
    /// The same, without its length.
    AsWholeUnannounced,
    /// With a status of 206, without `Content-Range`.
    Unplaced,
    /// With a `Content-Range` that is another one's.
    Misplaced,
    /// Not at all: a status of 416.
    Refused,
}

impl Rest {
    fn reply(self, file: &[u8], start: usize) -> Reply {
        let rest = Reply::file(file[start..].to_vec());
        let part = |reply| Reply {
            status: 206,
            ..reply
        };
        match self {
            Self::AsWhole => rest,
            Self::AsWholeUnannounced => rest.sent(Delivery::Unannounced),
            Self::Unplaced => part(rest),
            Self::Misplaced => {
                let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
                part(Reply::file(file[..file.len() - start].to_vec())).with("content-range", range)
            }
            Self::Refused => Reply::status(416),
        }
    }
}

/// A server over the vectors. `rule` says what to do for a file and the number
/// of times it was asked for before.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Server {
    pub(crate) async fn start(
        rule: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::clone(&asked);
        let address = server::start(move |request| {
            let Some(name) = request.name.strip_prefix("sub/") else {
                return Reply::status(404);
            };
            let before = {
                let mut seen = seen.lock().unwrap();
                let count = seen.entry(name.to_owned()).or_default();
                *count += 1;
                *count - 1
            };
            reply(rule(name, before), name, request)
        })
        .await;
        let url = format!("http://{}/sub", address.unwrap());
        Self { url, asked }
    }

    pub(crate) fn requests_below(&self, folder: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        let below = asked.iter().filter(|(name, _)| name.starts_with(folder));
        below.map(|(_, count)| count).sum()
    }

    pub(crate) fn requests(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }
}

/// What is sent for an answer to a request for this file.
fn reply(answer: Answer, name: &str, request: &server::Request) -> Reply {
    let file = std::fs::read(folder().join(name)).ok();
    let is_let_in = |login| request.header("authorization") == Some(login);
    match (answer, file) {
        (Answer::Stall, _) => Reply::status(200).sent(Delivery::Silent),
        (Answer::Status(status), _) => Reply::status(status),
        (Answer::Redirect(to), _) => Reply::status(302).with("location", to),
        (Answer::Body(body), _) => Reply::file(body),
        (Answer::Encoded(encoding, body), _) => {
            Reply::file(body).with("content-encoding", encoding.to_owned())
        }
        (Answer::Endless, _) => Reply::status(200).sent(Delivery::Endless),
        (Answer::Login(login), _) if !is_let_in(login) => Reply::status(401),
        (_, None) => Reply::status(404),
        (Answer::Serve | Answer::Login(_), Some(file)) => Reply::file(file),
        (Answer::Ranges, Some(file)) => Reply::part(&file, request),
        (Answer::Wrong(rest), Some(file)) => match request.start() {
            Some(start) => rest.reply(&file, start),
            None => Reply::file(file),
        },
        (Answer::StallHalfway, Some(file)) => {
            let half = file.len() / 2;
            Reply::file(file).sent(Delivery::Stalled(half))
        }
        (Answer::Truncate, Some(file)) => {
            let half = file.len() / 2;
            Reply::file(file).sent(Delivery::Cut(half))
        }
        (Answer::Drip(size, pause), Some(file)) => {
            Reply::file(file).sent(Delivery::Dripping(size, pause))
        }
    }
}
