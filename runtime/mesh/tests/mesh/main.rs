//! Nodes of a mesh in one process, on sockets of their own, with an origin that counts what it sends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod faults;
mod limits;
mod security;

use std::time::Duration;

use niphas_mesh::{Metrics, PART};

use cluster::{Cluster, bytes};

/// Bytes that came from each source: the origin, the zone, other zones.
fn received(metrics: &Metrics) -> [u64; 3] {
    use niphas_mesh::ReceivedFrom::{Origin, OtherZone, Zone};
    [Origin, Zone, OtherZone].map(|source| metrics.bytes_received(source))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_leave_their_origin_once_however_many_nodes_ask_at_the_same_time() {
    let mut cluster = Cluster::start(10, 1).await;
    let mut size = 0;
    for number in 0..40 {
        // The last is as large as all others together.
        let length = if number == 39 {
            9 * PART + 5
        } else {
            1 + number * PART / 39
        };
        size += length;
        cluster
            .origin
            .add(&format!("nar/{number}.nar"), bytes(number, length));
    }
    cluster.read_everywhere().await;
    assert_eq!(cluster.origin.sent(), size as u64);
    let sent = cluster.nodes.iter().map(|node| node.metrics().bytes_sent());
    let (most, all) = (sent.clone().max().unwrap(), sent.sum::<u64>());
    assert_eq!(all, 9 * size as u64);
    assert!(most <= 3 * all / 10, "one node sent {most} of {all} bytes");
    for node in &cluster.nodes {
        assert_eq!(received(node.metrics()).iter().sum::<u64>(), size as u64);
    }
    // What is there is read again without asking.
    cluster.read_everywhere().await;
    assert_eq!(cluster.origin.sent(), size as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_cross_to_each_other_zone_once() {
    let mut cluster = Cluster::start(9, 3).await;
    let mut size = 0;
    for number in 0..12 {
        size += number * PART / 4;
        cluster.origin.add(
            &format!("nar/{number}.nar"),
            bytes(number, number * PART / 4),
        );
    }
    cluster.read_everywhere().await;
    assert_eq!(cluster.origin.sent(), size as u64);
    let across = cluster.nodes.iter().map(|node| received(node.metrics())[2]);
    assert_eq!(across.sum::<u64>(), 2 * size as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_all_nodes_have_what_has_arrived_before_the_rest_has() {
    let cluster = Cluster::start(5, 1).await;
    let file = bytes(1, PART);
    cluster.origin.add("nar/slow.nar", file.clone());
    cluster.origin.hold_after(PART / 2);
    let mut responses = Vec::new();
    for node in 0..5 {
        responses.push((cluster.get(node, "nar/slow.nar").await, Vec::new()));
    }
    let read = async |wanted: usize, responses: &mut Vec<(reqwest::Response, Vec<u8>)>| {
        for (response, here) in responses {
            while here.len() < wanted {
                let piece = tokio::time::timeout(Duration::from_secs(2), response.chunk()).await;
                here.extend_from_slice(
                    &piece.expect("bytes in time").unwrap().expect("more bytes"),
                );
            }
        }
    };
    read(PART / 2, &mut responses).await;
    cluster.origin.go_on();
    read(PART, &mut responses).await;
    assert!(responses.iter().all(|(_, here)| *here == file));
    assert_eq!(cluster.origin.sent(), PART as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_node_read_is_there_for_others_when_the_origin_is_gone() {
    let cluster = Cluster::start(6, 2).await;
    let file = bytes(1, 3 * PART);
    cluster.origin.add("nar/x.nar", file.clone());
    assert_eq!(cluster.read(0, "nar/x.nar").await, Ok(file.clone()));
    cluster.origin.stop();
    // Those of the other zone ask its home, which finds the home of all zones.
    for node in 1..6 {
        assert_eq!(
            cluster.read(node, "nar/x.nar").await,
            Ok(file.clone()),
            "{node}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_come_when_the_origin_is_gone_find_what_others_have() {
    let cluster = Cluster::start(8, 1).await;
    let file = bytes(1, 6 * PART);
    cluster.origin.add("nar/x.nar", file.clone());
    let of = |range: std::ops::Range<usize>| {
        let peers = cluster.peers[range].iter().cloned();
        niphas_mesh::Directory::new(peers)
    };
    // Two are there first; of most parts others are the homes later.
    for node in &cluster.nodes[..2] {
        node.set_directory(of(0..2));
    }
    assert!(cluster.read(0, "nar/x.nar").await == Ok(file.clone()));
    cluster.origin.stop();
    cluster.tell_members();
    for node in 2..8 {
        assert!(
            cluster.read(node, "nar/x.nar").await == Ok(file.clone()),
            "{node}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_are_read_from_their_middle_on() {
    let cluster = Cluster::start(3, 1).await;
    let file = bytes(1, 2 * PART + 100);
    cluster.origin.add("nar/x.nar", file.clone());
    for start in [0, 1, PART, PART + 5, 2 * PART + 99] {
        let range = format!("bytes={start}-");
        let answer = cluster.get_range(1, "nar/x.nar", &range).await;
        assert_eq!(answer.status(), 206);
        let size = file.len();
        let range = format!("bytes {start}-{}/{size}", size - 1);
        assert_eq!(answer.headers()["content-range"], *range);
        assert_eq!(answer.bytes().await.unwrap(), file[start..]);
    }
    let answer = cluster
        .get_range(1, "nar/x.nar", &format!("bytes={}-", file.len()))
        .await;
    assert_eq!(answer.status(), 416);
    cluster.origin.add("nar/empty.nar", Vec::new());
    assert_eq!(cluster.read(0, "nar/empty.nar").await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn caches_that_give_no_parts_of_files_are_shared_as_far_as_files_are_small() {
    let cluster = Cluster::start(4, 1).await;
    cluster.origin.knows_no_ranges();
    let small = bytes(1, PART);
    cluster.origin.add("nar/small.nar", small.clone());
    cluster.origin.add("nar/large.nar", bytes(2, PART + 1));
    for node in 0..4 {
        assert_eq!(cluster.read(node, "nar/small.nar").await, Ok(small.clone()));
        // So readers ask the cache itself.
        assert_eq!(cluster.read(node, "nar/large.nar").await, Err(404));
    }
    // The answer with the large file is dropped, by the home alone.
    let most = PART + 4 * (PART + 1);
    assert!(
        cluster.origin.sent() <= most as u64,
        "{}",
        cluster.origin.sent()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_origin_lacks_is_not_there() {
    let cluster = Cluster::start(3, 1).await;
    assert_eq!(cluster.read(0, "nar/none.nar").await, Err(404));
    assert_eq!(cluster.read(0, "aaaa.narinfo").await, Err(404));
}
