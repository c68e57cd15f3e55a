//! Closures of real Nix's cache, from a folder and from servers that fail.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use binary_cache::{
    Caches, Closure, ClosureError, FetchError, Found, Limits, Refusal, Remedy, Trust, Unavailable,
};
use nix_formats::{NarInfo, PublicKeys, SecretKey, StorePath};

use support::{Answer, Server, caches, file_url, folder, keys, leaf, limits, root, store_dir};

fn lines(closure: &Closure) -> String {
    let mut text = String::new();
    for Found { info, .. } in closure.paths.iter().map(AsRef::as_ref) {
        let hash = info.nar_hash;
        let path = store_dir().print(&info.path);
        writeln!(text, "{path} {hash} {}", info.nar_size).unwrap();
    }
    text
}

const APP: &str = include_str!("vectors/app-lines.txt");

fn unavailable(result: Result<Closure, ClosureError>) -> Vec<Unavailable> {
    match result {
        Err(ClosureError::Unavailable(paths)) => paths,
        other => panic!("{other:?}"),
    }
}

fn narinfo(path: &StorePath) -> String {
    std::fs::read_to_string(folder().join(format!("{}.narinfo", path.hash_part()))).unwrap()
}

async fn working() -> Server {
    Server::start(|_, _| Answer::Serve).await
}

#[tokio::test]
async fn a_folder_gives_the_closure_that_nix_gives() {
    let closure = caches(&[file_url()]).closure(&[root("app")]).await.unwrap();
    assert_eq!(lines(&closure), APP);
    assert_eq!(closure.nar_size(), 17152);
    for found in &closure.paths {
        let expected = match found.info.path.name() {
            "text" => Trust::ContentAddressed,
            _ => Trust::Signed(vec!["cache-1".to_owned()]),
        };
        assert_eq!(found.trust, expected);
        assert_eq!(found.cache, file_url());
    }
}

#[tokio::test]
async fn a_server_gives_the_same_and_is_asked_once_for_each_path() {
    let server = working().await;
    let caches = caches(std::slice::from_ref(&server.url));
    let closure = caches.closure(&[root("app"), root("app")]).await.unwrap();
    assert_eq!(lines(&closure), APP);
    let again = caches.closure(&[root("app")]).await.unwrap();
    assert_eq!(lines(&again), APP);
    assert_eq!(server.requests(), closure.paths.len() + 1);
}

#[tokio::test]
async fn closures_at_the_same_time_share_their_lookups() {
    let server = working().await;
    let caches = caches(std::slice::from_ref(&server.url));
    let roots = [root("app")];
    let (a, b) = tokio::join!(caches.closure(&roots), caches.closure(&roots));
    assert_eq!(lines(&a.unwrap()), lines(&b.unwrap()));
    assert_eq!(server.requests(), 9);
}

#[tokio::test]
async fn several_roots_make_one_closure() {
    let roots = [root("app"), root("addressed")];
    let closure = caches(&[file_url()]).closure(&roots).await.unwrap();
    let mut sorted = closure.paths.clone();
    sorted.sort_by(|a, b| a.info.path.cmp(&b.info.path));
    sorted.dedup_by(|a, b| a.info.path == b.info.path);
    assert_eq!(sorted.len(), closure.paths.len());
    assert_eq!(closure.paths.len(), 16);
}

#[tokio::test]
async fn nothing_is_trusted_without_keys_but_what_its_content_makes() {
    let urls = [file_url().parse().unwrap()];
    let caches = Caches::new(store_dir(), urls, PublicKeys::default(), limits()).unwrap();
    let closure = caches.closure(&[root("addressed")]).await.unwrap();
    assert!(
        closure
            .paths
            .iter()
            .all(|found| found.trust == Trust::ContentAddressed)
    );
    let refused = unavailable(caches.closure(&[root("app")]).await);
    assert_eq!(refused.len(), 1);
    assert!(matches!(&refused[0].refusals[0].1, Refusal::Untrusted(keys) if keys == &["cache-1"]));
    assert_eq!(refused[0].remedy(), Remedy::NameKey);
}

#[tokio::test]
async fn an_address_by_a_weak_hash_makes_no_path() {
    let caches = caches(&[file_url()]);
    for name in ["flat", "recursive"] {
        let refused = unavailable(caches.closure(&[root(name)]).await);
        assert_eq!(
            refused[0].refusals[0].1.to_string(),
            "has it, but unsigned, and its sha1 content address does not prove its contents"
        );
        let cache = &file_url();
        assert_eq!(refused[0].remedy(), Remedy::Sign { cache });
    }
}

#[tokio::test]
async fn the_first_cache_in_order_of_priority_is_asked() {
    let info = |priority: u32| {
        format!("StoreDir: /tmp/nix-vectors/store\nWantMassQuery: 1\nPriority: {priority}\n")
    };
    let start = async |priority| {
        let info = info(priority).into_bytes();
        Server::start(move |name, _| match name {
            "nix-cache-info" => Answer::Body(info.clone()),
            _ => Answer::Serve,
        })
        .await
    };
    let (late, early) = (start(40).await, start(30).await);
    let closure = caches(&[late.url.clone(), early.url.clone()])
        .closure(&[root("app")])
        .await
        .unwrap();
    assert!(closure.paths.iter().all(|found| found.cache == early.url));
    assert_eq!(late.requests(), 1);
    // What the URL says goes before what the cache says.
    let urls = [format!("{}?priority=1", late.url), early.url.clone()];
    let closure = caches(&urls).closure(&[root("app")]).await.unwrap();
    assert!(closure.paths.iter().all(|found| found.cache == late.url));
}

#[tokio::test]
async fn equal_priorities_keep_the_order_given() {
    let (a, b) = (working().await, working().await);
    let closure = caches(&[b.url.clone(), a.url.clone()])
        .closure(&[root("app")])
        .await
        .unwrap();
    assert!(closure.paths.iter().all(|found| found.cache == b.url));
}

#[tokio::test]
async fn what_one_cache_lacks_another_gives() {
    let app = format!("{}.narinfo", root("app").hash_part());
    let server = {
        let app = app.clone();
        Server::start(move |name, _| match name {
            _ if name == app => Answer::Status(404),
            _ => Answer::Serve,
        })
        .await
    };
    let closure = caches(&[server.url.clone(), file_url()])
        .closure(&[root("app")])
        .await
        .unwrap();
    assert_eq!(lines(&closure), APP);
    for found in &closure.paths {
        let is_app = found.info.path == root("app");
        assert_eq!(
            found.cache,
            if is_app {
                file_url()
            } else {
                server.url.clone()
            }
        );
    }
}

#[tokio::test]
async fn dead_caches_break_nothing_and_cost_little() {
    let stalling = Server::start(|_, _| Answer::Stall).await;
    let failing = Server::start(|_, _| Answer::Status(503)).await;
    let foreign = Server::start(|_, _| Answer::Body(b"StoreDir: /other\n".into())).await;
    let not_a_cache = Server::start(|_, _| Answer::Body(b"<html>".into())).await;
    let refusing = "http://127.0.0.1:1".to_owned();
    let urls = [
        stalling.url.clone(),
        failing.url.clone(),
        foreign.url,
        not_a_cache.url,
        refusing,
        "file:///does/not/exist".to_owned(),
        file_url(),
    ];
    let closure = caches(&urls).closure(&[root("app")]).await.unwrap();
    assert_eq!(lines(&closure), APP);
    assert_eq!(stalling.requests(), 3);
    assert_eq!(failing.requests(), 3);
}

#[tokio::test]
async fn a_cache_that_dies_on_the_way_is_left_alone() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Status(500),
    })
    .await;
    let urls = [server.url.parse().unwrap(), file_url().parse().unwrap()];
    let caches = Caches::new(
        store_dir(),
        urls,
        keys(),
        Limits {
            concurrency: 1,
            ..limits()
        },
    )
    .unwrap();
    let closure = caches.closure(&[root("app")]).await.unwrap();
    assert_eq!(lines(&closure), APP);
    // Three paths were tried three times each, the others not at all.
    assert_eq!(server.requests(), 1 + 3 * 3);
}

#[tokio::test]
async fn a_cache_that_recovers_is_asked_again() {
    let server = Server::start(|_, before| match before {
        0..3 => Answer::Status(502),
        _ => Answer::Serve,
    })
    .await;
    let limits = Limits {
        cool_down: Duration::from_millis(1),
        negative_ttl: Duration::from_millis(1),
        ..limits()
    };
    let urls = [server.url.parse().unwrap()];
    let caches = Caches::new(store_dir(), urls, keys(), limits).unwrap();
    unavailable(caches.closure(&[leaf()]).await);
    tokio::time::sleep(Duration::from_millis(5)).await;
    // It answers now, though each narinfo fails as often at first.
    unavailable(caches.closure(&[leaf()]).await);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(caches.closure(&[leaf()]).await.unwrap().paths.len(), 1);
}

#[tokio::test]
async fn passing_trouble_is_retried() {
    for trouble in [
        Answer::Status(503),
        Answer::Status(429),
        Answer::Truncate,
        Answer::Stall,
        Answer::StallHalfway,
    ] {
        let first = trouble.clone();
        let server = Server::start(move |name, before| match (name, before) {
            ("nix-cache-info", _) | (_, 1..) => Answer::Serve,
            _ => first.clone(),
        })
        .await;
        let caches = caches(std::slice::from_ref(&server.url));
        let closure = caches.closure(&[leaf()]).await.unwrap();
        assert_eq!(closure.paths.len(), 1, "{trouble:?}");
        assert_eq!(server.requests(), 3, "{trouble:?}");
    }
}

#[tokio::test]
async fn that_no_cache_has_a_path_is_remembered_a_while() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Status(404),
    })
    .await;
    let caches = caches(std::slice::from_ref(&server.url));
    for _ in 0..3 {
        let refused = unavailable(caches.closure(&[root("app")]).await);
        assert!(matches!(refused[0].refusals[0].1, Refusal::Missing));
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn every_path_that_is_missing_is_named_with_what_each_cache_said() {
    let closure = caches(&[file_url()]).closure(&[root("app")]).await.unwrap();
    let find = |name: &str| {
        closure
            .paths
            .iter()
            .find(|found| found.info.path.name() == name)
            .unwrap()
            .info
            .path
            .clone()
    };
    let (xz, zstd) = (find("lib-xz"), find("lib-zstd"));
    let missing = [
        format!("{}.narinfo", xz.hash_part()),
        format!("{}.narinfo", zstd.hash_part()),
    ];
    let server = Server::start(move |name, _| match name {
        _ if name == missing[0] => Answer::Status(404),
        _ if name == missing[1] => Answer::Status(403),
        _ => Answer::Serve,
    })
    .await;
    let error = caches(std::slice::from_ref(&server.url))
        .closure(&[root("app")])
        .await
        .unwrap_err();
    let (url, dir) = (&server.url, store_dir());
    let app = dir.print(&root("app"));
    assert_eq!(
        error.to_string(),
        format!(
            "no cache gives 2 store paths:\n  '{zstd}', which '{app}' needs\n  '{xz}', which '{app}' needs\n\
             what the caches said:\n  {url} refuses access (HTTP 403) (1 of 2 paths: '{zstd}')\n  \
             {url} does not have it (1 of 2 paths: '{xz}')",
            zstd = dir.print(&zstd),
            xz = dir.print(&xz),
        )
    );
    let ClosureError::Unavailable(refused) = error else {
        panic!("{error}");
    };
    assert_eq!(refused[0].remedy(), Remedy::Login { cache: url });
    assert_eq!(refused[1].remedy(), Remedy::Push { cache: Some(url) });
}

#[tokio::test]
async fn lies_are_found_out() {
    let app = narinfo(&root("app"));
    let forger = SecretKey::from_seed("cache-1", [9; 32]);
    let mut forged = NarInfo::parse(&store_dir(), &app).unwrap();
    forged.nar_hash = NarInfo::parse(&store_dir(), &narinfo(&root("flat")))
        .unwrap()
        .nar_hash;
    forged.signatures.clear();
    forged.sign(&store_dir(), &forger);
    let unsigned = app
        .lines()
        .filter(|line| !line.starts_with("Sig:"))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    let refusal = async |body: Vec<u8>| {
        let server = Server::start(move |name, _| match name {
            "nix-cache-info" => Answer::Serve,
            _ => Answer::Body(body.clone()),
        })
        .await;
        let caches = caches(std::slice::from_ref(&server.url));
        let refused = unavailable(caches.closure(&[root("app")]).await);
        assert_eq!(refused.len(), 1);
        refused[0].refusals[0].1.to_string()
    };
    assert_eq!(
        refusal(forged.print(&store_dir()).into_bytes()).await,
        "has it, with signatures in the name of cache-1 that the trusted key of that name did not make"
    );
    assert_eq!(refusal(unsigned.into_bytes()).await, "has it, but unsigned");
    assert_eq!(
        refusal(narinfo(&root("flat")).into_bytes()).await,
        format!("answers with another path, '{}'", root("flat"))
    );
    assert_eq!(
        refusal(b"<html>\n".into()).await,
        "has a damaged narinfo: line 1 has no ':'"
    );
    assert_eq!(
        refusal(app.trim_end().as_bytes().into()).await,
        "has a damaged narinfo: line 10 has no end: the file is truncated"
    );
    assert_eq!(
        refusal(vec![b'x'; (1 << 20) + 1]).await,
        format!(
            "cannot be asked: '{}.narinfo' is larger than 1048576 bytes",
            root("app").hash_part()
        )
    );
}

#[tokio::test]
async fn a_forged_answer_does_not_hide_a_good_one() {
    let forger = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Body(narinfo(&root("flat")).into_bytes()),
    })
    .await;
    let closure = caches(&[forger.url, file_url()])
        .closure(&[root("app")])
        .await
        .unwrap();
    assert_eq!(lines(&closure), APP);
}

#[tokio::test]
async fn endless_answers_end() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Endless,
    })
    .await;
    let caches = caches(std::slice::from_ref(&server.url));
    let refused = unavailable(caches.closure(&[root("app")]).await);
    assert!(matches!(
        &refused[0].refusals[0].1,
        Refusal::Failed(FetchError::TooLarge { .. } | FetchError::Timeout { .. })
    ));
}

#[tokio::test]
async fn redirects_are_followed_and_loops_end() {
    let target = working().await;
    let url = target.url.clone();
    let server = Server::start(move |name, _| Answer::Redirect(format!("{url}/{name}"))).await;
    let closure = caches(std::slice::from_ref(&server.url))
        .closure(&[root("app")])
        .await
        .unwrap();
    assert_eq!(lines(&closure), APP);
    let looping = Server::start(|name, _| Answer::Redirect(format!("/sub/{name}"))).await;
    let urls = [looping.url.clone()];
    let refused = unavailable(caches(&urls).closure(&[root("app")]).await);
    assert!(
        refused[0].refusals[0]
            .1
            .to_string()
            .contains("too many redirects")
    );
    // To try again would not help.
    assert_eq!(looping.requests(), 11);
    let cache = &looping.url;
    assert_eq!(refused[0].remedy(), Remedy::Reach { cache });
}

#[tokio::test]
async fn compressed_narinfo_is_read_and_bombs_are_not() {
    use std::io::Write;
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let answer = async |encoding: &'static str, body: Vec<u8>| {
        let server = Server::start(move |name, _| match name {
            "nix-cache-info" => Answer::Serve,
            _ => Answer::Encoded(encoding, body.clone()),
        })
        .await;
        caches(std::slice::from_ref(&server.url))
            .closure(&[leaf()])
            .await
    };
    let info = narinfo(&leaf());
    assert_eq!(
        answer("gzip", gzip(info.as_bytes()))
            .await
            .unwrap()
            .paths
            .len(),
        1
    );
    let zstd = zstd::encode_all(info.as_bytes(), 3).unwrap();
    assert_eq!(answer("zstd", zstd).await.unwrap().paths.len(), 1);
    for (encoding, body, expected) in [
        (
            "gzip",
            gzip(&vec![0; 64 << 20]),
            "larger than 1048576 bytes",
        ),
        (
            "gzip",
            info.clone().into_bytes(),
            "content encoding 'gzip', which can't be decoded",
        ),
        (
            "weird",
            info.clone().into_bytes(),
            "content encoding 'weird', which can't be decoded",
        ),
    ] {
        let refused = unavailable(answer(encoding, body).await);
        let text = refused[0].refusals[0].1.to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn closures_have_a_largest_size() {
    let urls = [file_url().parse().unwrap()];
    let caches = Caches::new(
        store_dir(),
        urls,
        keys(),
        Limits {
            max_paths: 7,
            ..limits()
        },
    )
    .unwrap();
    let refused = caches.closure(&[root("app")]).await;
    assert!(matches!(refused, Err(ClosureError::TooLarge(7))));
}

#[tokio::test]
async fn user_and_password_are_sent_and_never_shown() {
    // user:pass
    let server = Server::start(|_, _| Answer::Login("Basic dXNlcjpwYXNz")).await;
    let url = server.url.replace("http://", "http://user:pass@");
    let closure = caches(&[url]).closure(&[root("app")]).await.unwrap();
    assert!(closure.paths.iter().all(|found| found.cache == server.url));
    let wrong = server.url.replace("http://", "http://user:wrong@");
    let caches = caches(&[wrong]);
    let error = caches.closure(&[root("app")]).await.unwrap_err();
    assert!(
        error.to_string().ends_with("refuses access (HTTP 401)"),
        "{error}"
    );
    assert!(!format!("{error} {error:?} {caches:?}").contains("wrong"));
}

#[tokio::test]
async fn https_to_a_server_without_it_fails_and_does_not_panic() {
    let server = working().await;
    let urls = [server.url.replace("http://", "https://").parse().unwrap()];
    // Without certificates on this machine there is no client for https.
    if let Ok(caches) = Caches::new(store_dir(), urls, keys(), limits()) {
        let refused = unavailable(caches.closure(&[root("app")]).await);
        assert!(matches!(
            refused[0].refusals[0].1,
            Refusal::Failed(FetchError::Http { .. } | FetchError::Timeout { .. })
        ));
    }
}

#[tokio::test]
async fn without_caches_the_error_says_so() {
    let refused = unavailable(caches(&[]).closure(&[root("app")]).await);
    assert_eq!(
        refused[0].to_string(),
        format!(
            "no cache gives store path '{}': there are no caches",
            store_dir().print(&root("app"))
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn walks_can_be_spawned() {
    let walk = tokio::spawn(async { caches(&[file_url()]).closure(&[root("app")]).await });
    assert_eq!(lines(&walk.await.unwrap().unwrap()), APP);
}
