//! Paths as files that stay in the store.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use niphas_store::{GcOptions, Options, Store, StoreError};

use support::{Cache, directory, executable, file, names, noise, open, realised, symlink};

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_exported_once_and_go_with_what_they_are_of() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let needed = cache.add("needed", &file("needed"), &[]);
    let link = cache.add("link", &symlink("/nowhere"), &[]);
    let tree = directory([
        ("bin", directory([("run", executable("#!/bin/sh\n"))])),
        ("data", file(noise(1, 300_000))),
        ("empty", directory([])),
    ]);
    let root = cache.add("root", &tree, &[needed, link]);
    let store = open(folder.path());
    let closure = realised(&store, &root, &cache.client()).await;
    let exported = store.exported(&closure).unwrap();
    assert_eq!(exported.len(), 3);
    let of = |name: &str| {
        let mut named = exported.iter().filter(|it| it.path.name() == name);
        let found = named.next().unwrap();
        found.folder.join(found.path.base_name())
    };
    let about = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        (metadata.mode() & 0o7777, metadata.mtime())
    };
    assert_eq!(
        fs::read(of("root").join("data")).unwrap(),
        noise(1, 300_000)
    );
    assert_eq!(about(&of("root").join("data")), (0o444, 1));
    assert_eq!(about(&of("root").join("bin/run")), (0o555, 1));
    assert_eq!(about(&of("root")), (0o555, 1));
    assert_eq!(about(&of("needed")), (0o444, 1));
    assert_eq!(fs::read_link(of("link")).unwrap(), Path::new("/nowhere"));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = inode(&of("root"));
    assert_eq!(store.exported(&closure).unwrap(), exported);
    assert_eq!(inode(&of("root")), before);
    assert!(store.size().image_bytes > 300_000);
    assert_eq!(names(folder.path(), "tmp"), [""; 0]);
    // As long as it is held it stays.
    store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(names(folder.path(), "exports").len(), 3);
    drop(closure);
    let report = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(report.collected.len(), 3);
    assert_eq!(names(folder.path(), "exports"), [""; 0]);
    assert_eq!(names(folder.path(), "tmp"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_is_removed_and_what_was_whole_is_used() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let tree = directory([("a", directory([("b", file("b"))]))]);
    let root = cache.add("root", &tree, &[]);
    let store = open(folder.path());
    let closure = realised(&store, &root, &cache.client()).await;
    let exported = store.exported(&closure).unwrap().remove(0);
    drop(closure);
    store.close().await.unwrap();
    // Half an export, and one of a path that is not there.
    let copy = |to: &str| {
        let to = folder.path().join(to);
        let mut command = std::process::Command::new("cp");
        command.arg("-a").arg(&exported.folder).arg(to);
        assert!(command.status().unwrap().success());
    };
    copy("tmp/00000000ff");
    copy("exports/00000000ff");
    let store = open(folder.path());
    assert_eq!(names(folder.path(), "tmp"), [""; 0]);
    assert_eq!(names(folder.path(), "exports").len(), 1);
    let closure = realised(&store, &root, &cache.client()).await;
    assert_eq!(store.exported(&closure).unwrap(), [exported]);
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_export_the_same_have_one_export() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let root = cache.add("root", &directory([("a", file("a"))]), &[]);
    let store = open(folder.path());
    let closure = realised(&store, &root, &cache.client()).await;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| store.exported(&closure).unwrap());
        }
    });
    assert_eq!(names(folder.path(), "exports").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_exports_nothing() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let root = cache.add("root", &file("x"), &[]);
    let store = open(folder.path());
    drop(realised(&store, &root, &cache.client()).await);
    store.close().await.unwrap();
    let store = Store::open_read_only(folder.path(), Options::default()).unwrap();
    let closure = store.stored_closure(&root.into()).unwrap();
    let refused = store.exported(&closure);
    assert!(
        matches!(refused, Err(StoreError::ReadOnly(_))),
        "{refused:?}"
    );
}
