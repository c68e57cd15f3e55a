//! Peers that die, hang, lie and answer nonsense.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use niphas_mesh::PART;
use nix_formats::{HashAlgorithm, HashFormat};
use tokio::net::TcpListener;

use crate::cluster::{Cluster, bytes, serve};

/// Replaces all members but the first by one server, so that all homes but the first member are there.
async fn surrounded_by(cluster: &mut Cluster, router: Router) {
    let (address, _) = serve(router).await;
    for peer in &mut cluster.peers[1..] {
        peer.address = address;
    }
    cluster.tell_members();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_die_cost_no_bytes_and_little_time() {
    let mut cluster = Cluster::start(8, 1).await;
    let file = bytes(1, 12 * PART);
    cluster.origin.add("nar/x.nar", file.clone());
    cluster.origin.hold_after(PART / 2);
    let (first, second) = (cluster.get(0, "nar/x.nar"), cluster.get(1, "nar/x.nar"));
    let (first, second) = tokio::join!(first, second);
    for node in 3..8 {
        cluster.kill(node);
    }
    cluster.origin.go_on();
    let began = Instant::now();
    for response in [first, second] {
        assert!(response.bytes().await.unwrap() == file);
    }
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    cluster.nodes.truncate(3);
    cluster.read_everywhere().await;
    // Parts that died with a home leave the origin once more, and those at which nodes disagree who is well.
    assert!(
        cluster.origin.sent() <= 3 * file.len() as u64,
        "{}",
        cluster.origin.sent()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn peers_that_say_nothing_are_waited_for_once() {
    let mut cluster = Cluster::start(6, 1).await;
    // Connections are accepted by the kernel, and not answered.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for peer in &mut cluster.peers[1..] {
        peer.address = silent.local_addr().unwrap();
    }
    cluster.tell_members();
    let file = bytes(1, 8 * PART);
    cluster.origin.add("nar/x.nar", file.clone());
    let began = Instant::now();
    assert!(cluster.read(0, "nar/x.nar").await == Ok(file));
    // Of one part two of the five peers are waited for, then of others at the same time the rest: 12.5 seconds.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let more = bytes(2, 8 * PART);
    cluster.origin.add("nar/y.nar", more.clone());
    let began = Instant::now();
    assert!(cluster.read(0, "nar/y.nar").await == Ok(more));
    assert!(
        began.elapsed() < Duration::from_millis(2_400),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lie_is_found_out_and_the_peer_is_asked_no_more() {
    let mut cluster = Cluster::start(4, 1).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let lie = move || {
        counted.fetch_add(1, SeqCst);
        async { ([("niphas-mesh-file-size", "1000")], vec![0; 1000]) }
    };
    surrounded_by(&mut cluster, Router::new().fallback(lie)).await;
    let file = bytes(1, 1000);
    // Names of which the first member is no home are found by trying.
    let mut lies = 0;
    for number in 0..6 {
        let (nar, narinfo) = (format!("nar/{number}.nar"), format!("{number}.narinfo"));
        cluster.origin.add(&nar, file.clone());
        let hash = HashAlgorithm::Sha256
            .digest(&file)
            .to_string(HashFormat::Nix32, true);
        let text = format!(
            "StorePath: /nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello\nURL: {nar}\nCompression: none\nFileHash: {hash}\n\
             FileSize: 1000\nNarHash: {hash}\nNarSize: 1000\n"
        );
        cluster.origin.add(&narinfo, text.clone().into());
        cluster.nodes[0].set_directory(niphas_mesh::Directory::new(cluster.peers[..1].to_vec()));
        assert_eq!(cluster.read(0, &narinfo).await, Ok(text.into_bytes()));
        cluster.tell_members();
        if cluster.read(0, &nar).await.unwrap() != file {
            lies += 1;
            assert_eq!(cluster.nodes[0].metrics().wrong_files(), lies);
            let before = asked.load(SeqCst);
            let mut again = cluster.read(0, &nar).await.unwrap();
            // Other peers may lie as well.
            while again != file {
                lies += 1;
                again = cluster.read(0, &nar).await.unwrap();
            }
            assert!(asked.load(SeqCst) - before <= 2);
        }
    }
    assert!((1..=3).contains(&lies), "{lies} lies of three peers");
    assert_eq!(asked.load(SeqCst) as u64, lies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn narinfos_that_are_none_are_asked_for_again_and_what_a_cache_is_of_no_peer() {
    let mut cluster = Cluster::start(4, 1).await;
    let other = "\
StorePath: /nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello
URL: nar/x.nar
Compression: none
NarHash: sha256:0000000000000000000000000000000000000000000000000000
NarSize: 1000
";
    let right = other.replace("s66mzxpvicwk07gjbjfw9izjfa797vsw", &"1".repeat(32));
    let name = format!("{}.narinfo", "1".repeat(32));
    cluster.origin.add(&name, right.clone().into());
    let info = b"StoreDir: /nix/store\n".to_vec();
    cluster.origin.add("nix-cache-info", info.clone());
    let size = other.len().to_string();
    let lie = move || async move { ([("niphas-mesh-file-size", size)], other) };
    surrounded_by(&mut cluster, Router::new().fallback(lie)).await;
    // The liars are homes of it, or are asked whether they have it.
    let read = cluster.read(0, &name).await;
    assert_eq!(read, Ok(right.into_bytes()));
    let lies = cluster.nodes[0].metrics().wrong_files();
    assert!((1..=3).contains(&lies), "{lies}");
    assert_eq!(cluster.read(0, "nix-cache-info").await, Ok(info));
    assert_eq!(cluster.nodes[0].metrics().wrong_files(), lies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_cache_is_is_known_when_it_is_gone() {
    let cluster = Cluster::start(3, 1).await;
    let info = b"StoreDir: /nix/store\n".to_vec();
    cluster.origin.add("nix-cache-info", info.clone());
    for node in 0..2 {
        assert_eq!(cluster.read(node, "nix-cache-info").await, Ok(info.clone()));
    }
    cluster.origin.stop();
    assert_eq!(cluster.read(2, "nix-cache-info").await, Ok(info));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_that_make_no_sense_are_not_taken() {
    type Nonsense = fn(HeaderMap) -> Response;
    let nonsense: [Nonsense; 8] = [
        |_| "no size".into_response(),
        |_| ([("niphas-mesh-file-size", "18446744073709551615")], "x").into_response(),
        |_| ([("niphas-mesh-file-size", "5")], "longer than five").into_response(),
        |_| {
            (
                [
                    ("niphas-mesh-file-size", "0"),
                    ("content-range", "bytes 0-1/2"),
                ],
                "xx",
            )
                .into_response()
        },
        |_| {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                [("niphas-mesh-peer", "no member")],
            )
                .into_response()
        },
        |_| (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response(),
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        // A circle of peers that name each other.
        |asked| {
            let from = asked["niphas-mesh-role"] == "holder";
            (
                StatusCode::SERVICE_UNAVAILABLE,
                [("niphas-mesh-peer", if from { "node-1" } else { "node-2" })],
            )
                .into_response()
        },
    ];
    for (number, answer) in nonsense.into_iter().enumerate() {
        let mut cluster = Cluster::start(4, 1).await;
        let answer = move |headers: HeaderMap| async move { answer(headers) };
        surrounded_by(&mut cluster, Router::new().fallback(answer)).await;
        let file = bytes(number, 3 * PART + 7);
        cluster.origin.add("nar/x.nar", file.clone());
        assert!(cluster.read(0, "nar/x.nar").await == Ok(file), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_know_different_members_get_their_files() {
    let cluster = Cluster::start(6, 2).await;
    let file = bytes(1, 5 * PART);
    cluster.origin.add("nar/x.nar", file.clone());
    // Each knows itself and two others, or none at all.
    for (number, node) in cluster.nodes.iter().enumerate() {
        let known = [number, (number + 1) % 6, (number + 3) % 6];
        let known = known.map(|number| cluster.peers[number].clone());
        let known = if number == 5 {
            Vec::new()
        } else {
            known.to_vec()
        };
        node.set_directory(niphas_mesh::Directory::new(known));
    }
    let reads = (0..6).map(|node| cluster.read(node, "nar/x.nar"));
    let began = Instant::now();
    for read in futures::future::join_all(reads).await {
        assert!(read == Ok(file.clone()));
    }
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
