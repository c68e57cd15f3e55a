//! Realising closures, and reading them back in every way.

mod support;

use std::collections::BTreeSet;

use binary_cache::ClosureError;
use niphas_api::ClosureDigest;
use niphas_store::generated::add_path_with;
use niphas_store::{Node, Options, RealiseError, Store};
use nix_formats::narinfo::MAX_REFERENCES;
use nix_formats::{NarInfo, StoreDir, StorePath};
use proptest::prelude::*;

use support::{
    Cache, Fault, arbitrary_tree, client, directory, executable, file, key, names, noise, open,
    pack_bytes, read_back, realise, realised, rebuilt, request, store_path, symlink,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_is_fetched_once_and_read_back_as_it_was() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let library = directory([("lib", directory([("a.so", file(noise(1, 5000)))]))]);
    let program = directory([
        ("bin", directory([("tool", executable("#!/bin/sh\n"))])),
        ("empty", file("")),
        ("link", symlink("bin/tool")),
    ]);
    let library_path = cache.add("library", &library, &[]);
    let root = cache.add("program", &program, std::slice::from_ref(&library_path));
    let (store, caches) = (open(folder.path()), cache.client());

    let realisation = store.realise(request(std::slice::from_ref(&root), &caches));
    let closure = realisation.wait().await.unwrap();
    assert_eq!(closure.lines.path_count(), 2);
    assert_eq!(closure.digest, closure.lines.digest());
    let progress = realisation.progress();
    assert_eq!((progress.paths_done, progress.paths_total), (2, 2));
    assert_eq!(progress.fetched_paths, 2);
    assert_eq!(progress.fetched_bytes, closure.lines.nar_size());

    for (path, tree) in [(&root, &program), (&library_path, &library)] {
        let stored = store.info(path).unwrap();
        let mut nar = Vec::new();
        store.write_nar(&stored, &mut nar).unwrap();
        assert_eq!(&read_back(&nar), tree);
    }
    let stored = store.info(&root).unwrap();
    let mut contents = Vec::new();
    store
        .read_file(&stored, b"bin/tool", &mut contents)
        .unwrap();
    assert_eq!(contents, b"#!/bin/sh\n");
    let tree = store.tree(&stored).unwrap();
    assert_eq!(
        tree.find(b"link").unwrap(),
        Some(Node::Symlink(b"bin/tool".to_vec()))
    );
    for (name, expected) in [
        (
            "link",
            "'link' of store path 'PATH' is a symlink, not a regular file",
        ),
        (
            "bin",
            "'bin' of store path 'PATH' is a directory, not a regular file",
        ),
        ("bin/none", "store path 'PATH' has no 'bin/none'"),
    ] {
        let error = store
            .read_file(&stored, name.as_bytes(), &mut contents)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            expected.replace("PATH", root.base_name())
        );
    }
    // Nothing is asked for again, by this process or the next.
    drop((closure, realisation));
    realised(&store, &root, &caches).await;
    drop(store);
    let store = open(folder.path());
    cache.fail_all(&Fault::Status(500));
    let realisation = store.realise(request(std::slice::from_ref(&root), &cache.client()));
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 0);
    assert_eq!(cache.requests("nar/").values().sum::<usize>(), 2);
    assert_eq!(names(folder.path(), "tmp"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_pack_holds_is_not_written_again() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let (small, large) = (noise(1, 300_000), noise(2, 5_000_000));
    let one = directory([
        ("small", file(small.clone())),
        ("large", file(large.clone())),
    ]);
    let other = directory([
        ("large-too", file(large.clone())),
        ("new", file(noise(3, 100_000))),
        ("small-too", executable(small.clone())),
        ("twice", file(noise(3, 100_000))),
    ]);
    let (one_path, other_path) = (cache.add("one", &one, &[]), cache.add("other", &other, &[]));
    let (store, caches) = (open(folder.path()), cache.client());
    realised(&store, &one_path, &caches).await;
    let before = pack_bytes(folder.path());
    realised(&store, &other_path, &caches).await;
    let added = pack_bytes(folder.path()) - before;
    assert!(added < 110_000, "{added} bytes more");
    let usage = store
        .disk_usage(&[one_path.into(), other_path.clone().into()])
        .unwrap();
    assert_eq!(usage.stored_bytes, 5_400_000);
    assert_eq!(usage.closures[0].shared_bytes, 5_300_000);
    assert_eq!(usage.closures[1].shared_bytes, 5_300_000);
    assert_eq!(usage.closures[1].stored_bytes, 5_400_000);
    assert_eq!(
        rebuilt(&store, &other_path),
        store.info(&other_path).unwrap().info.nar_hash
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn closures_that_differ_in_one_library_share_the_rest_on_disk() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let libc = cache.add("libc", &file(noise(1, 8_000_000)), &[]);
    // Linked with another library the program is another path, though all but one of its files are the same.
    let program = |number: u64| {
        let library = file(noise(10 + number, 1_000_000));
        let library = cache.add(&format!("ssl-{number}"), &library, &[]);
        let tree = directory([
            ("bin", executable(noise(2, 2_000_000))),
            ("share", directory([("data", file(noise(3, 3_000_000)))])),
            ("uses", file(library.base_name())),
        ]);
        cache.add(
            &format!("program-{number}"),
            &tree,
            &[libc.clone(), library],
        )
    };
    let (old, new) = (program(1), program(2));
    let (store, caches) = (open(folder.path()), cache.client());
    realised(&store, &old, &caches).await;
    let before = pack_bytes(folder.path());
    assert!((14_000_000..14_100_000).contains(&before), "{before}");
    realised(&store, &new, &caches).await;
    let added = pack_bytes(folder.path()) - before;
    assert!((1_000_000..1_030_000).contains(&added), "{added}");
    let usage = store.disk_usage(&[old.into(), new.into()]).unwrap();
    for closure in &usage.closures {
        assert_eq!(closure.shared_bytes, 13_000_000);
        assert!((14_000_000..14_000_100).contains(&closure.stored_bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_zeros_take_no_space() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let mut contents = vec![0; 64 << 20];
    contents[40 << 20] = 1;
    let path = cache.add("sparse", &file(contents), &[]);
    let store = open(folder.path());
    realised(&store, &path, &cache.client()).await;
    assert!(pack_bytes(folder.path()) < 1 << 20);
    assert_eq!(
        rebuilt(&store, &path),
        store.info(&path).unwrap().info.nar_hash
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_realisations_of_overlapping_closures_fetch_each_path_once() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let mut paths = Vec::new();
    for number in 0..60_u64 {
        // Each needs the three before it.
        let references = &paths[paths.len().saturating_sub(3)..];
        let tree = directory([("data", file(noise(number, 20_000)))]);
        let path = cache.add(&format!("path-{number}"), &tree, references);
        paths.push(path);
    }
    let (store, caches) = (open(folder.path()), cache.client());
    // Others have another client, and so another view of the same cache.
    let others = cache.client();
    let realisations: Vec<_> = (0..50)
        .map(|number| {
            let caches = if number % 2 == 0 { &caches } else { &others };
            store.realise(request(&paths[9 + number..=9 + number], caches))
        })
        .collect();
    for realisation in realisations {
        realisation.wait().await.unwrap();
    }
    let narinfos = cache.requests("");
    let narinfos = narinfos
        .iter()
        .filter(|(name, _)| name.ends_with(".narinfo"));
    // Each client asks for itself, and once.
    assert!(narinfos.clone().count() == 59 && narinfos.clone().all(|(_, &count)| count <= 2));
    let requests = cache.requests("nar/");
    assert_eq!(requests.len(), 59);
    assert!(requests.values().all(|&count| count == 1), "{requests:?}");
    assert_eq!(store.paths().len(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_joins_the_one_that_goes_on() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let path = cache.add("slow", &file("slow"), &[]);
    let info = format!("{}.narinfo", path.hash_part());
    cache.fault(&info, Fault::Delay(std::time::Duration::from_millis(200)));
    let (store, caches) = (open(folder.path()), cache.client());
    let first = store.realise(request(std::slice::from_ref(&path), &caches));
    let second = store.realise(request(std::slice::from_ref(&path), &caches));
    drop(first);
    second.wait().await.unwrap();
    assert_eq!(cache.requests(&info).values().sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_with_another_digest_is_refused() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let path = cache.add("web", &file("one"), &[]);
    let (store, caches) = (open(folder.path()), cache.client());
    let mut wanted = request(std::slice::from_ref(&path), &caches);
    let expected: ClosureDigest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    wanted.expected = Some(expected);
    let error = store.realise(wanted.clone()).wait().await.unwrap_err();
    let RealiseError::Digest { actual, .. } = &*error else {
        panic!("{error}");
    };
    wanted.expected = Some(*actual);
    store.realise(wanted).wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_that_the_digest_names_is_taken_though_another_is_stored() {
    let (first, second) = (Cache::start().await, Cache::start().await);
    let folder = tempfile::tempdir().unwrap();
    let path = first.add("web", &file("one build"), &[]);
    second.add("web", &file("another build"), &[]);
    let (store, other) = (open(folder.path()), tempfile::tempdir().unwrap());
    realised(&store, &path, &first.client()).await;
    let wanted = {
        let store = open(other.path());
        let closure = realised(&store, &path, &second.client()).await;
        closure.digest
    };
    let mut request = request(std::slice::from_ref(&path), &second.client());
    request.expected = Some(wanted);
    let closure = store.realise(request).wait().await.unwrap();
    assert_eq!(closure.digest, wanted);
    assert_eq!(store.variants(&path).len(), 2);
    let image = store.image(&closure).unwrap();
    assert_eq!(image.devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_policy_admitted_another_refuses() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let path = store_path("", "web");
    let tree = file("web");
    cache.add_nar(&path, &tree.nar(), &[], &[&key("one")]);
    let store = open(folder.path());
    let one = client(&[&cache], &["one"], 1);
    realised(&store, &path, &one).await;

    let two = client(&[&cache], &["two"], 1);
    let error = realise(&store, std::slice::from_ref(&path), &two)
        .await
        .unwrap_err();
    assert!(
        nix_formats::chain(&*error).contains("signed only by keys that are not trusted: one"),
        "{error}"
    );

    // Two of two is more than one of them says.
    let both = client(&[&cache], &["one", "two"], 2);
    assert!(
        realise(&store, std::slice::from_ref(&path), &both)
            .await
            .is_err()
    );

    // Another cache has the same, signed by the other: that is kept, and nothing is fetched.
    let other = Cache::start().await;
    other.add_nar(&path, &tree.nar(), &[], &[&key("two")]);
    let two = client(&[&other], &["two"], 1);
    realised(&store, &path, &two).await;
    assert!(other.requests("nar/").is_empty());
    assert_eq!(store.variants(&path).len(), 1);
    drop(store);

    // By now both are known to have signed, for the next process too, whether or not there are caches.
    cache.fail_all(&Fault::Status(503));
    other.fail_all(&Fault::Status(503));
    let store = open(folder.path());
    let both = client(&[&cache, &other], &["one", "two"], 2);
    realised(&store, &path, &both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_contents_with_other_references_are_another_path() {
    let (cache, other) = (Cache::start().await, Cache::start().await);
    let folder = tempfile::tempdir().unwrap();
    let needed = other.add("needed", &file("needed"), &[]);
    let path = store_path("", "web");
    let nar = file(noise(7, 100_000)).nar();
    // One tenant's cache leaves a reference out. That must not become the other tenant's closure.
    cache.add_nar(&path, &nar, &[], &[&key("one")]);
    other.add_nar(&path, &nar, std::slice::from_ref(&needed), &[&key("test")]);
    let store = open(folder.path());
    let one = client(&[&cache], &["one"], 1);
    let closure = realised(&store, &path, &one).await;
    assert_eq!(closure.lines.path_count(), 1);
    let before = pack_bytes(folder.path());
    let closure = realised(&store, &path, &other.client()).await;
    assert_eq!(closure.lines.path_count(), 2);
    assert!(pack_bytes(folder.path()) - before < 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_writes_and_others_read() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let path = cache.add("web", &file("web"), &[]);
    let store = open(folder.path());
    let closure = realised(&store, &path, &cache.client()).await;
    let error = Store::open(folder.path(), Options::default()).unwrap_err();
    let expected = format!(
        "the store '{}' is in use by pid {}; one process at a time may write to it",
        folder.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    let reader = Store::open_read_only(folder.path(), Options::default()).unwrap();
    assert_eq!(reader.paths().len(), 1);
    let error = realise(&reader, std::slice::from_ref(&path), &cache.client())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("is open for reading only"),
        "{error}"
    );
    let image = store.image(&closure).unwrap();
    assert_eq!(
        reader
            .image(&reader.stored_closure(&path.into()).unwrap())
            .unwrap(),
        image
    );
    let empty = tempfile::tempdir().unwrap();
    let error = Store::open_read_only(empty.path(), Options::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("there is no store in"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back_as_they_were(trees in proptest::collection::vec(arbitrary_tree(), 1..4)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let cache = Cache::start().await;
            let store = open(folder.path());
            for (number, tree) in trees.iter().enumerate() {
                let path = cache.add(&format!("tree-{number}"), tree, &[]);
                realise(&store, &[path], &cache.client()).await.unwrap();
            }
        });
        // What the next process finds.
        let store = open(folder.path());
        for (number, tree) in trees.iter().enumerate() {
            let stored = store.info(&store_path("", &format!("tree-{number}"))).unwrap();
            let mut nar = Vec::new();
            store.write_nar(&stored, &mut nar).unwrap();
            assert_eq!(&read_back(&nar), tree);
        }
        assert_eq!(store.paths().len(), trees.len());
    }
}

/// Stores have paths of a time when caches could say more of one.
#[tokio::test(flavor = "multi_thread")]
async fn paths_with_more_references_than_are_accepted_now_stay() {
    const REFERENCES: usize = 29_500;
    const { assert!(REFERENCES > MAX_REFERENCES) };
    let folder = tempfile::tempdir().unwrap();
    let references: BTreeSet<StorePath> = (0..REFERENCES)
        .map(|number| StorePath::from_base_name(format!("{number:032}-a")).unwrap())
        .collect();
    let add = |store: &Store, number, files| {
        let change = |info: &mut NarInfo| {
            info.references.clone_from(&references);
            info.sign(&StoreDir::default(), &key("test"));
        };
        add_path_with(store, number, files, files, change).unwrap()
    };
    let store = open(folder.path());
    // One with a pack of its own, and one in a common pack.
    let paths = [add(&store, 0, 5000), add(&store, 1, 3)].map(|stored| stored.path().clone());
    store.close().await.unwrap();
    for is_indexed in [true, false] {
        if !is_indexed {
            std::fs::remove_dir_all(folder.path().join("index")).unwrap();
        }
        let store = open(folder.path());
        for path in &paths {
            let stored = store.info(path).unwrap();
            assert_eq!(stored.info.references, references);
        }
        // No cache is there. They are taken as they are, and what they refer to is missing.
        let error = realise(&store, &paths, &client(&[], &["test"], 1)).await;
        let error = error.unwrap_err();
        let RealiseError::Unavailable(ClosureError::Unavailable(missing)) = &*error else {
            panic!("{error}");
        };
        assert!(missing.iter().all(|path| path.needed_by.is_some()));
        store.close().await.unwrap();
    }
}
