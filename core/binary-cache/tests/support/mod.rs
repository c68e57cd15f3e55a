//! The vectors, and a small HTTP server that can misbehave.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use binary_cache::{CacheUrl, Caches, Limits};
use nix_formats::{PublicKey, PublicKeys, StoreDir, StorePath};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
        attempts: 3,
        pause: Duration::from_millis(5),
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
    /// Serve this.
    Body(Vec<u8>),
    /// Serve this with a content encoding.
    Encoded(&'static str, Vec<u8>),
    /// Send the body in pieces of this many bytes, with a pause before each piece.
    Drip(usize, Duration),
    /// Send bytes for ever.
    Endless,
    /// Serve the vector to whoever has this `authorization`.
    Login(&'static str),
    /// Go elsewhere.
    Redirect(String),
}

type Rule = dyn Fn(&str, usize) -> Answer + Send + Sync;

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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sub", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (seen, rule): (_, Arc<Rule>) = (Arc::clone(&asked), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Head and body are written one after the other.
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&rule)));
            }
        });
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

async fn serve(
    mut stream: TcpStream,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    rule: Arc<Rule>,
) -> Option<()> {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        let request = String::from_utf8(request).unwrap();
        let name = request.split(' ').nth(1)?.strip_prefix("/sub/")?.to_owned();
        let before = {
            let mut asked = asked.lock().unwrap();
            let count = asked.entry(name.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let answer = rule(&name, before);
        let file = tokio::fs::read(folder().join(&name)).await.ok();
        let half = matches!(answer, Answer::StallHalfway | Answer::Truncate);
        let (status, header, body) = match (&answer, file) {
            (Answer::Stall, _) => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                return None;
            }
            (Answer::Login(login), _)
                if !request.contains(&format!("authorization: {login}\r\n")) =>
            {
                (401, String::new(), Vec::new())
            }
            (Answer::Status(status), _) => (*status, String::new(), Vec::new()),
            (Answer::Redirect(to), _) => (302, format!("location: {to}\r\n"), Vec::new()),
            (Answer::Body(body), _) => (200, String::new(), body.clone()),
            (Answer::Encoded(encoding, body), _) => (
                200,
                format!("content-encoding: {encoding}\r\n"),
                body.clone(),
            ),
            (Answer::Endless, _) => {
                let header = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(header).await.ok()?;
                loop {
                    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65536], b"\r\n"].concat();
                    stream.write_all(&chunk).await.ok()?;
                }
            }
            (Answer::Ranges, Some(file)) => match range(&request) {
                Some(from) => (
                    206,
                    format!(
                        "content-range: bytes {from}-{}/{}\r\n",
                        file.len() - 1,
                        file.len()
                    ),
                    file[from..].to_vec(),
                ),
                None => (200, String::new(), file),
            },
            (_, Some(file)) => (200, String::new(), file),
            (_, None) => (404, String::new(), Vec::new()),
        };
        let header = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n",
            body.len()
        );
        stream.write_all(header.as_bytes()).await.ok()?;
        if let Answer::Drip(size, pause) = answer {
            for piece in body.chunks(size) {
                tokio::time::sleep(pause).await;
                stream.write_all(piece).await.ok()?;
            }
            continue;
        }
        let sent = if half { body.len() / 2 } else { body.len() };
        stream.write_all(&body[..sent]).await.ok()?;
        match answer {
            Answer::StallHalfway => tokio::time::sleep(Duration::from_mins(1)).await,
            Answer::Truncate => return None,
            _ => {}
        }
    }
}

/// Where the part that is asked for starts.
fn range(request: &str) -> Option<usize> {
    let (_, rest) = request.split_once("range: bytes=")?;
    rest.split_once('-')?.0.parse().ok()
}
