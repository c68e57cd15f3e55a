//! Paths that this machine made: added, signed, found, realised together with fetched ones, collected.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::Arc;

use binary_cache::{Caches, Limits, TrustPolicy};
use niphas_store::{
    GcOptions, HeldPath, NewPath, Options, PackError, RealiseError, Store, StoreError,
};
use nix_formats::{NarHash, PublicKeys, StoreDir, StorePath};

use support::{
    Cache, Fault, Tree, directory, executable, file, key, names, noise, open, realised, rebuilt,
    request, store_path, symlink,
};

fn new(path: &StorePath, references: &[&StorePath]) -> NewPath {
    NewPath {
        path: path.clone(),
        references: references.iter().map(|&it| it.clone()).collect(),
        deriver: Some(store_path("drv", "made.drv")),
        content_address: None,
    }
}

fn add(store: &Store, path: &StorePath, tree: &Tree, references: &[&StorePath]) -> HeldPath {
    let nar = tree.nar();
    let packed = store.pack(nar.as_slice(), Some(nar.len() as u64)).unwrap();
    assert_eq!(packed.nar_hash, NarHash::of(&nar));
    assert_eq!(packed.nar_size, nar.len() as u64);
    store.add(packed, new(path, references)).unwrap()
}

/// Caches of which two keys must have signed everything.
fn strict(cache: &Cache, store: &Store) -> Arc<Caches> {
    let keys: PublicKeys = ["one", "two"]
        .iter()
        .map(|name| key(name).public_key())
        .collect();
    let policy = TrustPolicy::new(keys, NonZeroUsize::new(2).unwrap()).unwrap();
    let policy = policy.with_own(store.own_key().unwrap());
    let urls = [cache.url().parse().unwrap()];
    Arc::new(Caches::new(StoreDir::default(), urls, policy, Limits::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_was_made_here_is_there_at_once_and_stays_while_it_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let large = directory([
        ("bin", directory([("run", executable("#!/bin/sh\n"))])),
        ("data", file(noise(1, 3_000_000))),
        ("link", symlink("bin/run")),
    ]);
    let (small, big) = (store_path("1", "small"), store_path("2", "big"));
    let held = add(&store, &small, &file("small"), &[&small]);
    let other = add(&store, &big, &large, &[&small, &big]);
    for (held, path, tree) in [(&held, &small, &file("small")), (&other, &big, &large)] {
        assert_eq!(store.info(path).unwrap().info, held.stored.info);
        assert_eq!(rebuilt(&store, path), NarHash::of(&tree.nar()));
        let info = &held.stored.info;
        assert_eq!(
            info.signers(
                &StoreDir::default(),
                &[store.own_key().unwrap()].into_iter().collect()
            ),
            [store.own_key().unwrap().name()]
        );
    }
    // Contents that are stored are not stored again.
    let again = directory([("data", file(noise(1, 3_000_000)))]);
    let before = support::pack_bytes(folder.path());
    let third = add(&store, &store_path("3", "again"), &again, &[]);
    assert!(support::pack_bytes(folder.path()) < before + 100_000);
    assert_eq!(
        store
            .collect_garbage(&GcOptions::default())
            .unwrap()
            .collected,
        []
    );
    drop((held, other, third));
    let gone = store.collect_garbage(&GcOptions::default()).unwrap();
    assert_eq!(gone.collected.len(), 3);
    assert_eq!(names(folder.path(), "packs"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_of_made_and_fetched_paths_is_realised_under_the_caches_policy() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let fetched = store_path("5", "fetched");
    let nar = file(noise(5, 100_000)).nar();
    cache.add_nar(&fetched, &nar, &[], &[&key("one"), &key("two")]);
    let caches = strict(&cache, &store);
    let made = store_path("made", "made");
    let held = add(&store, &made, &file("made"), &[&fetched, &made]);
    let closure = realised(&store, &made, &caches).await;
    assert_eq!(closure.lines.path_count(), 2);
    // What was fetched has no signature of the store's.
    let own = store.own_key().unwrap();
    let signatures = &store.info(&fetched).unwrap().info.signatures;
    assert!(signatures.iter().all(|it| it.key_name != own.name()));
    // The next process knows what this one made, too.
    drop((closure, held));
    store.close().await.unwrap();
    let store = open(folder.path());
    cache.fail_all(&Fault::Status(404));
    let closure = realised(&store, &made, &strict(&cache, &store)).await;
    assert_eq!(closure.lines.path_count(), 2);
    // Under another store's key it is one signature too few.
    let elsewhere = tempfile::tempdir().unwrap();
    let strange = strict(&cache, &open(elsewhere.path()));
    let realisation = store.realise(request(std::slice::from_ref(&made), &strange));
    let error = realisation.wait().await.unwrap_err();
    assert!(matches!(&*error, RealiseError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_and_is_then_made_here_has_the_own_signature_too() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let tree = file(noise(6, 400_000));
    let path = cache.add("both", &tree, &[]);
    let closure = realised(&store, &path, &cache.client()).await;
    let held = add(&store, &path, &tree, &[]);
    assert_eq!(store.variants(&path).len(), 1);
    let own = [store.own_key().unwrap()].into_iter().collect();
    let is_own = |store: &Store| {
        let info = store.info(&path).unwrap().info;
        !info.signers(&StoreDir::default(), &own).is_empty()
    };
    assert!(is_own(&store));
    assert!(held.stored.info.signatures.len() > 1);
    drop((closure, held));
    store.close().await.unwrap();
    assert!(is_own(&open(folder.path())));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_and_not_added_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let nar = file(noise(7, 3_000_000)).nar();
    let size = Some(nar.len() as u64);
    drop(store.pack(nar.as_slice(), size).unwrap());
    let cut = store.pack(&nar[..2_000_000], size).unwrap_err();
    assert!(matches!(cut, PackError::Read(_)), "{cut}");
    let longer = nar.as_slice().chain(b"x".as_slice());
    let longer = store.pack(longer, size).unwrap_err();
    assert!(matches!(longer, PackError::Nar(_)), "{longer}");
    let failing = io::Error::other("unplugged");
    struct Fails(Option<io::Error>);
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.take().unwrap_or_else(|| io::ErrorKind::Other.into()))
        }
    }
    let error = store.pack(Fails(Some(failing)), size).unwrap_err();
    assert!(matches!(error, PackError::Read(_)), "{error}");
    assert_eq!(names(folder.path(), "tmp"), [""; 0]);
    assert_eq!(names(folder.path(), "packs"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nar_can_be_written_by_another_thread() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let nar = file(noise(8, 2_000_000)).nar();
    let size = Some(nar.len() as u64);
    let packed = store.pack_written(None, |out| out.write_all(&nar)).unwrap();
    assert_eq!(packed.nar_hash, NarHash::of(&nar));
    let error = store.pack_written(size, |out| {
        out.write_all(&nar[..1_000_000])?;
        Err(io::Error::other("unplugged"))
    });
    assert!(
        matches!(&error, Err(PackError::Read(it)) if it.to_string() == "unplugged"),
        "{error:?}"
    );
    // Who writes on after the end does not hang.
    let error = store.pack_written(size, |out| {
        out.write_all(&nar)?;
        loop {
            out.write_all(&[0; 4096])?;
        }
    });
    assert!(matches!(error, Err(PackError::Nar(_))), "{error:?}");
}

#[test]
fn who_only_reads_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let store = Store::open_read_only(folder.path(), Options::default()).unwrap();
    let nar = file("x").nar();
    let error = store
        .pack(nar.as_slice(), Some(nar.len() as u64))
        .unwrap_err();
    assert!(
        matches!(error, PackError::Store(StoreError::ReadOnly(_))),
        "{error}"
    );
}

#[test]
fn threads_that_add_the_same_have_one_pack() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (path, tree) = (store_path("9", "same"), file(noise(9, 500_000)));
    let packs: BTreeSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| add(&store, &path, &tree, &[]).stored.pack()))
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(packs.len(), 1);
    assert_eq!(names(folder.path(), "packs").len(), 1);
}
