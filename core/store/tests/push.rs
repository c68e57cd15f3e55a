//! Pushing from a store to a binary cache.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::sync::Arc;

use binary_cache::{CacheUrl, PushError, PushOptions, push};

use support::{Cache, directory, file, folder_client, key, open, realised};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_realised_can_be_pushed_and_is_the_same_again() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let library = cache.add("library", &directory([("a.so", file("library"))]), &[]);
    let root = cache.add("program", &file("program"), std::slice::from_ref(&library));
    let store = open(folder.path());
    let closure = realised(&store, &root, &cache.client()).await;

    let other = tempfile::tempdir().unwrap();
    let url: CacheUrl = format!("file://{}", other.path().display())
        .parse()
        .unwrap();
    let pushed = push(
        Arc::new(store.clone()),
        std::slice::from_ref(&root),
        &url,
        PushOptions {
            keys: [key("new")].into(),
            ..PushOptions::default()
        },
        Arc::default(),
    );
    assert_eq!(pushed.await.unwrap().pushed.len(), 2);
    // The signatures of the first cache are there, too.
    let found = folder_client(other.path())
        .closure(std::slice::from_ref(&root))
        .await;
    let found = found.unwrap().paths;
    assert_eq!(found.len(), 2);
    for (path, line) in found.iter().zip(closure.lines.as_slice()) {
        assert_eq!(
            (&path.info.path, path.info.nar_hash),
            (&line.path, line.nar_hash)
        );
    }

    // Contents that are not those that were stored are not published.
    let third = tempfile::tempdir().unwrap();
    let url = format!("file://{}", third.path().display())
        .parse()
        .unwrap();
    damage(folder.path());
    let pushed = push(
        Arc::new(store),
        std::slice::from_ref(&root),
        &url,
        PushOptions::default(),
        Arc::default(),
    );
    let error = pushed.await.unwrap_err();
    assert!(
        matches!(error, PushError::Source { .. } | PushError::Changed { .. }),
        "{error:?}"
    );
    let narinfos = std::fs::read_dir(third.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".narinfo")
    });
    assert_eq!(narinfos.count(), 0);
}

/// Changes a byte of the contents that both paths have in the store.
fn damage(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder.join("packs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        for text in [b"library".as_slice(), b"program"] {
            if let Some(at) = bytes.windows(text.len()).position(|bytes| bytes == text) {
                bytes[at] ^= 1;
            }
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
}
