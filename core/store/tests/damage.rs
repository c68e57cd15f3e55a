//! Power cuts, rot and other damage: nothing wrong is given to anybody, and it is mended.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use niphas_store::generated::add_path;
use niphas_store::{OpenError, Options, Store, StoreError};
use nix_formats::StorePath;
use proptest::prelude::*;

use support::{
    Cache, Fault, Tree, client, directory, executable, file, names, noise, open,
    packs_without_path, realise, realised, rebuilt,
};

/// The pack of a path.
fn pack(dir: &Path, path: &StorePath) -> PathBuf {
    let name = names(dir, "packs")
        .into_iter()
        .find(|name| name.ends_with(path.base_name()));
    dir.join("packs").join(name.unwrap())
}

fn is_on_disk(dir: &Path, path: &StorePath) -> bool {
    is_marked(&pack(dir, path))
}

fn is_marked(pack: &Path) -> bool {
    let metadata = fs::metadata(pack).unwrap();
    metadata.permissions().mode() & 0o777 == 0o444
}

/// Changes a byte of a file, whatever its mode.
fn damage(path: &Path, offset: u64) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

/// What a store finds that was not closed when the power went.
fn cut_power(dir: &Path) {
    let state = dir.join("state");
    let text = fs::read_to_string(&state).unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot_id.trim()));
    fs::write(&state, text.replace(boot_id.trim(), "another life")).unwrap();
}

/// Too large for the pack of small paths.
fn tree(number: u64) -> Tree {
    directory([
        ("common", file(noise(0, 300_000))),
        ("own", executable(noise(1 + number, 30_000))),
    ])
}

fn small_tree(number: u64) -> Tree {
    directory([
        ("common", file(noise(0, 5_000))),
        ("own", executable(noise(1 + number, 3_000))),
    ])
}

/// Those are written to disk all at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_packs_are_all_on_disk_in_the_end() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let (mut large, mut paths) = (Vec::new(), Vec::new());
    for number in 0..20 {
        large.push(cache.add(&format!("large-{number}"), &tree(number), &[]));
        paths.push(cache.add(&format!("small-{number}"), &small_tree(number), &[]));
    }
    paths.extend_from_slice(&large);
    let store = open(dir);
    realise(&store, &paths, &cache.client()).await.unwrap();
    assert!(large.iter().all(|path| !is_on_disk(dir, path)));
    store.close().await.unwrap();
    assert!(large.iter().all(|path| is_on_disk(dir, path)));
    let in_common = packs_without_path(dir);
    assert_eq!(in_common.len(), 1);
    assert!(is_marked(&in_common[0]));
    cut_power(dir);
    let store = open(dir);
    cache.fail_all(&Fault::Status(500));
    realise(&store, &paths, &cache.client()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_until_everything_is_on_disk() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let path = cache.add("web", &tree(1), &[]);
    let store = open(dir);
    realised(&store, &path, &cache.client()).await;
    assert!(!is_on_disk(dir, &path));
    store.close().await.unwrap();
    assert!(is_on_disk(dir, &path));
    cut_power(dir);
    // It is believed without being read: what is changed behind the store's back only `verify` finds.
    damage(&pack(dir, &path), 600);
    let store = open(dir);
    cache.fail_all(&Fault::Status(500));
    realised(&store, &path, &cache.client()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_power_cut_took_is_fetched_again_and_the_rest_is_not() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let first = cache.add("first", &tree(1), &[]);
    let second = cache.add("second", &tree(2), std::slice::from_ref(&first));
    let third = cache.add(
        "third",
        &file(noise(9, 5000)),
        std::slice::from_ref(&second),
    );
    let (store, caches) = (open(dir), cache.client());
    for path in [&first, &second, &third] {
        realise(&store, std::slice::from_ref(path), &caches)
            .await
            .unwrap();
    }
    let closure = realised(&store, &third, &caches).await;
    let image = store.image(&closure).unwrap().file;
    drop((closure, store));
    // The common file lies in the first pack; the second's own file is whole.
    damage(&pack(dir, &first), 0);
    cut_power(dir);
    let store = open(dir);
    assert!(!image.exists());
    let stored = store.info(&first).unwrap();
    let error = store.write_nar(&stored, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let realisation = store.realise(support::request(std::slice::from_ref(&third), &caches));
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 2);
    for path in [&first, &second, &third] {
        assert_eq!(
            rebuilt(&store, path),
            store.info(path).unwrap().info.nar_hash
        );
    }
    // Verified once, not at every start.
    drop((realisation, store));
    let store = open(dir);
    cache.fail_all(&Fault::Status(500));
    realise(
        &store,
        std::slice::from_ref(&third),
        &client(&[&cache], &["test"], 1),
    )
    .await
    .unwrap();
}

/// What is lost of the pack that small paths have in common is lost for those whose bytes it was; and for all if it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_power_cut_took_of_small_paths_is_fetched_again() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let mut paths = Vec::new();
    for number in 0..4 {
        paths.push(cache.add(&format!("path-{number}"), &small_tree(number), &[]));
    }
    let store = open(dir);
    // One after the other, so that it is known where each is.
    for path in &paths {
        realise(&store, std::slice::from_ref(path), &cache.client())
            .await
            .unwrap();
    }
    drop(store);
    for (lost, fetched) in [
        (Some(9_300), 1),
        (Some(4_200), 4),
        (Some(70), 1),
        (Some(0), 4),
        (None, 4),
    ] {
        let in_common = packs_without_path(dir);
        match lost {
            Some(offset) => damage(&in_common[0], offset),
            None => in_common
                .iter()
                .for_each(|pack| fs::remove_file(pack).unwrap()),
        }
        cut_power(dir);
        let store = open(dir);
        let realisation = store.realise(support::request(&paths, &cache.client()));
        realisation.wait().await.unwrap();
        assert_eq!(realisation.progress().fetched_paths, fetched, "{lost:?}");
        for path in &paths {
            let info = store.info(path).unwrap().info;
            assert_eq!(rebuilt(&store, path), info.nar_hash);
        }
        // So that the next round finds all of it in one pack, in order.
        drop((realisation, store));
        fs::remove_dir_all(dir).unwrap();
        let store = open(dir);
        for path in &paths {
            realise(&store, std::slice::from_ref(path), &cache.client())
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_cut_off_is_not_there_any_more() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let first = cache.add("first", &tree(1), &[]);
    let second = cache.add("second", &tree(2), &[]);
    let (store, caches) = (open(dir), cache.client());
    for path in [&first, &second] {
        realise(&store, std::slice::from_ref(path), &caches)
            .await
            .unwrap();
    }
    drop(store);
    let whole = fs::metadata(pack(dir, &first)).unwrap().len();
    for length in [0, whole - 1, whole - 64, 310_000] {
        File::options()
            .write(true)
            .open(pack(dir, &first))
            .unwrap()
            .set_len(length)
            .unwrap();
        let store = open(dir);
        assert!(store.info(&first).is_none());
        // The other needs it for the common file, which may be there or not.
        let found = store.verify(store.paths(), None).await.unwrap();
        assert_eq!(
            found.damaged.len(),
            usize::from(length == 0),
            "{length}: {found:?}"
        );
        let repaired = store
            .verify(store.paths(), Some(caches.clone()))
            .await
            .unwrap();
        assert!(
            repaired
                .damaged
                .iter()
                .all(|path| matches!(path.repair, Some(Ok(())))),
            "{repaired:?}"
        );
        realised(&store, &first, &caches).await;
        assert_eq!(
            rebuilt(&store, &first),
            store.info(&first).unwrap().info.nar_hash
        );
        assert_eq!(
            rebuilt(&store, &second),
            store.info(&second).unwrap().info.nar_hash
        );
        drop(store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rot_is_found_and_mended_where_it_is() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let first = cache.add("first", &tree(1), &[]);
    let second = cache.add("second", &tree(2), std::slice::from_ref(&first));
    let (store, caches) = (open(dir), cache.client());
    realised(&store, &first, &caches).await;
    let closure = realised(&store, &second, &caches).await;
    let image = store.image(&closure).unwrap();
    let before = names(dir, "packs");
    damage(&pack(dir, &first), 40_000);
    let mut out = Vec::new();
    let error = store
        .read_file(&store.info(&second).unwrap(), b"common", &mut out)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("store path '{second}' is damaged in common")
    );
    let report = store.verify(store.paths(), None).await.unwrap();
    assert_eq!(report.paths, 2);
    assert_eq!(report.damaged.len(), 2);
    assert!(report.damaged.iter().all(|path| path.repair.is_none()));

    // A cache with another build is of no help.
    let other = Cache::start().await;
    other.add("first", &tree(7), &[]);
    other.add("second", &tree(8), &[]);
    let report = store
        .verify(store.paths(), Some(other.client()))
        .await
        .unwrap();
    let repair = report.damaged[0]
        .repair
        .as_ref()
        .unwrap()
        .as_ref()
        .unwrap_err();
    assert!(
        nix_formats::chain(repair).contains("with another NAR hash"),
        "{repair}"
    );

    let report = store
        .verify(store.paths(), Some(caches.clone()))
        .await
        .unwrap();
    assert!(
        report
            .damaged
            .iter()
            .all(|path| matches!(path.repair, Some(Ok(())))),
        "{report:?}"
    );
    let report = store.verify(store.paths(), None).await.unwrap();
    assert!(report.damaged.is_empty(), "{report:?}");
    // The same packs and the same image, so what is mounted is mended too.
    assert_eq!(names(dir, "packs"), before);
    assert_eq!(store.image(&closure).unwrap(), image);

    // Where the record is gone there is a new pack.
    let end = fs::metadata(pack(dir, &second)).unwrap().len();
    damage(&pack(dir, &second), end - 70);
    let report = store.verify(store.paths(), Some(caches)).await.unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert!(
        nix_formats::chain(&report.damaged[0].damage).contains("checksum"),
        "{report:?}"
    );
    assert!(
        matches!(report.damaged[0].repair, Some(Ok(()))),
        "{report:?}"
    );
    assert_ne!(names(dir, "packs"), before);
    assert_eq!(
        rebuilt(&store, &second),
        store.info(&second).unwrap().info.nar_hash
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_a_newer_version_is_left_alone() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let path = cache.add("web", &tree(1), &[]);
    realise(&open(dir), std::slice::from_ref(&path), &cache.client())
        .await
        .unwrap();
    let pack = pack(dir, &path);
    let end = fs::metadata(&pack).unwrap().len();
    let file = File::options().write(true).open(&pack).unwrap();
    file.write_all_at(&2_u32.to_le_bytes(), end - 64 + 8)
        .unwrap();
    let error = Store::open(dir, Options::default()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::TooNew {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(pack.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_as_nix_has_it() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let tree = directory([
        ("bin", directory([("tool", executable("x"))])),
        ("data", file(noise(1, 700_000))),
        ("zeros", file(vec![0; 300_000])),
        ("link", support::symlink("bin/tool")),
    ]);
    let needed = cache.add("needed", &file("needed"), &[]);
    let path = cache.add("web", &tree, &[needed]);
    let store = open(&folder.path().join("store"));
    let closure = realised(&store, &path, &cache.client()).await;
    let to = folder.path().join("export");
    store.export(&closure, &to).unwrap();
    let error = store.export(&closure, &to).unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty(_)), "{error}");
    let web = to.join("store").join(path.base_name());
    assert_eq!(
        fs::read_link(to.join("root")).unwrap(),
        Path::new("store").join(path.base_name())
    );
    assert_eq!(fs::read(web.join("data")).unwrap(), noise(1, 700_000));
    assert_eq!(fs::read(web.join("zeros")).unwrap(), vec![0; 300_000]);
    assert_eq!(
        fs::read_link(web.join("link")).unwrap(),
        Path::new("bin/tool")
    );
    assert_eq!(names(&to, "store").len(), 2);
    for (name, mode) in [
        ("", 0o40555),
        ("bin", 0o40555),
        ("bin/tool", 0o100_555),
        ("data", 0o100_444),
        ("link", 0o120_777),
    ] {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::symlink_metadata(web.join(name)).unwrap();
        assert_eq!((metadata.mode(), metadata.mtime()), (mode, 1), "{name}");
    }
    // So that the user who runs the tests can remove it.
    for name in ["store", ""] {
        fs::set_permissions(to.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["bin", ""] {
        fs::set_permissions(web.join(name), Permissions::from_mode(0o755)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_page_that_a_power_cut_takes_is_served(
        lost in proptest::collection::vec((0_usize..4, 0_u64..60, any::<bool>()), 1..12),
        synced in 0_usize..4,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
            let dir = folder.path();
            let mut paths = Vec::new();
            for number in 0..4 {
                paths.push(cache.add(&format!("path-{number}"), &tree(number), &[]));
            }
            let caches = cache.client();
            let store = open(dir);
            for path in &paths[..synced] {
                realise(&store, std::slice::from_ref(path), &caches).await.unwrap();
            }
            store.close().await.unwrap();
            let store = open(dir);
            for path in &paths {
                realise(&store, std::slice::from_ref(path), &caches).await.unwrap();
            }
            drop(store);
            for (number, page, is_cut) in lost {
                if is_on_disk(dir, &paths[number]) {
                    continue;
                }
                let file = File::options().write(true).open(pack(dir, &paths[number])).unwrap();
                let length = file.metadata().unwrap().len();
                let start = (page * 4096).min(length);
                if is_cut {
                    file.set_len(start).unwrap();
                } else {
                    let end = length.min(start + 4096);
                    file.write_all_at(&vec![0; (end - start) as usize], start).unwrap();
                }
            }
            cut_power(dir);
            let store = open(dir);
            for stored in store.paths() {
                let mut nar = Vec::new();
                if store.write_nar(&stored, &mut nar).is_ok() {
                    let hash = nix_formats::hash::HashAlgorithm::Sha256.digest(&nar);
                    assert_eq!(hash, stored.info.nar_hash);
                }
            }
            let closure = realise(&store, &paths, &caches).await.unwrap();
            for line in closure.lines.as_slice() {
                assert_eq!(rebuilt(&store, &line.path), line.nar_hash);
            }
            drop(closure);
            store.collect_garbage(&niphas_store::GcOptions::default()).unwrap();
            assert_eq!(names(dir, "packs"), Vec::<String>::new());
        });
    }
}

/// Records are not read when a store is opened; what is found to be damaged later is mended when it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_found_when_it_is_read_and_fetched_again() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let path = cache.add("web", &tree(1), &[]);
    let (store, caches) = (open(dir), cache.client());
    realised(&store, &path, &caches).await;
    store.close().await.unwrap();
    let file = pack(dir, &path);
    damage(&file, fs::metadata(&file).unwrap().len() - 100);
    let store = open(dir);
    let stored = store.info(&path).unwrap();
    let error = store.write_nar(&stored, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::BadRecord { .. }), "{error}");
    let realisation = store.realise(support::request(std::slice::from_ref(&path), &caches));
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 1);
    let info = store.info(&path).unwrap().info;
    assert_eq!(rebuilt(&store, &path), info.nar_hash);
}

/// The index is no more than a cache of the records.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_damaged_or_gone_is_made_again() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let dir = folder.path();
    let mut paths = Vec::new();
    for number in 0..3 {
        paths.push(cache.add(&format!("large-{number}"), &tree(number), &[]));
        paths.push(cache.add(&format!("small-{number}"), &small_tree(number), &[]));
    }
    let (store, caches) = (open(dir), cache.client());
    realise(&store, &paths, &caches).await.unwrap();
    store.close().await.unwrap();
    let index = dir.join("index");
    let mut number = 10;
    for harm in [
        "none",
        "no folder",
        "no catalog",
        "no segments",
        "cut off",
        "changed",
    ] {
        for name in names(dir, "index") {
            let (file, is_catalog) = (index.join(&name), name == "catalog");
            let length = fs::metadata(&file).unwrap().len();
            match harm {
                "no catalog" if is_catalog => fs::remove_file(&file).unwrap(),
                "no segments" if !is_catalog => fs::remove_file(&file).unwrap(),
                "cut off" => {
                    let file = File::options().write(true).open(&file).unwrap();
                    file.set_len(length / 2).unwrap();
                }
                "changed" => damage(&file, length - 70),
                _ => {}
            }
        }
        if harm == "no folder" {
            fs::remove_dir_all(&index).unwrap();
        }
        let read = Store::open_read_only(dir, Options::default()).unwrap();
        let store = open(dir);
        for path in &paths {
            for store in [&read, &store] {
                let info = store.info(path).unwrap().info;
                assert_eq!(rebuilt(store, path), info.nar_hash, "{harm}");
            }
        }
        // What they have in common with a new path is not written again.
        number += 1;
        let path = cache.add(&format!("large-{number}"), &tree(number), &[]);
        realised(&store, &path, &caches).await;
        let added = fs::metadata(pack(dir, &path)).unwrap().len();
        assert!(added < 40_000, "{harm}: {added} bytes");
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o777;
    let dir = folder.path().join("store");
    drop(open(&dir));
    assert_eq!(mode(&dir), 0o700);
    // As programs before this one made it.
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    drop(open(&dir));
    assert_eq!(mode(&dir), 0o700);
}

/// More contents than are kept in memory, and many more paths than packs.
#[test]
fn an_index_that_is_made_again_has_all_paths() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let store = open(dir);
    for path in 0..1200 {
        add_path(&store, path, path, 120).unwrap();
    }
    drop(store);
    let frames = || fs::metadata(dir.join("index/catalog")).unwrap().len();
    for _ in 0..2 {
        fs::remove_dir_all(dir.join("index")).unwrap();
        let store = open(dir);
        assert_eq!(store.paths().len(), 1200);
        assert!(frames() > 1200 * 200, "{}", frames());
    }
}
