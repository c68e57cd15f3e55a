use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use niphas_api::VolumeAttributes;
use niphas_store::mount::View;
use niphas_store::{Options, RootHold, Store};
use nix_formats::StorePath;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::metrics::Metrics;
use crate::pod::Pod;
use crate::record::Record;
use crate::trust::Trust;
use crate::view::{ViewKey, Views};
use crate::volumes::Volume;

/// A node's folders, without anything mounted: what needs no privileges.
struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("csi.yaml"), "defaults: {}\n").unwrap();
        fs::create_dir(folder.path().join("pods")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// The driver's volumes, as at its start.
    fn volumes(&self) -> Arc<Volumes> {
        let store = Store::open(&self.path("store"), Options::default()).unwrap();
        let state = self.path("state");
        let views = Views::open(&state, store.clone(), View::Export).unwrap();
        let trust = Arc::new(Trust::load(&self.path("csi.yaml")).unwrap());
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        Arc::new(Volumes::open(&state, store, views, trust, metrics, stop).unwrap())
    }

    /// A target of a pod whose folder is there.
    fn target(&self, volume: &str) -> PathBuf {
        let folder = self.path("pods").join(volume);
        fs::create_dir_all(&folder).unwrap();
        folder.join("mount")
    }

    fn exports(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path("state/exports")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn attributes(closure: u8) -> VolumeAttributes {
    let root = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    VolumeAttributes {
        roots: StorePath::from_base_name(root).unwrap().into(),
        digest: format!("sha256:{}", closure.to_string().repeat(64))
            .parse()
            .unwrap(),
    }
}

fn key(closure: u8) -> ViewKey {
    let VolumeAttributes { roots, digest } = attributes(closure);
    ViewKey::new(digest, &roots)
}

fn record(volume: &str, target: PathBuf, closure: u8, boot: &str) -> Record {
    let VolumeAttributes { roots, digest } = attributes(closure);
    Record {
        volume: volume.to_owned(),
        target,
        roots,
        digest,
        pod: Pod::default(),
        boot: boot.to_owned(),
    }
}

fn volume(id: &str, target: PathBuf, closure: u8) -> Volume {
    Volume {
        id: id.to_owned(),
        target,
        wanted: attributes(closure),
        pod: Pod::default(),
    }
}

impl Volumes {
    fn known(&self) -> BTreeSet<String> {
        let records = self.records.all();
        records.into_iter().map(|record| record.volume).collect()
    }

    fn held(&self) -> BTreeSet<String> {
        let roots = self.store.roots().unwrap();
        roots
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }
}

fn set<const N: usize>(names: [String; N]) -> BTreeSet<String> {
    names.into()
}

#[test]
fn what_earlier_runs_left_is_kept_or_removed_by_what_is_mounted() {
    let node = Node::new();
    let volumes = node.volumes();
    let boot = volumes.boot.clone();
    let put = |record: &Record| volumes.records.put(record.clone()).unwrap();

    // Of the node's last life: forgotten, with the folder that was its target, unless that holds anything.
    put(&record("csi-before", node.target("before"), 1, "before"));
    fs::create_dir(node.target("before")).unwrap();
    put(&record("csi-full", node.target("full"), 1, "before"));
    fs::create_dir(node.target("full")).unwrap();
    fs::write(node.target("full").join("file"), "another's").unwrap();
    // Not mounted yet: kubelet asks again.
    put(&record("csi-waits", node.target("waits"), 2, &boot));
    // Not mounted, and its pod's folder is gone.
    put(&record("csi-gone", node.path("pods/gone/mount"), 3, &boot));
    // Mounted: the kernel says so.
    put(&record("csi-mounted", "/proc".into(), 4, &boot));

    let exports = node.path("state/exports");
    for name in [
        key(2).to_string(),
        key(5).to_string(),
        format!("{}.new", key(2)),
        format!("{}.new", key(6)),
    ] {
        fs::create_dir(exports.join(name)).unwrap();
    }
    for closure in [1, 2, 3, 7] {
        let roots = attributes(closure).roots;
        volumes.views.hold(&key(closure), &roots).unwrap();
    }
    let by_hand = RootHold {
        roots: attributes(1).roots,
        digest: None,
        holder: "an administrator".to_owned(),
    };
    let name = "by-hand".parse().unwrap();
    volumes.store.reserve_root(&name, &by_hand).unwrap();
    drop(volumes);

    // A second start finds what the first one left.
    for _ in 0..2 {
        let volumes = node.volumes();
        volumes.recover().unwrap();
        assert_eq!(
            volumes.known(),
            set(["csi-mounted".to_owned(), "csi-waits".to_owned()])
        );
        assert_eq!(
            volumes.held(),
            set([
                "by-hand".to_owned(),
                format!("csi-{}", key(2)),
                format!("csi-{}", key(4)),
            ])
        );
        assert_eq!(node.exports(), set([key(2).to_string()]));
        assert!(!node.target("before").exists());
        assert!(node.target("full").join("file").exists());
    }
}

/// As after an error of the store's file system, which loses what was not on disk yet while the kernel lives on.
#[test]
fn roots_whose_text_was_lost_are_written_again_or_removed() {
    let node = Node::new();
    let volumes = node.volumes();
    let waiting = record("csi-waits", node.target("waits"), 1, &volumes.boot);
    volumes.records.put(waiting).unwrap();
    drop(volumes);
    for closure in [1, 2] {
        let root = node
            .path("store/roots")
            .join(format!("csi-{}", key(closure)));
        fs::write(root, "").unwrap();
    }
    let volumes = node.volumes();
    volumes.recover().unwrap();
    assert_eq!(volumes.held(), set([format!("csi-{}", key(1))]));
}

#[test]
fn volumes_whose_pods_are_gone_are_forgotten_and_others_of_their_closure_keep_it() {
    let node = Node::new();
    let volumes = node.volumes();
    for (id, closure) in [("csi-a", 1), ("csi-b", 1), ("csi-c", 2)] {
        let record = record(id, node.target(id), closure, &volumes.boot);
        volumes.records.put(record).unwrap();
        let roots = attributes(closure).roots;
        volumes.views.hold(&key(closure), &roots).unwrap();
    }
    volumes.sweep().unwrap();
    assert_eq!(volumes.known().len(), 3);
    for id in ["csi-a", "csi-c"] {
        fs::remove_dir(node.path("pods").join(id)).unwrap();
    }
    volumes.sweep().unwrap();
    assert_eq!(volumes.known(), set(["csi-b".to_owned()]));
    assert_eq!(volumes.held(), set([format!("csi-{}", key(1))]));
}

#[tokio::test]
async fn realisations_that_kubelet_does_not_ask_for_again_are_let_go() {
    let node = Node::new();
    let volumes = node.volumes();
    for (id, asked) in [
        ("csi-abandoned", ABANDONED),
        ("csi-waits", Duration::from_mins(2)),
    ] {
        let served = volumes.trust.serving("").unwrap();
        let (_, request) = volumes.request(&volume(id, node.target(id), 1), served);
        let realisation = volumes.store.realise(request);
        let asked = Instant::now().checked_sub(asked).unwrap();
        volumes
            .waiting()
            .insert(id.to_owned(), (realisation, asked));
    }
    for (id, last) in [
        ("csi-forgotten", FORGOTTEN),
        ("csi-missed", Duration::from_mins(14)),
    ] {
        let last = Instant::now().checked_sub(last).unwrap();
        volumes.missed().insert(id.to_owned(), (last, last));
    }
    let swept = Arc::clone(&volumes);
    let swept = tokio::task::spawn_blocking(move || swept.sweep());
    swept.await.unwrap().unwrap();
    let waiting: Vec<String> = volumes.waiting().keys().cloned().collect();
    assert_eq!(waiting, ["csi-waits"]);
    let missed: Vec<String> = volumes.missed().keys().cloned().collect();
    assert_eq!(missed, ["csi-missed"]);
}

#[tokio::test]
async fn a_volume_that_kubelet_asks_for_again_stays_and_one_that_is_refused_leaves_nothing() {
    let node = Node::new();
    let volumes = node.volumes();
    let publish = async |closure| {
        let volume = volume("csi-a", node.target("a"), closure);
        let deadline = Instant::now() + Duration::from_mins(1);
        let published = Arc::clone(&volumes).publish(volume, deadline).await;
        published.unwrap_err()
    };
    // There is no cache, and one may yet be configured.
    for _ in 0..2 {
        let error = publish(1).await;
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert_eq!(volumes.known(), set(["csi-a".to_owned()]));
        assert_eq!(volumes.held(), set([format!("csi-{}", key(1))]));
    }
    // Another closure is asked for: the first one is let go.
    let error = publish(2).await;
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(volumes.held(), set([format!("csi-{}", key(2))]));

    let first = Instant::now().checked_sub(Duration::from_mins(3)).unwrap();
    let missed = (first, first);
    volumes.missed().insert("csi-a".to_owned(), missed);
    let error = publish(2).await;
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(volumes.known(), BTreeSet::new());
    assert_eq!(volumes.held(), BTreeSet::new());
    assert!(!node.target("a").exists());
}

#[tokio::test]
async fn unpublish_lets_go_of_what_there_is_of_a_volume() {
    let node = Node::new();
    let volumes = node.volumes();
    let deadline = || Instant::now() + Duration::from_mins(1);
    let volume = volume("csi-a", node.target("a"), 1);
    let published = Arc::clone(&volumes).publish(volume, deadline()).await;
    assert!(published.unwrap_err().is_retryable());
    for id in ["csi-a", "csi-a", "csi-unknown"] {
        let this = Arc::clone(&volumes);
        let target = node.target("a");
        this.unpublish(id.to_owned(), target, deadline())
            .await
            .unwrap();
        assert_eq!(volumes.known(), BTreeSet::new());
        assert_eq!(volumes.held(), BTreeSet::new());
    }
    assert!(volumes.waiting().is_empty() && volumes.missed().is_empty());
}
