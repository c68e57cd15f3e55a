//! When a server is asked again that refuses for the moment.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use binary_cache::{
    CacheUrl, Caches, Limits, NarSource, PathInfo, PushError, PushOptions, SourceError, push,
};
use niphas_testing::server::{self, Reply, Request};
use nix_formats::nar::{Writer, hash_file};
use nix_formats::{HashAlgorithm, StoreDir, StorePath};

use support::{file_url, folder, keys, root, store_dir};

/// A server over the vectors that refuses the first request for each file that `is_refused`.
struct Busy {
    url: String,
    /// When what was asked for.
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Busy {
    async fn start(status: u16, retry_after: &str, is_refused: fn(&Request) -> bool) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, retry_after) = (Arc::clone(&asked), retry_after.to_owned());
        let address = server::start(move |request| {
            let mut seen: std::sync::MutexGuard<'_, Vec<(String, Instant)>> = seen.lock().unwrap();
            let what = format!("{} {}", request.method, request.name);
            let is_first = !seen.iter().any(|(asked, _)| *asked == what);
            seen.push((what, Instant::now()));
            if is_first && is_refused(request) {
                return Reply::status(status).with("retry-after", retry_after.clone());
            }
            match std::fs::read(folder().join(&request.name)) {
                _ if request.method == "PUT" => Reply::status(204),
                Ok(file) => Reply::part(&file, request),
                Err(_) => Reply::status(404),
            }
        });
        let url = format!("http://{}", address.await.unwrap());
        Self { url, asked }
    }

    /// The time between requests of this kind, one after the other.
    fn pauses(&self, kind: &str) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        let times: Vec<Instant> = asked
            .iter()
            .filter(|(what, _)| what.contains(kind))
            .map(|(_, time)| *time)
            .collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// As programs have them, but for small pauses of our own.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.retries.pause = Duration::from_millis(20);
    limits
}

fn caches(urls: &[&str]) -> Caches {
    let urls = urls.iter().map(|url| url.parse::<CacheUrl>().unwrap());
    Caches::new(store_dir(), urls, keys(), limits()).unwrap()
}

/// Not before it was asked to, and soon after.
fn assert_two_seconds(pauses: &[Duration]) {
    let [pause] = pauses else {
        panic!("expected two requests: {pauses:?}");
    };
    assert!(*pause >= Duration::from_secs(2), "{pause:?}");
    assert!(*pause < Duration::from_secs(6), "{pause:?}");
}

fn is_nar(request: &Request) -> bool {
    request.name.starts_with("nar/")
}

#[tokio::test]
async fn a_narinfo_is_asked_for_when_the_server_says() {
    for status in [429, 503] {
        let server = Busy::start(status, "2", |request| request.name.ends_with(".narinfo")).await;
        let caches = caches(&[&server.url]);
        caches.find(&root("app"), None).await.unwrap();
        assert_two_seconds(&server.pauses(".narinfo"));
    }
}

#[tokio::test]
async fn a_nar_is_asked_for_when_the_server_says() {
    // Longer than the silence after which a request is doubled.
    for (seconds, hedge_after) in [("2", 3000), ("2", 100)] {
        let server = Busy::start(429, seconds, is_nar).await;
        let limits = Limits {
            hedge_after: Duration::from_millis(hedge_after),
            ..limits()
        };
        let urls = [server.url.parse().unwrap()];
        let caches = Caches::new(store_dir(), urls, keys(), limits).unwrap();
        let found = caches.find(&root("app"), None).await.unwrap();
        caches.fetch_nar(&found, |_| Ok(())).await.unwrap();
        assert_two_seconds(&server.pauses(" nar/"));
    }
}

#[tokio::test]
async fn another_cache_is_asked_rather_than_to_wait_long() {
    let server = Busy::start(503, "30", is_nar).await;
    let caches = caches(&[&server.url, &file_url()]);
    let found = caches.find(&root("app"), None).await.unwrap();
    let since = Instant::now();
    let nothing = |_| std::future::ready(());
    let fetched = caches.fetch_nar_with(&found, nothing, |_| Ok(())).await;
    assert_eq!(fetched.unwrap().1, 1);
    assert!(since.elapsed() < Duration::from_secs(5));
    assert!(server.pauses(" nar/").is_empty());
}

#[tokio::test]
async fn a_pause_without_end_is_not_made_and_named() {
    for asked in ["1000000000", "99999999999999999999999"] {
        let server = Busy::start(429, asked, |_| true).await;
        let since = Instant::now();
        let caches = caches(&[&server.url]);
        let refused = caches.find(&root("app"), None).await.unwrap_err();
        assert!(since.elapsed() < Duration::from_secs(5));
        let text = refused.to_string();
        assert!(
            text.contains("HTTP 429 for 'nix-cache-info' and asks for a pause of 1"),
            "{text}"
        );
        assert_eq!(server.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn pauses_that_are_none_are_made_as_without() {
    for asked in ["0", "soon", "-5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let server = Busy::start(503, asked, |_| true).await;
        let since = Instant::now();
        let caches = caches(&[&server.url]);
        let found = caches.find(&root("app"), None).await.unwrap();
        caches.fetch_nar(&found, |_| Ok(())).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(2), "{asked}");
    }
}

/// A store with one file in it.
struct One(PathInfo);

impl NarSource for One {
    fn store_dir(&self) -> &StoreDir {
        static STORE_DIR: std::sync::LazyLock<StoreDir> = std::sync::LazyLock::new(store_dir);
        &STORE_DIR
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        Ok(paths.iter().map(|_| Some(self.0.clone())).collect())
    }

    fn write_nar(&self, _: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let mut nar = Writer::new(out);
        let written = nar.file(false, b"file");
        let written = written.and_then(|()| nar.finish().map(|_| ()));
        written.map_err(|error| SourceError::Other(error.into()))
    }
}

async fn push_to(server: &Busy) -> Result<usize, PushError> {
    let path = StorePath::from_base_name(format!("{}-file", "0".repeat(32))).unwrap();
    let (nar_hash, nar_size) = hash_file(HashAlgorithm::Sha256, false, b"file");
    let source = One(PathInfo {
        path: path.clone(),
        nar_hash: nar_hash.try_into().unwrap(),
        nar_size,
        references: [].into(),
        deriver: None,
        signatures: Vec::new(),
        ca: None,
    });
    let options = PushOptions {
        limits: limits(),
        ..PushOptions::default()
    };
    let to = server.url.parse().unwrap();
    let pushed = push(Arc::new(source), &[path], &to, options, Arc::default()).await;
    Ok(pushed?.pushed.len())
}

#[tokio::test]
async fn what_is_pushed_is_sent_again_when_the_server_says() {
    for file in [".narinfo", "nar/"] {
        let is_refused: fn(&Request) -> bool = if file == "nar/" {
            |request| request.method == "PUT" && is_nar(request)
        } else {
            |request| request.method == "PUT" && request.name.ends_with(".narinfo")
        };
        let server = Busy::start(429, "2", is_refused).await;
        assert_eq!(push_to(&server).await.unwrap(), 1);
        let kind = if file == "nar/" {
            "PUT nar/"
        } else {
            ".narinfo"
        };
        let pauses = server.pauses(kind);
        // A narinfo is asked for before it is written.
        assert_two_seconds(&pauses[pauses.len() - 1..]);
    }
}
