//! One cache fails on the way, and another is used.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use binary_cache::{CacheUrl, Caches, Found, Limits, NarError, Refusal, Trust, TrustPolicy};
use nix_formats::{Compression, NarInfo, PublicKeys, SecretKey};

use support::{Answer, Rest, Server, caches, file_url, folder, keys, limits, root, store_dir};

type Rule = dyn Fn(&str) -> Answer + Send + Sync;

async fn nars(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |name, before| {
        if name.starts_with("nar/") {
            answer(name, before)
        } else {
            Answer::Serve
        }
    })
    .await
}

/// Fetches `app`'s NAR; its bytes, and how often the consumer was called.
async fn fetch(caches: &Caches) -> Result<(Vec<u8>, usize), NarError> {
    let found = caches.find(&root("app"), None).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let bytes = caches
        .fetch_nar(&found, move |nar| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut bytes = Vec::new();
            nar.read_to_end(&mut bytes)?;
            Ok(bytes)
        })
        .await?;
    Ok((bytes, calls.load(Ordering::SeqCst)))
}

async fn expected() -> Vec<u8> {
    fetch(&caches(&[file_url()])).await.unwrap().0
}

#[tokio::test]
async fn who_delivered_a_nar_is_known() {
    let broken = nars(|_, _| Answer::Status(404)).await;
    let caches = caches(&[broken.url.clone(), file_url()]);
    let found = caches.find(&root("app"), None).await.unwrap();
    assert!(found.cache.starts_with("http://"), "{}", found.cache);
    let nothing = |_| std::future::ready(());
    let fetched = caches.fetch_nar_with(&found, nothing, |_| Ok(()));
    let ((), source) = fetched.await.unwrap();
    assert_eq!(source, 1);
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_nar_the_next_cache_gives_it() {
    let expected = expected().await;
    let flip = |name: &str| {
        let mut body = std::fs::read(folder().join(name)).unwrap();
        let middle = body.len() / 2;
        body[middle] ^= 0x10;
        Answer::Body(body)
    };
    let other = |_: &str| Answer::Body(b"something else".to_vec());
    let endless = |_: &str| Answer::Endless;
    let broken: [(&str, Box<Rule>); 8] = [
        ("missing", Box::new(|_| Answer::Status(404))),
        ("denied", Box::new(|_| Answer::Status(403))),
        ("failing", Box::new(|_| Answer::Status(500))),
        ("truncated", Box::new(|_| Answer::Truncate)),
        ("stalling", Box::new(|_| Answer::Stall)),
        ("flipped", Box::new(flip)),
        ("other", Box::new(other)),
        ("endless", Box::new(endless)),
    ];
    for (what, answer) in broken {
        let server = nars(move |name, _| answer(name)).await;
        let caches = caches(&[server.url.clone(), file_url()]);
        let found = caches.find(&root("app"), None).await.unwrap();
        assert_eq!(found.cache, server.url);
        let (bytes, _) = fetch(&caches).await.unwrap();
        assert!(bytes == expected, "{what}");
    }
}

#[tokio::test]
async fn what_every_cache_said_is_told() {
    let (failing, missing) = (
        nars(|_, _| Answer::Status(500)).await,
        nars(|_, _| Answer::Status(404)).await,
    );
    let caches = caches(&[failing.url.clone(), missing.url.clone()]);
    let error = fetch(&caches).await.unwrap_err();
    let (path, url) = (
        root("app"),
        &caches.find(&root("app"), None).await.unwrap().info.url,
    );
    assert_eq!(
        error.to_string(),
        format!(
            "no cache gives a sound NAR of '{path}':\n  \
             cannot fetch the NAR of '{path}' from {}: the server answered HTTP 500 for '{url}'\n  \
             {} has no NAR for '{path}', only its narinfo",
            failing.url, missing.url
        )
    );
}

#[tokio::test]
async fn a_download_that_breaks_off_is_resumed_where_it_did() {
    let server = nars(|_, before| match before {
        0 => Answer::Truncate,
        _ => Answer::Ranges,
    })
    .await;
    let (bytes, calls) = fetch(&caches(&[server.url])).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn where_the_server_knows_no_ranges_what_was_there_is_skipped() {
    let server = nars(|_, before| match before {
        0 => Answer::Truncate,
        _ => Answer::Serve,
    })
    .await;
    let (bytes, calls) = fetch(&caches(&[server.url])).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn what_is_skipped_may_take_longer_than_a_silence() {
    // Half of the file takes three times as long as a server may be silent.
    let server = nars(|_, before| match before {
        0 => Answer::Truncate,
        _ => Answer::Drip(4, Duration::from_millis(20)),
    })
    .await;
    let limits = Limits {
        read_timeout: Duration::from_millis(300),
        hedge_after: Duration::from_secs(20),
        min_rate: 1,
        nar_rate: 20,
        nar_grace: Duration::from_millis(600),
        ..limits()
    };
    let url: CacheUrl = server.url.parse().unwrap();
    let caches = Caches::new(store_dir(), [url], keys(), limits).unwrap();
    let since = Instant::now();
    let (bytes, calls) = fetch(&caches).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!((calls, server.requests_below("nar/")), (1, 2));
    assert!(since.elapsed() > Duration::from_millis(900));
}

const WRONG: [Rest; 5] = [
    Rest::AsWhole,
    Rest::AsWholeUnannounced,
    Rest::Unplaced,
    Rest::Misplaced,
    Rest::Refused,
];

#[tokio::test]
async fn where_a_wrong_rest_is_given_the_nar_is_started_over_at_the_same_cache() {
    let expected = expected().await;
    for rest in WRONG {
        let server = nars(move |_, before| match before {
            0 => Answer::Truncate,
            _ => Answer::Wrong(rest),
        })
        .await;
        let (bytes, calls) = fetch(&caches(std::slice::from_ref(&server.url)))
            .await
            .unwrap_or_else(|error| panic!("{rest:?}: {error}"));
        assert!(bytes == expected, "{rest:?}");
        assert_eq!(calls, 2, "{rest:?}");
        // The first, the rest, and the whole.
        assert_eq!(server.requests_below("nar/"), 3, "{rest:?}");
    }
}

#[tokio::test]
async fn a_nar_is_started_over_once_and_then_the_next_cache_gives_it() {
    let expected = expected().await;
    for rest in WRONG {
        // Each whole one breaks off.
        let server = nars(move |_, before| match before {
            0 | 2 => Answer::Truncate,
            _ => Answer::Wrong(rest),
        })
        .await;
        let caches = caches(&[server.url.clone(), file_url()]);
        let (bytes, calls) = fetch(&caches).await.unwrap();
        assert!(bytes == expected, "{rest:?}");
        assert_eq!(calls, 3, "{rest:?}");
        assert_eq!(server.requests_below("nar/"), 4, "{rest:?}");
    }
}

/// Limits with which a second request is made soon, and time runs out late.
fn eager() -> Limits {
    Limits {
        hedge_after: Duration::from_millis(50),
        read_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        ..limits()
    }
}

fn eager_caches(urls: &[String]) -> Caches {
    let urls = urls.iter().map(|url| url.parse::<CacheUrl>().unwrap());
    Caches::new(store_dir(), urls, keys(), eager()).unwrap()
}

#[tokio::test]
async fn a_nar_that_stalls_is_asked_for_again_before_time_runs_out() {
    let server = nars(|_, before| match before {
        0 => Answer::StallHalfway,
        _ => Answer::Ranges,
    })
    .await;
    let since = Instant::now();
    let (bytes, calls) = fetch(&eager_caches(&[server.url])).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!(calls, 1);
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_nar_that_stalls_goes_on_from_another_cache_with_the_same_file() {
    let stalling = nars(|_, _| Answer::StallHalfway).await;
    let good = nars(|_, _| Answer::Ranges).await;
    let since = Instant::now();
    let urls = [stalling.url.clone(), good.url];
    let (bytes, calls) = fetch(&eager_caches(&urls)).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!(calls, 1);
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_narinfo_that_stalls_is_asked_for_elsewhere() {
    let stalling = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Stall,
    })
    .await;
    let since = Instant::now();
    let caches = eager_caches(&[stalling.url.clone(), file_url()]);
    let closure = caches.closure(&[root("app")]).await.unwrap();
    assert!(closure.paths.iter().all(|found| found.cache == file_url()));
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_cache_that_keeps_giving_bad_nars_is_asked_last() {
    let server = nars(|_, _| Answer::Body(b"bad".to_vec())).await;
    let caches = caches(&[server.url.clone(), file_url()]);
    for _ in 0..6 {
        fetch(&caches).await.unwrap();
    }
    let asked_nars = server.requests_below("nar/");
    assert_eq!(asked_nars, 3);
}

#[tokio::test]
async fn a_full_disk_is_no_cache_s_fault() {
    let (a, b) = (
        nars(|_, _| Answer::Serve).await,
        nars(|_, _| Answer::Serve).await,
    );
    let caches = caches(&[a.url.clone(), b.url.clone()]);
    let found = caches.find(&root("app"), None).await.unwrap();
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let refused = caches
        .fetch_nar(&found, move |_| -> std::io::Result<()> { Err(full()) })
        .await
        .unwrap_err();
    assert!(matches!(refused, NarError::Consumer { .. }), "{refused:?}");
    assert_eq!(b.requests_below("nar/"), 0);
}

#[tokio::test]
async fn who_no_longer_waits_stops_the_consumer() {
    let server = nars(|_, _| Answer::StallHalfway).await;
    let caches = eager_caches(&[server.url]);
    let found = caches.find(&root("app"), None).await.unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let fetch = caches.fetch_nar(&found, move |nar| {
        let mut bytes = Vec::new();
        let result = nar.read_to_end(&mut bytes);
        sender.send(result.is_err()).unwrap();
        result
    });
    let gave_up = tokio::time::timeout(Duration::from_millis(100), fetch).await;
    assert!(gave_up.is_err());
    // Long before the server's time runs out.
    let stopped =
        tokio::task::spawn_blocking(move || receiver.recv_timeout(Duration::from_secs(5)));
    assert_eq!(stopped.await.unwrap(), Ok(true));
}

#[tokio::test]
async fn those_who_give_up_do_not_count_against_the_cache() {
    let server = nars(|_, before| match before {
        0..3 => Answer::StallHalfway,
        _ => Answer::Serve,
    })
    .await;
    let caches = Caches::new(
        store_dir(),
        [
            server.url.parse::<CacheUrl>().unwrap(),
            file_url().parse().unwrap(),
        ],
        keys(),
        Limits {
            hedge_after: Duration::from_secs(20),
            ..eager()
        },
    )
    .unwrap();
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(200), fetch(&caches)).await;
        assert!(given_up.is_err());
    }
    // The threads end soon.
    tokio::time::sleep(Duration::from_millis(300)).await;
    fetch(&caches).await.unwrap();
    assert_eq!(server.requests_below("nar/"), 4);
}

#[tokio::test]
async fn what_decodes_to_much_stops_too_when_it_is_given_up() {
    let zeros = vec![0; 1 << 20];
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..4096 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let body = encoder.finish().unwrap();
    let server = nars(move |_, _| Answer::Body(body.clone())).await;
    let caches = caches(&[server.url]);
    let found = caches.find(&root("app"), None).await.unwrap();
    let mut large = Found::clone(&found);
    let info = Arc::make_mut(&mut large.info);
    (info.nar_size, info.compression) = (4 << 30, Compression::Zstd);
    let (sender, receiver) = std::sync::mpsc::channel();
    let fetch = caches.fetch_nar(&large, move |nar| {
        let read = std::io::copy(nar, &mut std::io::sink());
        sender.send(read.is_err()).unwrap();
        read
    });
    assert!(
        tokio::time::timeout(Duration::from_millis(100), fetch)
            .await
            .is_err()
    );
    let since = Instant::now();
    let stopped =
        tokio::task::spawn_blocking(move || receiver.recv_timeout(Duration::from_secs(20)));
    assert_eq!(stopped.await.unwrap(), Ok(true));
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

fn slow(nar_rate: u64) -> Limits {
    Limits {
        nar_rate,
        nar_grace: Duration::from_millis(600),
        min_rate: 1,
        hedge_after: Duration::from_secs(20),
        ..eager()
    }
}

async fn fetch_slowly(server: &Server, nar_rate: u64) -> Result<(Vec<u8>, usize), NarError> {
    let url: CacheUrl = server.url.parse().unwrap();
    fetch(&Caches::new(store_dir(), [url], keys(), slow(nar_rate)).unwrap()).await
}

#[tokio::test]
async fn a_nar_that_drips_has_an_end() {
    // 50 bytes a second.
    let server = nars(|_, _| Answer::Drip(1, Duration::from_millis(20))).await;
    let since = Instant::now();
    let error = fetch_slowly(&server, 1 << 10).await.unwrap_err();
    let text = nix_formats::chain(&error);
    assert!(
        text.ends_with("came with less than 1024 bytes per second"),
        "{text}"
    );
    assert!(
        since.elapsed() < Duration::from_secs(3),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(server.requests_below("nar/"), 1);
}

#[tokio::test]
async fn a_slow_link_that_is_fast_enough_takes_its_time() {
    let server = nars(|_, _| Answer::Drip(8, Duration::from_millis(20))).await;
    let since = Instant::now();
    let (bytes, calls) = fetch_slowly(&server, 100).await.unwrap();
    assert!(bytes == expected().await);
    assert_eq!(calls, 1);
    assert!(
        since.elapsed() > Duration::from_millis(600),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn what_is_scarce_is_not_held_while_a_cache_says_nothing() {
    let held = Arc::new(AtomicUsize::new(0));
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let take = |held: &Arc<AtomicUsize>| {
        let held = Arc::clone(held);
        move |_| async move {
            held.fetch_add(1, Ordering::SeqCst);
            Held(held)
        }
    };
    let stalling = nars(|_, _| Answer::Stall).await;
    let caches_of = |server: &Server| eager_caches(std::slice::from_ref(&server.url));
    let caches = caches_of(&stalling);
    let found = caches.find(&root("app"), None).await.unwrap();
    let fetch = caches.fetch_nar_with(&found, take(&held), |_| Ok(()));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), fetch)
            .await
            .is_err()
    );
    let never = |_| -> std::future::Ready<()> { panic!("it is taken before there is a byte") };
    let fetch = caches.fetch_nar_with(&found, never, |_| Ok(()));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), fetch)
            .await
            .is_err()
    );

    let good = nars(|_, _| Answer::Serve).await;
    let caches = caches_of(&good);
    let found = caches.find(&root("app"), None).await.unwrap();
    let seen = Arc::clone(&held);
    let fetch = caches.fetch_nar_with(
        &found,
        take(&held),
        move |_| Ok(seen.load(Ordering::SeqCst)),
    );
    assert_eq!(fetch.await.unwrap(), (1, 0));
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

/// A server whose narinfo of `app` only this key signed.
async fn signed_by(key: &SecretKey) -> Server {
    let name = format!("{}.narinfo", root("app").hash_part());
    let text = std::fs::read_to_string(folder().join(&name)).unwrap();
    let mut info = NarInfo::parse(&store_dir(), &text).unwrap();
    info.signatures.clear();
    info.sign(&store_dir(), key);
    let text = info.print(&store_dir());
    Server::start(move |asked, _| {
        if asked == name {
            Answer::Body(text.clone().into_bytes())
        } else {
            Answer::Serve
        }
    })
    .await
}

#[tokio::test]
async fn signatures_of_several_caches_add_up() {
    let (a, b) = (
        SecretKey::from_seed("a", [1; 32]),
        SecretKey::from_seed("b", [2; 32]),
    );
    let (first, second) = (signed_by(&a).await, signed_by(&b).await);
    let keys: PublicKeys = [a.public_key(), b.public_key()].into_iter().collect();
    let policy = TrustPolicy::new(keys, NonZeroUsize::new(2).unwrap()).unwrap();
    let urls = |urls: &[&Server]| -> Vec<CacheUrl> {
        urls.iter()
            .map(|server| server.url.parse().unwrap())
            .collect()
    };
    let both = Caches::new(
        store_dir(),
        urls(&[&first, &second]),
        policy.clone(),
        limits(),
    )
    .unwrap();
    let found = both.find(&root("app"), None).await.unwrap();
    assert_eq!(
        found.trust,
        Trust::Signed(vec!["a".to_owned(), "b".to_owned()])
    );
    // What was found is believed again later, with no cache to ask.
    let nobody = Caches::new(store_dir(), [], policy.clone(), limits()).unwrap();
    assert_eq!(nobody.judge(&found.info).unwrap(), found.trust);
    assert_eq!(nobody.policy_id(), both.policy_id());

    let one = Caches::new(store_dir(), urls(&[&first]), policy, limits()).unwrap();
    let refused = one.find(&root("app"), None).await.unwrap_err();
    assert!(matches!(
        &refused.refusals[0].1,
        Refusal::TooFewSignatures { signers, missing, required: 2 } if signers == &["a"] && missing == &["b"]
    ));
}
