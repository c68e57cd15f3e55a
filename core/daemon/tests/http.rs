//! The server of metrics and health, among peers that mean it ill.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = || async { niphas_daemon::metrics_page(&Registry::default()) };
        let pages = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }));
        let stop = CancellationToken::new();
        let task = tokio::spawn(niphas_daemon::serve(listener, pages, stop.clone()));
        Self {
            address,
            stop,
            task,
        }
    }

    /// A connection from 127.0.0.`host`.
    async fn connect_from(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
        socket.bind(own).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// What comes back for a page, head and all.
    async fn get_from(&self, host: u8, page: &str) -> String {
        let mut stream = self.connect_from(host).await;
        let request = format!("GET /{page} HTTP/1.1\r\nHost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// How many of the connections the server has closed.
async fn closed(streams: &mut [TcpStream]) -> usize {
    let mut number = 0;
    for stream in streams {
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0])).await;
        number += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    number
}

fn resident_memory(page: &str) -> u64 {
    let name = "process_resident_memory_bytes ";
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_requests_without_an_end_hold_up_no_other_and_take_no_memory() {
    let server = Server::start().await;
    let before = resident_memory(&server.get_from(1, "metrics").await);
    let address = server.address;
    // A thread of its own: the flood goes on while others ask.
    let flood = std::thread::spawn(move || {
        let mut head = b"GET /metrics HTTP/1.1\r\nHost: test\r\nX-Endless: ".to_vec();
        head.resize(4096, b'x');
        let open: Vec<_> = (0..2000)
            .map(|_| {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                // The server may have closed it meanwhile.
                let _ = stream.write_all(&head);
                stream
            })
            .collect();
        open.len()
    });
    let mut asked = 0;
    while !flood.is_finished() || asked == 0 {
        let started = Instant::now();
        let health = server.get_from(2, "healthz").await;
        assert!(health.ends_with("\r\n\r\nok\n"), "{health}");
        let page = server.get_from(2, "metrics").await;
        let grown = resident_memory(&page).saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more are in use");
        let time = started.elapsed();
        assert!(time < Duration::from_secs(3), "answered after {time:?}");
        asked += 1;
    }
    assert_eq!(flood.join().unwrap(), 2000);
    server.stop.cancel();
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_peer_has_a_share_of_the_connections() {
    let server = Server::start().await;
    let mut one = Vec::new();
    for _ in 0..20 {
        one.push(server.connect_from(1).await);
    }
    let mut other = vec![server.connect_from(2).await];
    assert!(server.get_from(2, "healthz").await.ends_with("ok\n"));
    assert_eq!(closed(&mut one[..4]).await, 4);
    assert_eq!(closed(&mut one[4..]).await, 0);

    // Full: the peers that have most give way.
    for host in 3..=5 {
        for _ in 0..16 {
            one.push(server.connect_from(host).await);
        }
    }
    assert!(server.get_from(6, "healthz").await.ends_with("ok\n"));
    assert_eq!(closed(&mut other).await, 0);
    server.stop.cancel();
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_request_without_an_end_is_given_up_on() {
    let server = Server::start().await;
    let started = Instant::now();
    let mut stream = server.connect_from(1).await;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let time = started.elapsed();
    assert!(time < Duration::from_secs(10), "closed after {time:?}");
    server.stop.cancel();
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let mut stream = server.connect_from(1).await;
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    server.stop.cancel();
    server.task.await.unwrap();
}
