//! Namespaces with caches and keys of their own on one node: what one does is nothing to the others.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use binary_cache::Caches;
use niphas_store::{Outlook, Realisation, RealiseError, Request, Store, Terms};
use nix_formats::hash::HashAlgorithm;
use nix_formats::{
    ContentAddress, ContentAddressMethod, FixedOutput, NarInfo, Signature, StoreDir, StorePath,
};

use support::{
    Cache, Fault, client, directory, file, key, noise, open, pack_bytes, rebuilt, request,
    store_path, terms,
};

fn ask(store: &Store, root: &StorePath, caches: &Arc<Caches>, terms: Terms) -> Realisation {
    let request = request(std::slice::from_ref(root), caches);
    store.realise(Request { terms, ..request })
}

/// As many signatures by names of others as a path keeps.
fn junk() -> Vec<Signature> {
    let names = (0..64).map(|number| format!("junk-{number}"));
    names
        .map(|name| key(&name).sign(b"something else"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_signatures_of_one_namespace_lock_no_other_out() {
    let (theirs, ours) = (Cache::start().await, Cache::start().await);
    let folder = tempfile::tempdir().unwrap();
    let (path, nar) = (store_path("", "libc"), file(noise(1, 50_000)).nar());
    let mut info = theirs.add_nar(&path, &nar, &[], &[&key("theirs")]);
    info.signatures.extend(junk());
    info.signatures.rotate_left(1);
    theirs.add_info(&info);
    ours.add_nar(&path, &nar, &[], &[&key("ours")]);
    let (one, other) = (
        client(&[&theirs], &["theirs"], 1),
        client(&[&ours], &["ours"], 1),
    );
    let store = open(folder.path());
    ask(&store, &path, &one, terms(&[&theirs]))
        .wait()
        .await
        .unwrap();
    ask(&store, &path, &other, terms(&[&ours]))
        .wait()
        .await
        .unwrap();
    assert_eq!(store.variants(&path).len(), 1);
    drop(store);

    // What was counted is kept, for the next process.
    let store = open(folder.path());
    ours.fail_all(&Fault::Status(503));
    let other = client(&[&ours], &["ours"], 1);
    ask(&store, &path, &other, terms(&[&ours]))
        .wait()
        .await
        .unwrap();
    ask(&store, &path, &one, terms(&[&theirs]))
        .wait()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_count_only_for_those_whose_caches_delivered_them() {
    let (owner, forger, honest) = (
        Cache::start().await,
        Cache::start().await,
        Cache::start().await,
    );
    let folder = tempfile::tempdir().unwrap();
    let library = directory([("secret", file(noise(1, 300_000)))]);
    let program = directory([("small", file("of its owner"))]);
    let (library_path, path) = (store_path("", "library"), store_path("", "program"));
    let needed = std::slice::from_ref(&library_path);
    for (cache, name) in [(&owner, "owner"), (&forger, "forger"), (&honest, "honest")] {
        cache.add_nar(&library_path, &library.nar(), &[], &[&key(name)]);
        cache.add_nar(&path, &program.nar(), needed, &[&key(name)]);
    }
    // The lines of a closure stand in Git, so a narinfo can be made by anybody.
    let zeros = vec![0; library.nar().len()];
    forger.put(&format!("nar/{}.nar", library_path.hash_part()), zeros);
    let store = open(folder.path());
    let owners = client(&[&owner], &["owner"], 1);
    ask(&store, &path, &owners, terms(&[&owner]))
        .wait()
        .await
        .unwrap();
    let disk = pack_bytes(folder.path());

    let forgers = client(&[&forger], &["forger"], 1);
    let error = ask(&store, &path, &forgers, terms(&[&forger])).wait().await;
    let error = error.unwrap_err();
    assert!(matches!(&*error, RealiseError::Nar(_)), "{error}");
    assert_eq!(error.outlook(), Outlook::Stays);

    let honests = || client(&[&honest], &["honest"], 1);
    let realisation = ask(&store, &path, &honests(), terms(&[&honest]));
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 2);
    let fetched = honest.requests("nar/");
    assert!(
        fetched.len() == 2 && fetched.values().all(|&count| count == 1),
        "{fetched:?}"
    );
    assert_eq!(pack_bytes(folder.path()), disk);
    drop((store, realisation));

    // A restart, another key, another order of the caches, one cache more: nothing is fetched again.
    let store = open(folder.path());
    for (caches, keys) in [
        (vec![&honest], vec!["honest"]),
        (vec![&honest], vec!["more", "honest"]),
        (vec![&owner, &honest], vec!["honest"]),
    ] {
        let realisation = ask(&store, &path, &client(&caches, &keys, 1), terms(&caches));
        realisation.wait().await.unwrap();
        assert_eq!(realisation.progress().fetched_paths, 0);
    }
    // The same cache seen with other credentials is another.
    let mut others = terms(&[&honest]);
    others.origins = Arc::new([niphas_store::Origin::new("the same", "another login")]);
    let realisation = ask(&store, &path, &honests(), others);
    realisation.wait().await.unwrap();
    assert_eq!(realisation.progress().fetched_paths, 2);
    assert_eq!(store.variants(&library_path).len(), 1);
    assert_eq!(
        rebuilt(&store, &path),
        store.info(&path).unwrap().info.nar_hash
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_trusted_nothing_on_the_node_is_given() {
    let (cache, folder) = (Cache::start().await, tempfile::tempdir().unwrap());
    let nar = file("content-addressed").nar();
    let hash = HashAlgorithm::Sha256.digest(&nar);
    let method = ContentAddressMethod::Recursive;
    let ca = ContentAddress { method, hash };
    let output = FixedOutput {
        method,
        hash,
        references: BTreeSet::new(),
        self_reference: false,
    };
    let path = StoreDir::default()
        .make_fixed_output_path(&output, "plain")
        .unwrap();
    let mut info: NarInfo = cache.add_nar(&path, &nar, &[], &[]);
    info.ca = Some(ca);
    cache.add_info(&info);
    let store = open(folder.path());
    let caches = client(&[&cache], &[], 1);
    ask(&store, &path, &caches, terms(&[&cache]))
        .wait()
        .await
        .unwrap();
    let nothing = client(&[], &[], 1);
    let error = ask(&store, &path, &nothing, terms(&[])).wait().await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("there are no caches"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_caches_that_drip_do_not_delay_another_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let good = Cache::start().await;
    let path = good.add("good", &file(noise(9, 400)), &[]);
    let shared_nar = file(noise(50, 100_000)).nar();
    let shared = store_path("", "shared");
    good.add_nar(&shared, &shared_nar, &[], &[&key("test")]);
    let store = open(folder.path());
    let mut held = Vec::new();
    for number in 0..3 {
        let slow = Cache::start().await;
        let caches = slow.client();
        for part in 0..40 {
            let tree = file(noise(100 + number * 50 + part, 4 << 20));
            let path = slow.add(&format!("slow-{number}-{part}"), &tree, &[]);
            slow.fault(&format!("nar/{}.nar", path.hash_part()), Fault::Drip(2000));
            held.push(ask(&store, &path, &caches, terms(&[&slow])));
        }
        // Also what the other namespace wants.
        slow.add_nar(&shared, &shared_nar, &[], &[&key("test")]);
        slow.fault(&format!("nar/{}.nar", shared.hash_part()), Fault::Drip(200));
        let mut terms = terms(&[&slow]);
        terms.holder = format!("slow-{number}").into();
        held.push(ask(&store, &shared, &caches, terms));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let caches = good.client();
    for path in [&path, &shared] {
        let mut terms = terms(&[&good]);
        terms.holder = "good".into();
        let started = Instant::now();
        ask(&store, path, &caches, terms).wait().await.unwrap();
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "{path}: {took:?}");
    }
    assert!(held.iter().all(|realisation| !realisation.is_finished()));
}
