//! Garbage collection, roots, and what is left on disk.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use binary_cache::Caches;
use niphas_store::{GcOptions, RootHold, RootName, Store, Watermark};
use nix_formats::StorePath;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use support::{
    Cache, Tree, directory, file, names, noise, open, pack_bytes, packs_without_path, realise,
    realised, rebuilt,
};

fn hold(store: &Store, name: &str, roots: &[StorePath]) {
    let hold = RootHold {
        roots: roots.to_vec().try_into().unwrap(),
        digest: None,
        holder: "test".to_owned(),
    };
    store.add_root(&name.parse().unwrap(), &hold).unwrap();
}

fn name(text: &str) -> RootName {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_root_holds_goes_and_leaves_nothing() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let needed = cache.add("needed", &file(noise(1, 100_000)), &[]);
    let kept = cache.add(
        "kept",
        &file(noise(2, 100_000)),
        std::slice::from_ref(&needed),
    );
    let gone = cache.add(
        "gone",
        &file(noise(3, 100_000)),
        std::slice::from_ref(&needed),
    );
    let store = open(folder.path());
    let caches = cache.client();
    let first = realised(&store, &kept, &caches).await;
    let second = realised(&store, &gone, &caches).await;
    store.image(&first).unwrap();
    let image = store.image(&second).unwrap();
    hold(&store, "kept", std::slice::from_ref(&kept));

    // Each holder of the closure keeps it.
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(
        (report.collected, report.rooted, report.spared),
        (vec![], 2, 1)
    );
    drop((first, second));
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected, [gone]);
    assert!(report.freed > 100_000, "{report:?}");
    assert!(!image.file.exists());
    assert_eq!(names(folder.path(), "closures").len(), 1);

    store.remove_root(&name("kept")).unwrap();
    store.remove_root(&name("never-there")).unwrap();
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected.len(), 2);
    for part in ["packs", "closures", "roots", "signatures", "tmp"] {
        assert_eq!(names(folder.path(), part), Vec::<String>::new(), "{part}");
    }
}

/// Their contents are in one pack, which gets holes.
#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_one_small_path_of_many_comes_back() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let paths: Vec<StorePath> = (0..70)
        .map(|number| cache.add(&format!("path-{number}"), &file(noise(number, 20_000)), &[]))
        .collect();
    let (store, caches) = (open(dir), cache.client());
    realise(&store, &paths, &caches).await.unwrap();
    assert_eq!(packs_without_path(dir).len(), 2);
    let before = pack_bytes(dir);
    let kept = [paths[3].clone(), paths[69].clone()];
    hold(&store, "kept", &kept);
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected.len(), 68);
    let left = pack_bytes(dir);
    assert!(left < 2 * 36_000, "{left} of {before}");
    assert!(
        report.freed >= before - left,
        "{report:?}, {left} of {before}"
    );
    for path in &kept {
        let info = store.info(path).unwrap().info;
        assert_eq!(rebuilt(&store, path), info.nar_hash);
    }
    realise(&store, &paths, &caches).await.unwrap();
    assert!(packs_without_path(dir).len() >= 3);
    for path in &paths {
        let info = store.info(path).unwrap().info;
        assert_eq!(rebuilt(&store, path), info.nar_hash);
    }
    store.remove_root(&name("kept")).unwrap();
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(names(dir, "packs"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_refer_to_outlive_their_path() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let common = noise(1, 400_000);
    let first = directory([
        ("common", file(common.clone())),
        ("own", file(noise(2, 3_000_000))),
    ]);
    let second = directory([
        ("common", file(common.clone())),
        ("own", file(noise(3, 10_000))),
    ]);
    let (first, second) = (
        cache.add("first", &first, &[]),
        cache.add("second", &second, &[]),
    );
    let (store, caches) = (open(folder.path()), cache.client());
    realised(&store, &first, &caches).await;
    realised(&store, &second, &caches).await;
    hold(&store, "second", std::slice::from_ref(&second));
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected, std::slice::from_ref(&first));
    assert!(store.info(&first).is_none());
    // The rest of its pack is a hole now.
    assert!(
        pack_bytes(folder.path()) < 430_000,
        "{}",
        pack_bytes(folder.path())
    );
    assert_eq!(
        rebuilt(&store, &second),
        store.info(&second).unwrap().info.nar_hash
    );
    drop(store);

    // After a restart too; and it is still referred to by what comes.
    let store = open(folder.path());
    assert_eq!(
        rebuilt(&store, &second),
        store.info(&second).unwrap().info.nar_hash
    );
    let third = cache.add("third", &file(common), &[]);
    realised(&store, &third, &caches).await;
    assert!(pack_bytes(folder.path()) < 440_000);
    let closure = realised(&store, &third, &caches).await;
    let image = store.image(&closure).unwrap();
    assert_eq!(image.devices.len(), 1);
    drop(closure);

    store.remove_root(&name("second")).unwrap();
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(names(folder.path(), "packs"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_image_stays_when_others_realise_the_same_closure() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let image = |root: StorePath, caches: Arc<Caches>| {
        let store = store.clone();
        tokio::spawn(async move {
            let closure = realise(&store, &[root], &caches).await.unwrap();
            tokio::task::spawn_blocking(move || {
                let image = store.image(&closure).unwrap();
                assert!(image.file.exists());
                closure
            })
            .await
            .unwrap()
        })
    };
    for number in 0..200 {
        let name = format!("root-{number}");
        let root = cache.add(&name, &file(noise(number, 1000)), &[]);
        // Requests with clients of their own do not join.
        let all = [(); 4].map(|()| image(root.clone(), cache.client()));
        for closure in futures::future::join_all(all).await {
            let closure = closure.unwrap();
            assert!(store.image(&closure).unwrap().file.exists());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_that_is_held_finds_the_packs_it_refers_to_where_they_were() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let first = cache.add("first", &file(noise(1, 300_000)), &[]);
    let second = cache.add(
        "second",
        &directory([("copy", file(noise(1, 300_000)))]),
        &[],
    );
    let (store, caches) = (open(folder.path()), cache.client());
    realised(&store, &first, &caches).await;
    let closure = realised(&store, &second, &caches).await;
    let image = store.image(&closure).unwrap();
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert!(image.devices.iter().all(|device| device.exists()));
    drop(closure);
    hold(&store, "second", std::slice::from_ref(&second));
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected, [first]);
    let closure = realised(&store, &second, &caches).await;
    let image = store.image(&closure).unwrap();
    assert!(image.devices.iter().all(|device| device.exists()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watermark_spares_what_was_used_last() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let (store, caches) = (open(folder.path()), cache.client());
    let mut paths = Vec::new();
    for number in 0..4_u64 {
        let path = cache.add(
            &format!("path-{number}"),
            &file(noise(number, 1 << 20)),
            &[],
        );
        realised(&store, &path, &caches).await;
        paths.push(path);
    }
    let options = GcOptions {
        above: Some(Watermark::Bytes(5 << 20)),
        down_to: Some(Watermark::Bytes(5 << 19)),
        ..GcOptions::default()
    };
    assert_eq!(store.collect_garbage(&options).unwrap().collected, []);
    let options = GcOptions {
        above: Some(Watermark::Bytes(4 << 20)),
        dry_run: true,
        ..options
    };
    assert_eq!(
        store.collect_garbage(&options).unwrap().collected,
        paths[..2]
    );
    assert_eq!(store.paths().len(), 4);
    let options = GcOptions {
        dry_run: false,
        ..options
    };
    assert_eq!(
        store.collect_garbage(&options).unwrap().collected,
        paths[..2]
    );
    let all = GcOptions {
        above: Some(Watermark::Percent(100)),
        ..GcOptions::default()
    };
    assert_eq!(store.collect_garbage(&all).unwrap().collected, []);
    let cancelled = GcOptions {
        cancel: CancellationToken::new(),
        ..GcOptions::default()
    };
    cancelled.cancel.cancel();
    let report = store.collect_garbage(&cancelled).unwrap();
    assert!(report.is_cancelled && report.collected.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_root_stops_the_collection() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let path = cache.add("web", &file("web"), &[]);
    let store = open(folder.path());
    realised(&store, &path, &cache.client()).await;
    std::fs::write(folder.path().join("roots/web"), "").unwrap();
    let error = store.collect_garbage(&GcOptions::default()).unwrap_err();
    assert!(
        nix_formats::chain(&error).contains("as long as it is there, nothing is collected"),
        "{error}"
    );
    assert_eq!(store.paths().len(), 1);
    let missing = RootHold {
        roots: support::store_path("", "missing").into(),
        digest: None,
        holder: String::new(),
    };
    let error = store.add_root(&name("missing"), &missing).unwrap_err();
    assert!(
        error.to_string().ends_with("-missing' is not in the store"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_can_be_there_before_its_closure() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let needed = cache.add("needed", &file("needed"), &[]);
    let path = cache.add("web", &file("web"), std::slice::from_ref(&needed));
    let store = open(folder.path());
    let early = RootHold {
        roots: path.clone().into(),
        digest: None,
        holder: "test".to_owned(),
    };
    store.reserve_root(&name("early"), &early).unwrap();
    assert_eq!(store.roots().unwrap(), [(name("early"), early)]);
    realise(&store, &[path], &cache.client()).await.unwrap();
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!((report.collected, report.rooted), (vec![], 2));
    store.remove_root(&name("early")).unwrap();
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_beside_realisations_takes_nothing_from_them() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let mut paths = Vec::new();
    for number in 0..40_u64 {
        // Everything has something in common with everything.
        let tree = directory([
            ("common", file(noise(number % 4, 30_000))),
            ("own", file(noise(1000 + number, 10_000))),
        ]);
        let references = &paths[paths.len().saturating_sub(2)..];
        let path = cache.add(&format!("path-{number}"), &tree, references);
        paths.push(path);
    }
    let (store, caches) = (open(folder.path()), cache.client());
    let stop = CancellationToken::new();
    let collector = {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::task::spawn_blocking(move || {
            while !stop.is_cancelled() {
                store.collect_garbage(&GcOptions::default()).unwrap();
            }
        })
    };
    let mut users = Vec::new();
    for user in 0..6 {
        let (store, caches, paths) = (store.clone(), caches.clone(), paths.clone());
        users.push(tokio::spawn(async move {
            for turn in 0..15 {
                let root = &paths[(user * 7 + turn * 3) % paths.len()];
                let closure = realise(&store, std::slice::from_ref(root), &caches)
                    .await
                    .unwrap();
                let image = store.image(&closure).unwrap();
                assert!(image.devices.iter().all(|device| device.exists()));
                for line in closure.lines.as_slice() {
                    assert_eq!(rebuilt(&store, &line.path), line.nar_hash);
                }
                let root_name = format!("user-{user}");
                hold(&store, &root_name, std::slice::from_ref(root));
                drop(closure);
                tokio::task::yield_now().await;
                // The root alone holds it now.
                for root in store.roots().unwrap() {
                    if root.0 == name(&root_name) {
                        assert!(store.info(root.1.roots.first()).is_some());
                    }
                }
            }
            store.remove_root(&name(&format!("user-{user}"))).unwrap();
        }));
    }
    for user in users {
        user.await.unwrap();
    }
    stop.cancel();
    collector.await.unwrap();
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(names(folder.path(), "packs"), Vec::<String>::new());
    assert_eq!(names(folder.path(), "closures"), Vec::<String>::new());
}

/// What may be done with a store.
#[derive(Debug, Clone)]
enum Step {
    Realise(usize),
    Root(usize),
    Unroot(usize),
    Collect,
    CollectDownTo(u64),
    Reopen,
}

const PATHS: usize = 12;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..PATHS).prop_map(Step::Realise),
        3 => (0..PATHS).prop_map(Step::Root),
        2 => (0..PATHS).prop_map(Step::Unroot),
        2 => Just(Step::Collect),
        1 => (0_u64..600_000).prop_map(Step::CollectDownTo),
        1 => Just(Step::Reopen),
    ]
}

/// The paths' trees have files in common, and refer to some of those before.
fn tree(number: usize) -> Tree {
    directory([
        ("a", file(noise(number as u64 % 3, 20_000))),
        ("b", file(noise(10 + number as u64 % 5, 9_000))),
        ("own", file(noise(100 + number as u64, 5_000))),
    ])
}

fn references(number: usize) -> impl Iterator<Item = usize> {
    let both = (number >= 4).then(|| [number - 4, number / 2]);
    both.into_iter().flatten()
}

fn closure(number: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::from([number]);
    all.extend(references(number).flat_map(closure));
    all
}

/// What `roots` hold of the paths that are there: a collection down to a size may have left a path without its references, and
/// what those refer to is then not known.
fn live(roots: &BTreeSet<usize>, present: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut live = BTreeSet::new();
    let mut left: Vec<usize> = roots.iter().copied().collect();
    while let Some(number) = left.pop() {
        if present.contains(&number) && live.insert(number) {
            left.extend(references(number));
        }
    }
    live
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_does_what_its_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
            let mut paths: Vec<StorePath> = Vec::new();
            for number in 0..PATHS {
                let references: Vec<_> = references(number).map(|to| paths[to].clone()).collect();
                paths.push(cache.add(&format!("path-{number}"), &tree(number), &references));
            }
            let caches = cache.client();
            let mut store = open(folder.path());
            let mut present: BTreeSet<usize> = BTreeSet::new();
            let mut roots: BTreeSet<usize> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Realise(number) => {
                        realise(&store, &paths[number..=number], &caches).await.unwrap();
                        present.extend(closure(number));
                    }
                    Step::Root(number) if present.contains(&number) => {
                        hold(&store, &format!("root-{number}"), &paths[number..=number]);
                        roots.insert(number);
                    }
                    Step::Root(_) => {}
                    Step::Unroot(number) => {
                        store.remove_root(&name(&format!("root-{number}"))).unwrap();
                        roots.remove(&number);
                    }
                    Step::Collect => {
                        store.collect_garbage(&GcOptions::default()).unwrap();
                        let live = live(&roots, &present);
                        present.retain(|number| live.contains(number));
                    }
                    Step::CollectDownTo(bytes) => {
                        let down_to = Some(Watermark::Bytes(bytes));
                        let options = GcOptions { down_to, ..GcOptions::default() };
                        let report = store.collect_garbage(&options).unwrap();
                        let live = live(&roots, &present);
                        let number = |path| paths.iter().position(|other| *other == path).unwrap();
                        for gone in report.collected.into_iter().map(number) {
                            assert!(!live.contains(&gone));
                            assert!(present.remove(&gone));
                        }
                    }
                    Step::Reopen => {
                        drop(store);
                        store = open(folder.path());
                    }
                }
                let stored: Vec<StorePath> = store.paths().iter().map(|p| p.path().clone()).collect();
                let mut expected: Vec<StorePath> = present.iter().map(|&n| paths[n].clone()).collect();
                expected.sort();
                assert_eq!(stored, expected);
                for path in store.paths() {
                    assert_eq!(rebuilt(&store, path.path()), path.info.nar_hash);
                }
            }
            for number in 0..PATHS {
                store.remove_root(&name(&format!("root-{number}"))).unwrap();
            }
            store.collect_garbage(&GcOptions::default()).unwrap();
            assert_eq!(names(folder.path(), "packs"), Vec::<String>::new());
        });
    }
}
