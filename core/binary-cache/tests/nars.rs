//! NARs of real Nix's cache: every compression, verified, and those that lie.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use binary_cache::{Caches, FetchError, Found, Limits, NarError, Trust};
use nix_formats::nar::{Event, Reader, Writer};
use nix_formats::{
    Compression, ContentAddress, ContentAddressMethod, HashAlgorithm, NarHash, NarInfo, StorePath,
};

use support::{Answer, Server, caches, file_url, folder, keys, root, store_dir};

async fn contents(caches: &Caches, found: &Found) -> Result<String, NarError> {
    caches
        .fetch_nar(found, |nar| {
            let mut reader = Reader::new(nar);
            let mut contents = String::new();
            let event = reader.next_event().map_err(std::io::Error::other)?;
            assert!(matches!(event, Some(Event::File { .. })));
            reader.read_to_string(&mut contents)?;
            reader.next_event().map_err(std::io::Error::other)?;
            Ok(contents)
        })
        .await
}

async fn find(caches: &Caches, name: &str) -> Arc<Found> {
    let closure = caches.closure(&[root("app")]).await.unwrap();
    Arc::clone(
        closure
            .paths
            .iter()
            .find(|found| found.info.path.name() == name)
            .unwrap(),
    )
}

#[tokio::test]
async fn nars_of_every_compression_are_fetched_from_folder_and_server() {
    let server = Server::start(|_, _| Answer::Serve).await;
    for url in [file_url(), server.url.clone()] {
        let caches = caches(&[url]);
        for name in ["none", "xz", "zstd", "gzip", "bzip2", "br"] {
            let found = find(&caches, &format!("lib-{name}")).await;
            assert_eq!(found.info.compression.name(), name);
            let contents = contents(&caches, &found).await.unwrap();
            let line = contents.lines().next().unwrap();
            assert!(
                line.starts_with(&format!("{name} /tmp/nix-vectors/store/")),
                "{line}"
            );
            assert_eq!(contents.lines().count(), 40);
        }
    }
}

/// A cache with the vectors' file, whose addresses there are by SHA-1, under addresses by SHA-256.
fn by_sha256(cache: &std::path::Path) -> (StorePath, StorePath) {
    let contents = b"contents\n";
    let mut nar = Writer::new(Vec::new());
    nar.file(false, contents).unwrap();
    let nar = nar.finish().unwrap();
    std::fs::write(
        cache.join("nix-cache-info"),
        "StoreDir: /tmp/nix-vectors/store\n",
    )
    .unwrap();
    std::fs::create_dir(cache.join("nar")).unwrap();
    std::fs::write(cache.join("nar/file"), &nar).unwrap();
    let add = |method, hashed: &[u8]| {
        let ca = ContentAddress {
            method,
            hash: HashAlgorithm::Sha256.digest(hashed),
        };
        let path = store_dir()
            .make_fixed_output_path(&ca.into(), "file")
            .unwrap();
        let info = NarInfo {
            path: path.clone(),
            url: "nar/file".to_owned(),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            nar_hash: NarHash::of(&nar),
            nar_size: nar.len() as u64,
            references: [].into(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(ca),
        };
        let name = format!("{}.narinfo", path.hash_part());
        std::fs::write(cache.join(name), info.print(&store_dir())).unwrap();
        path
    };
    (
        add(ContentAddressMethod::Flat, contents),
        add(ContentAddressMethod::Recursive, &nar),
    )
}

#[tokio::test]
async fn content_addressed_nars_are_checked_against_their_address() {
    let cache = tempfile::tempdir().unwrap();
    let (flat, recursive) = by_sha256(cache.path());
    let caches = caches(&[file_url(), format!("file://{}", cache.path().display())]);
    for path in [root("addressed"), flat, recursive] {
        let found = caches.find(&path, None).await.unwrap();
        assert_eq!(found.trust, Trust::ContentAddressed);
        contents(&caches, &found).await.unwrap();
        // The same contents under another address of the same kind.
        let mut other = Found::clone(&found);
        let ca = Arc::make_mut(&mut other.info).ca.as_mut().unwrap();
        ca.hash = ca.hash.algorithm().digest(b"else");
        let refused = contents(&caches, &other).await;
        assert!(
            matches!(refused, Err(NarError::ContentAddress { .. })),
            "{refused:?}"
        );
    }
    // Text, too: it is in every closure.
    let text = find(&caches, "text").await;
    assert_eq!(contents(&caches, &text).await.unwrap(), "text\n");
}

#[tokio::test]
async fn what_the_consumer_leaves_is_verified_all_the_same() {
    let caches = caches(&[file_url()]);
    let found = find(&caches, "lib-xz").await;
    assert_eq!(caches.fetch_nar(&found, |_| Ok(7)).await.unwrap(), 7);
    let mut wrong = Found::clone(&found);
    Arc::make_mut(&mut wrong.info).nar_hash = find(&caches, "lib-zstd").await.info.nar_hash;
    let refused = caches.fetch_nar(&wrong, |_| Ok(7)).await;
    assert!(matches!(refused, Err(NarError::Hash { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_decoder_looks_back_as_far_as_it_may_and_says_so_before() {
    let server = Server::start(|_, _| Answer::Serve).await;
    for url in [file_url(), server.url] {
        let bounded = |max_looked_back| {
            let limits = Limits {
                max_looked_back,
                ..Limits::default()
            };
            Caches::new(store_dir(), [url.parse().unwrap()], keys(), limits).unwrap()
        };
        // What Nix compresses with xz looks back on 8 MiB.
        let caches = bounded(8 << 20);
        let found = find(&caches, "lib-xz").await;
        let asked = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&asked);
        let resource = move |looks_back| {
            noted.store(looks_back, Relaxed);
            std::future::ready(())
        };
        let fetched = caches.fetch_nar_with(&found, resource, |_| Ok(()));
        assert!(fetched.await.is_ok());
        assert_eq!(asked.load(Relaxed), 8 << 20);

        let refused = bounded((8 << 20) - 1).fetch_nar(&found, |_| Ok(())).await;
        let Err(NarError::LooksBack { needed, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(needed, 8 << 20);
    }
}

#[tokio::test]
async fn nars_of_another_size_are_refused() {
    let caches = caches(&[file_url()]);
    let found = find(&caches, "lib-gzip").await;
    for (size, told) in [(2751, 2752), (2753, 2752), (8, 2752), (1 << 40, 2752)] {
        let mut wrong = Found::clone(&found);
        Arc::make_mut(&mut wrong.info).nar_size = size;
        match caches.fetch_nar(&wrong, |_| Ok(())).await {
            Err(NarError::Size {
                expected, actual, ..
            }) => {
                assert_eq!((expected, actual), (size, told));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A server whose NARs are answered by `answer`.
async fn server(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Caches {
    let server = Server::start(move |name, before| {
        if name.starts_with("nar/") {
            answer(name, before)
        } else {
            Answer::Serve
        }
    })
    .await;
    caches(&[server.url])
}

#[tokio::test]
async fn nars_that_stall_break_off_or_are_missing_are_told_apart() {
    let fetch = async |answer: Answer| {
        let caches = server(move |_, _| answer.clone()).await;
        let found = find(&caches, "lib-none").await;
        contents(&caches, &found).await.unwrap_err()
    };
    let error = fetch(Answer::StallHalfway).await;
    assert!(
        matches!(
            &error,
            NarError::Fetch {
                source: FetchError::Timeout { .. },
                ..
            }
        ),
        "{error:?}"
    );
    let error = fetch(Answer::Truncate).await;
    assert!(
        matches!(
            &error,
            NarError::Fetch {
                source: FetchError::Http { .. },
                ..
            }
        ),
        "{error:?}"
    );
    let error = fetch(Answer::Status(404)).await;
    assert!(matches!(&error, NarError::Missing { .. }), "{error:?}");
    let error = fetch(Answer::Status(500)).await;
    assert!(
        matches!(
            &error,
            NarError::Fetch {
                source: FetchError::Status { status: 500, .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn opening_a_nar_is_retried() {
    let caches = server(|_, before| match before {
        0 | 1 => Answer::Status(503),
        _ => Answer::Serve,
    })
    .await;
    let found = find(&caches, "lib-zstd").await;
    contents(&caches, &found).await.unwrap();
}

#[tokio::test]
async fn damaged_nars_are_refused() {
    for name in [
        "lib-none",
        "lib-xz",
        "lib-zstd",
        "lib-gzip",
        "lib-bzip2",
        "lib-br",
    ] {
        let caches = server(|name, _| {
            let mut body = std::fs::read(folder().join(name)).unwrap();
            let middle = body.len() / 2;
            body[middle] ^= 0x55;
            Answer::Body(body)
        })
        .await;
        let found = find(&caches, name).await;
        let refused = contents(&caches, &found).await;
        assert!(
            matches!(
                refused,
                Err(NarError::Read { .. } | NarError::Hash { .. } | NarError::Size { .. })
            ),
            "{name}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_nar_that_never_ends_is_cut_where_its_size_is_reached() {
    let caches = server(|_, _| Answer::Endless).await;
    let found = find(&caches, "lib-none").await;
    let refused = caches.fetch_nar(&found, |_| Ok(())).await;
    assert!(matches!(refused, Err(NarError::Size { .. })), "{refused:?}");
}

#[tokio::test]
async fn nars_outside_the_cache_are_not_fetched() {
    let caches = caches(&[file_url()]);
    let found = find(&caches, "lib-none").await;
    for url in [
        "../roots.txt",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/x",
    ] {
        let mut wrong = Found::clone(&found);
        url.clone_into(&mut Arc::make_mut(&mut wrong.info).url);
        let refused = contents(&caches, &wrong).await;
        assert!(
            matches!(
                &refused,
                Err(NarError::Fetch {
                    source: FetchError::Outside { .. },
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_compression_is_named() {
    let caches = caches(&[file_url()]);
    let mut found = Found::clone(&*find(&caches, "lib-none").await);
    Arc::make_mut(&mut found.info).compression = Compression::Other("lzip".to_owned());
    let refused = contents(&caches, &found).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        format!(
            "the NAR of '{}' is compressed with 'lzip', which is not supported",
            found.info.path
        )
    );
}

#[tokio::test]
async fn the_consumer_s_own_error_is_told() {
    let caches = caches(&[file_url()]);
    let found = find(&caches, "lib-none").await;
    let refused = caches
        .fetch_nar(&found, |_| -> std::io::Result<()> {
            Err(std::io::Error::other("disk full"))
        })
        .await;
    match refused {
        Err(NarError::Consumer { source, .. }) => assert_eq!(source.to_string(), "disk full"),
        other => panic!("{other:?}"),
    }
}
