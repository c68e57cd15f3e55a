//! Caches that say more than can be held.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::collections::BTreeSet;

use binary_cache::{CacheMemory, CacheUrl, Caches, Closure, ClosureError, Limits, Unavailable};
use nix_formats::{Compression, NarHash, NarInfo, PublicKeys, SecretKey, Signature, StorePath};

use support::{Answer, Server, keys, limits, root, store_dir};

fn path(number: usize) -> StorePath {
    StorePath::from_base_name(format!("{number:032}-hostile")).unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed("test-1", [1; 32])
}

/// A narinfo of one of `count` paths that all refer to `references` others.
fn narinfo(number: usize, count: usize, references: usize) -> NarInfo {
    let mut info = NarInfo {
        path: path(number),
        url: "nar/x".to_owned(),
        compression: Compression::None,
        file_hash: None,
        file_size: None,
        nar_hash: NarHash::of(b"x"),
        nar_size: 1000,
        references: (number..number + references)
            .map(|reference| path(reference % count))
            .collect::<BTreeSet<_>>(),
        deriver: None,
        signatures: Vec::new(),
        ca: None,
    };
    info.sign(&store_dir(), &key());
    info
}

async fn server(count: usize, references: usize) -> Server {
    Server::start(move |name, _| {
        match name
            .strip_suffix(".narinfo")
            .and_then(|number| number.parse().ok())
        {
            Some(number) => {
                let info = narinfo(number, count, references);
                Answer::Body(info.print(&store_dir()).into_bytes())
            }
            None => Answer::Serve,
        }
    })
    .await
}

fn caches(memory: &CacheMemory, server: &Server, limits: Limits) -> Caches {
    let url: CacheUrl = server.url.parse().unwrap();
    let nix = keys();
    let trusted = nix.iter().cloned().chain([key().public_key()]);
    let keys: PublicKeys = trusted.collect();
    Caches::new_within(memory, store_dir(), [url], keys, limits).unwrap()
}

/// The most memory that this process had so far, in MiB.
fn peak() -> u64 {
    niphas_testing::memory::peak("self").unwrap() >> 20
}

/// That a closure is refused for want of memory.
fn assert_for_memory(result: Result<Closure, ClosureError>) {
    let Err(ClosureError::Unavailable(paths)) = result else {
        panic!("it is not refused, or for something else");
    };
    assert!(paths.iter().any(Unavailable::is_for_memory), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_of_large_narinfos_is_refused_within_the_memory_that_there_is() {
    let before = peak();
    let memory = CacheMemory::new(32 << 20);
    let hostile = server(12_000, 12_000).await;
    // Three tenants with such a cache each.
    for _ in 0..3 {
        let caches = caches(&memory, &hostile, Limits::default());
        assert_for_memory(caches.closure(&[path(0)]).await);
        assert!(memory.used() <= 16 << 20, "{}", memory.used());
    }
    assert_eq!(memory.used(), 0);
    let grown = peak() - before;
    assert!(grown < 100, "{grown} MiB");
}

#[tokio::test]
async fn while_one_holds_all_it_can_others_find_their_closures() {
    let memory = CacheMemory::new(1 << 20);
    let (hostile, good) = (
        server(400, 200).await,
        Server::start(|_, _| Answer::Serve).await,
    );
    let greedy = caches(&memory, &hostile, limits());
    let mut held = Vec::new();
    for number in 0..400 {
        held.extend(greedy.find(&path(number), None).await.ok());
    }
    assert!(held.len() > 10 && held.len() < 40, "{}", held.len());
    assert_for_memory(greedy.closure(&[path(0)]).await);
    let honest = caches(&memory, &good, limits());
    assert_eq!(honest.closure(&[root("app")]).await.unwrap().paths.len(), 8);
    // That there was no memory is not remembered.
    drop(held);
    for number in 300..305 {
        greedy.find(&path(number), None).await.unwrap();
    }
    assert_eq!(honest.closure(&[root("app")]).await.unwrap().paths.len(), 8);
    drop((greedy, honest));
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn closures_have_a_largest_number_of_references() {
    let server = server(50, 50).await;
    let limits = |max_references| Limits {
        max_references,
        ..limits()
    };
    let memory = CacheMemory::default();
    let enough = caches(&memory, &server, limits(2500));
    assert_eq!(enough.closure(&[path(0)]).await.unwrap().paths.len(), 50);
    let too_few = caches(&memory, &server, limits(2499));
    let refused = too_few.closure(&[path(0)]).await;
    assert!(matches!(
        refused,
        Err(ClosureError::TooManyReferences(2499))
    ));
}

#[tokio::test]
async fn a_walk_ends_when_nothing_is_there() {
    let server = Server::start(|name, _| match name {
        "nix-cache-info" => Answer::Serve,
        _ => Answer::Status(404),
    })
    .await;
    let roots: Vec<StorePath> = (0..3000).map(path).collect();
    let caches = caches(&CacheMemory::default(), &server, limits());
    let Err(ClosureError::Unavailable(paths)) = caches.closure(&roots).await else {
        panic!("none of these is there");
    };
    assert_eq!(paths.len(), 1000);
    assert!(server.requests() < 1100, "{}", server.requests());
}

#[tokio::test]
async fn only_signatures_that_count_are_kept() {
    let server = Server::start(|name, _| {
        if !name.ends_with(".narinfo") {
            return Answer::Serve;
        }
        let mut info = narinfo(1, 2, 2);
        let good = info.signatures.remove(0);
        let junk = (0..9000_usize).map(|number| Signature {
            // Of names that are not trusted, and of the one that is.
            key_name: if number % 3000 == 0 {
                "test-1".to_owned()
            } else {
                format!("junk-{number}")
            },
            bytes: number.to_le_bytes().repeat(8),
        });
        info.signatures.extend(junk);
        info.signatures.push(good);
        Answer::Body(info.print(&store_dir()).into_bytes())
    })
    .await;
    let caches = caches(&CacheMemory::default(), &server, limits());
    let found = caches.find(&path(1), None).await.unwrap();
    assert_eq!(found.info.signatures, narinfo(1, 2, 2).signatures);
    assert!(caches.judge(&found.info).is_ok());
}
