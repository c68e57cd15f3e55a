//! What a store takes on: decided before the work.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use binary_cache::{CacheMemory, Caches, ClosureError, Limits, Unavailable};
use niphas_api::ClosureDigest;
use niphas_store::{
    Collected, KeepFree, Limit, LimitExceeded, Options, Outlook, RealiseError, Request,
    RequestLimits, Store, Terms, Watermark,
};
use nix_formats::{PublicKeys, StoreDir, StorePath};

use support::{
    Cache, Fault, file, folder_client, key, names, noise, open, pack_bytes, realise, realised,
    request,
};

fn digest(byte: u8) -> ClosureDigest {
    format!("sha256:{}", format!("{byte:02x}").repeat(32))
        .parse()
        .unwrap()
}

/// A program that needs a library; the program's path.
fn program(cache: &Cache) -> StorePath {
    let library = cache.add("library", &file(noise(1, 300_000)), &[]);
    cache.add("program", &file(noise(2, 1000)), &[library])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_costs_no_nar_and_asking_again_costs_nothing() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let root = program(&cache);
    let (store, caches) = (open(folder.path()), cache.client());
    let wanted = |expected| Request {
        expected: Some(expected),
        ..request(std::slice::from_ref(&root), &caches)
    };
    for _ in 0..3 {
        let error = store.realise(wanted(digest(0))).wait().await.unwrap_err();
        assert!(matches!(&*error, RealiseError::Digest { .. }), "{error}");
        assert_eq!(error.outlook(), Outlook::Stays);
    }
    assert!(
        cache.requests("nar/").is_empty(),
        "{:?}",
        cache.requests("nar/")
    );
    let infos = cache.requests(root.hash_part());
    assert_eq!(infos.values().sum::<usize>(), 1, "{infos:?}");
    assert_eq!(names(folder.path(), "packs"), Vec::<String>::new());

    let other = tempfile::tempdir().unwrap();
    let others = open(other.path());
    let right = realise(&others, std::slice::from_ref(&root), &caches).await;
    let right = right.unwrap().digest;
    store.realise(wanted(right)).wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_is_kept_before_anything_is_fetched() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let root = program(&cache);
    let (store, caches) = (open(folder.path()), cache.client());
    let none = RequestLimits::default();
    for (limits, limit, allowed) in [
        (RequestLimits { roots: 1, ..none }, Limit::Roots, 1),
        (RequestLimits { paths: 1, ..none }, Limit::Paths, 1),
        (
            RequestLimits {
                closure_size: 300_500,
                ..none
            },
            Limit::ClosureSize,
            300_500,
        ),
        (
            RequestLimits {
                nar_size: 200_000,
                ..none
            },
            Limit::NarSize,
            200_000,
        ),
    ] {
        let roots = if limit == Limit::Roots {
            vec![root.clone(); 2]
        } else {
            vec![root.clone()]
        };
        let mut request = request(&roots, &caches);
        // Without one, paths are fetched as they are found.
        request.expected = Some(digest(limit.name().len() as u8));
        request.terms.limits = limits;
        let error = store.realise(request).wait().await.unwrap_err();
        let RealiseError::Limit(LimitExceeded {
            limit: found,
            allowed: told,
            ..
        }) = &*error
        else {
            panic!("{limit:?}: {error}");
        };
        assert_eq!((*found, *told), (limit, allowed));
        assert!(error.to_string().contains(&allowed.to_string()), "{error}");
    }
    assert!(cache.requests("nar/").is_empty());
    // The caller decides last, knowing what it is.
    let other = tempfile::tempdir().unwrap();
    let others = open(other.path());
    let right = realise(&others, std::slice::from_ref(&root), &caches).await;
    let right = right.unwrap().digest;
    let before = cache.requests("nar/").values().sum::<usize>();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let mut request = request(std::slice::from_ref(&root), &caches);
    request.expected = Some(right);
    request.terms.admit = Some(Arc::new(move |_, lines| {
        assert_eq!(lines.path_count(), 2);
        counted.fetch_add(1, Relaxed);
        Err(LimitExceeded {
            limit: Limit::Disk,
            allowed: 7,
            found: lines.nar_size(),
        })
    }));
    let error = store.realise(request).wait().await.unwrap_err();
    assert!(
        matches!(&*error, RealiseError::Limit(error) if error.allowed == 7),
        "{error}"
    );
    assert_eq!((asked.load(Relaxed), error.outlook()), (1, Outlook::Passes));
    assert_eq!(cache.requests("nar/").values().sum::<usize>(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_ends_and_keeps_what_is_whole() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let whole = cache.add("whole", &file(noise(1, 100_000)), &[]);
    let slow = cache.add(
        "slow",
        &file(noise(2, 4 << 20)),
        std::slice::from_ref(&whole),
    );
    let nar = format!("nar/{}.nar", slow.hash_part());
    cache.fault(&nar, Fault::Drip(2000));
    let (store, caches) = (open(folder.path()), cache.client());
    let realisation = store.realise(request(std::slice::from_ref(&slow), &caches));
    let other = realisation.clone();
    while realisation.progress().fetched_paths < 1 || cache.requests(&nar).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(realisation);
    assert!(!other.is_finished());
    drop(other);
    let started = Instant::now();
    // The thread that reads ends with its file.
    while names(folder.path(), "tmp")
        .iter()
        .any(|name| name != "state")
    {
        assert!(started.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.paths().len(), 1);
    cache.heal();
    let realisation = store.realise(request(std::slice::from_ref(&slow), &caches));
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_waits_for_itself_only() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let (store, caches) = (open(folder.path()), cache.client());
    let ask = |name: &str, holder: &str, is_slow: bool| {
        let path = cache.add(name, &file(name), &[]);
        if is_slow {
            let info = format!("{}.narinfo", path.hash_part());
            cache.fault(&info, Fault::Delay(Duration::from_millis(400)));
        }
        let mut request = request(&[path], &caches);
        request.terms = Terms {
            holder: holder.into(),
            limits: RequestLimits {
                realisations: 2,
                ..RequestLimits::default()
            },
            ..Terms::default()
        };
        store.realise(request)
    };
    let held: Vec<_> = (0..6)
        .map(|number| ask(&format!("slow-{number}"), "one", true))
        .collect();
    let queued = || {
        let mut queued: Vec<u64> = held.iter().map(|it| it.progress().queued).collect();
        queued.sort_unstable();
        queued
    };
    let started = Instant::now();
    while queued() != [0, 0, 1, 2, 3, 4] {
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", queued());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ask("quick", "other", false).wait().await.unwrap();
    assert!(held.iter().any(|realisation| !realisation.is_finished()));
    for realisation in held {
        realisation.wait().await.unwrap();
    }
}

/// A closure of this many paths, each with this many references; its root.
fn wide(cache: &Cache, name: &str, paths: usize, references: usize) -> StorePath {
    let path = |number: usize| support::store_path("", &format!("{name}-{number}"));
    let all: Vec<StorePath> = (0..paths).map(path).collect();
    for number in 0..paths {
        let start = number.min(paths - references);
        let references = &all[start..start + references];
        cache.add(&format!("{name}-{number}"), &file(name), references);
    }
    path(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_caches_say_takes_bounded_memory_and_who_gets_none_waits() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let large = wide(&cache, "large", 900, 900);
    let (store, caches) = (open(folder.path()), cache.client());
    let ask = |root: &StorePath| {
        let mut request = request(std::slice::from_ref(root), &caches);
        request.expected = Some(digest(7));
        store.realise(request)
    };
    let error = ask(&large).wait().await.unwrap_err();
    assert!(
        matches!(&*error, RealiseError::Limit(error) if error.limit == Limit::Narinfos),
        "{error}"
    );
    // Each fits alone, and no two do together.
    let roots: Vec<StorePath> = (0..3)
        .map(|number| wide(&cache, &format!("wide-{number}"), 500, 400))
        .collect();
    for realisation in roots.iter().map(ask).collect::<Vec<_>>() {
        let error = realisation.wait().await.unwrap_err();
        assert!(matches!(&*error, RealiseError::Digest { .. }), "{error}");
    }
    assert!(cache.requests("nar/").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_ends_at_once_when_there_is_no_memory_for_answers() {
    const PATHS: usize = 900;
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let root = wide(&cache, "wide", PATHS, 300);
    // For one `Caches` half of it, which is as much as some 15 of these narinfos take.
    let memory = CacheMemory::new(1 << 20);
    let caches = Caches::new_within(
        &memory,
        StoreDir::default(),
        [cache.url().parse().unwrap()],
        PublicKeys::from_iter([key("test").public_key()]),
        Limits::default(),
    );
    let caches = Arc::new(caches.unwrap());
    let store = open(folder.path());
    let error = realise(&store, std::slice::from_ref(&root), &caches).await;
    let error = error.unwrap_err();
    let RealiseError::Unavailable(ClosureError::Unavailable(paths)) = &*error else {
        panic!("{error}");
    };
    assert!(paths.iter().any(Unavailable::is_for_memory), "{error}");
    assert_eq!(error.outlook(), Outlook::Passes);
    // Those that were being looked up when memory ran out, and no others.
    let asked = cache.requests("").len();
    assert!(asked < PATHS / 3, "{asked} of {PATHS} were asked for");
    assert!(memory.used() <= 512 << 10, "{}", memory.used());
}

/// Runs itself in a process of its own, whose memory is measured.
#[test]
#[ignore = "takes half a minute of a processor"]
fn volumes_with_wrong_digests_take_bounded_memory() {
    const CACHE: &str = "NIPHAS_TEST_CACHE";
    const PATHS: u64 = 5000;
    const VOLUMES: u64 = 250;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(cache) = std::env::var_os(CACHE) {
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let (store, caches) = (open(folder.path()), folder_client(Path::new(&cache)));
            let root = support::store_path("", &format!("path-{}", PATHS - 1));
            let asked: Vec<_> = (0..VOLUMES)
                .map(|number| {
                    let mut request = request(std::slice::from_ref(&root), &caches);
                    request.expected = Some(format!("sha256:{number:064x}").parse().unwrap());
                    request.terms.limits.realisations = 8;
                    store.realise(request)
                })
                .collect();
            for realisation in asked {
                let error = realisation.wait().await.unwrap_err();
                assert!(matches!(&*error, RealiseError::Digest { .. }), "{error}");
            }
            assert_eq!(store.paths().len(), 0);
        });
        let peak = niphas_testing::memory::peak("self").unwrap();
        println!("at most {} MiB", peak >> 20);
        assert!(peak < 256 << 20, "{peak} bytes");
        return;
    }
    let cache = runtime.block_on(Cache::start());
    let mut paths: Vec<StorePath> = Vec::new();
    for number in 0..PATHS {
        let references = &paths[paths.len().saturating_sub(30)..];
        let path = cache.add(
            &format!("path-{number}"),
            &file(number.to_string()),
            references,
        );
        paths.push(path);
    }
    let folder = cache.copied();
    let name = "volumes_with_wrong_digests_take_bounded_memory";
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(CACHE, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_collected_for_fetches_is_told() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let old = cache.add("old", &file(noise(1, 300_000)), &[]);
    let new = cache.add("new", &file(noise(2, 300_000)), &[]);
    let store = open(folder.path());
    realise(&store, &[old], &cache.client()).await.unwrap();
    drop(store);
    let options = Options {
        // More than any disk has: all that is unused goes, and it is not enough.
        keep_free: Some(KeepFree::Level(Watermark::Bytes(1 << 60))),
        ..Options::default()
    };
    let store = Store::open(folder.path(), options).unwrap();
    assert_eq!(store.collected_for_fetches(), Collected::default());
    let error = realise(&store, &[new], &cache.client()).await.unwrap_err();
    assert!(matches!(&*error, RealiseError::NoSpace { .. }), "{error}");
    let collected = store.collected_for_fetches();
    let expected = Collected {
        runs: 1,
        failed: 0,
        paths: 1,
        freed: collected.freed,
    };
    assert_eq!(collected, expected);
    assert!(collected.freed > 300_000, "{collected:?}");
    assert_eq!(store.collected_for_fetches(), Collected::default());
}

/// A tmpfs of this many MiB, until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(mib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mount = ["-t", "tmpfs", "-o", &size, "small"];
        let mounted = std::process::Command::new("mount")
            .args(mount)
            .arg(folder.path())
            .status();
        assert!(mounted.unwrap().success());
        Self(folder)
    }

    fn store(&self, keep_free: u64) -> Store {
        let options = Options {
            keep_free: Some(KeepFree::Level(Watermark::Bytes(keep_free << 20))),
            ..Options::default()
        };
        Store::open(&self.0.path().join("store"), options).unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts, so it needs root"]
async fn garbage_goes_for_what_is_fetched_and_a_reserve_stays() {
    let cache = Cache::start().await;
    let disk = SmallDisk::new(64);
    let (store, caches) = (disk.store(4), cache.client());
    let add = |name: &str, mib: usize, seed| cache.add(name, &file(noise(seed, mib << 20)), &[]);
    let (old, older) = (add("old", 15, 1), add("older", 15, 2));
    let (new, larger) = (add("new", 40, 3), add("larger", 25, 4));
    for path in [&older, &old] {
        realise(&store, std::slice::from_ref(path), &caches)
            .await
            .unwrap();
    }
    // 30 of 64 MiB are unused: 40 more fit only without them.
    let kept = realised(&store, &new, &caches).await;
    assert!(pack_bytes(&disk.0.path().join("store")) < 60 << 20);
    let before = cache.requests("nar/").values().sum::<usize>();
    let error = realise(&store, std::slice::from_ref(&larger), &caches)
        .await
        .unwrap_err();
    let RealiseError::NoSpace {
        needed, reserve, ..
    } = &*error
    else {
        panic!("{error}");
    };
    assert!(*needed > 25 << 20 && *reserve == 4 << 20, "{error}");
    assert_eq!(error.outlook(), Outlook::Passes);
    assert!(
        !nix_formats::chain(&*error).contains("niphas-store"),
        "{error}"
    );
    assert_eq!(cache.requests("nar/").values().sum::<usize>(), before);
    drop(kept);
    realised(&store, &larger, &caches).await;
    assert_eq!(store.variants(&new).len(), 0);
}
