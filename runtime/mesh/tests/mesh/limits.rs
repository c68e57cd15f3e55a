//! What a node takes on.

use std::time::{Duration, Instant};

use niphas_mesh::{Directory, PART};

use crate::cluster::{Cluster, bytes};

const MIB: u64 = 1 << 20;

/// The first node has a file, and the origin is gone.
async fn held_by_the_first(nodes: usize, rate: Option<u64>, file: &[u8]) -> Cluster {
    let cluster = Cluster::with_upload_rate(nodes, 1, rate).await;
    cluster.origin.add("nar/x.nar", file.to_vec());
    cluster.nodes[0].set_directory(Directory::new(cluster.peers[..1].to_vec()));
    assert!(cluster.read(0, "nar/x.nar").await.as_deref() == Ok(file));
    cluster.origin.stop();
    cluster.tell_members();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn peers_are_sent_no_more_bytes_in_a_second_than_the_rate() {
    let file = bytes(1, 2 * PART);
    let cluster = held_by_the_first(2, Some(4 * MIB), &file).await;
    let began = Instant::now();
    assert!(cluster.read(1, "nar/x.nar").await == Ok(file));
    let taken = began.elapsed();
    // 8 MiB, of which a tenth of a second's may go at once.
    assert!(taken >= Duration::from_millis(1_800), "{taken:?}");
    assert!(taken < Duration::from_secs(6), "{taken:?}");
    // The node's own readers are not kept back.
    let began = Instant::now();
    assert!(cluster.read(0, "nar/x.nar").await.is_ok());
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_low_rate_is_shared_and_none_takes_it_for_silence() {
    let file = bytes(1, PART);
    // Of four nodes at a time each gets a fifth of a second's bytes; there are as many uploads as that allows.
    let cluster = held_by_the_first(5, Some(MIB), &file).await;
    let reads = (1..5).map(|node| cluster.read(node, "nar/x.nar"));
    for read in futures::future::join_all(reads).await {
        assert!(read.as_ref() == Ok(&file));
    }
    let faults: u64 = cluster
        .nodes
        .iter()
        .map(|node| node.metrics().faults())
        .sum();
    assert_eq!(faults, 0);
}
