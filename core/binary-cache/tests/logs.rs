//! Logs of builds in caches.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::error::Error as _;
use std::fs::{self, File};
use std::path::Path;

use binary_cache::FetchError;
use nix_formats::StorePath;

use support::{Answer, Server, caches};

/// The most that a log may have.
const MOST: u64 = 256 << 20;

fn derivation() -> StorePath {
    StorePath::from_base_name("44r15qp3hx522xqaf9szcv8j812p14b7-x.drv").unwrap()
}

/// A cache in a folder, with a log of that many bytes, none of them on the disk.
fn cache(folder: &Path, size: u64) -> String {
    fs::create_dir_all(folder.join("log")).unwrap();
    fs::write(
        folder.join("nix-cache-info"),
        "StoreDir: /tmp/nix-vectors/store\n",
    )
    .unwrap();
    let file = folder.join("log").join(derivation().base_name());
    File::create(file).unwrap().set_len(size).unwrap();
    format!("file://{}", folder.display())
}

#[tokio::test]
async fn a_log_larger_than_any_is_refused_unread_and_the_next_cache_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let large = cache(&folder.path().join("large"), MOST + 1);
    // More than the machine has memory for.
    let huge = cache(&folder.path().join("huge"), 1 << 42);
    for url in [&large, &huge] {
        let error = caches(std::slice::from_ref(url))
            .log(&derivation())
            .await
            .unwrap_err();
        let cause = error.source().and_then(|it| it.downcast_ref());
        assert!(
            matches!(cause, Some(FetchError::TooLarge { limit, .. }) if *limit as u64 == MOST),
            "{cause:?}"
        );
    }
    let small = cache(&folder.path().join("small"), 5);
    let log = caches(&[large, small]).log(&derivation()).await.unwrap();
    assert_eq!(log.unwrap().text, [0; 5].as_slice());
}

#[tokio::test]
async fn a_server_that_never_ends_its_log_is_given_up() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Endless,
    });
    let server = server.await;
    let found = caches(std::slice::from_ref(&server.url))
        .log(&derivation())
        .await;
    assert!(found.is_err());
}

#[tokio::test]
async fn a_log_that_no_cache_has_is_none() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Status(404),
    });
    let server = server.await;
    let found = caches(std::slice::from_ref(&server.url))
        .log(&derivation())
        .await;
    assert!(found.unwrap().is_none());
}
