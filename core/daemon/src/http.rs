//! The HTTP server of metrics and health. Its port is open to the cluster's network, so what a peer can make it hold is bounded:
//! connections, their time, and the bytes of each.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Connections in all. Prometheus and kubelet open one for each request.
const MAX_CONNECTIONS: usize = 64;

/// Connections of one peer.
const MAX_OF_PEER: usize = 16;

/// How long a peer may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last: a scrape, read slowly.
const LIFETIME: Duration = Duration::from_secs(15);

/// The size of a request's head, in bytes, and of what is read at once.
const MAX_HEAD: usize = 8 * 1024;

/// How long requests that were begun may take after the server's end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long to wait after the kernel gave no connection: usually it has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves pages until `stop`; requests that were begun by then have a second to be answered.
///
/// A connection carries one request. Where there are too many connections, the oldest gives way to the newest: first of the same
/// peer, then of the peer that has most. So a peer that floods the port loses its own connections, and others are answered.
pub async fn serve(listener: TcpListener, pages: Router, stop: CancellationToken) {
    let mut open = Open::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = open.tasks.join_next_with_id() => {
                open.forget(&ended);
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let peer = peer(address.ip());
                open.make_room(peer).await;
                let task = open.tasks.spawn(answer(stream, pages.clone()));
                open.connections.push(Connection { peer, task });
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let answered = async { while open.tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, answered).await;
}

/// Answers one request.
async fn answer(stream: TcpStream, pages: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    // Why a peer's request came to nothing is the peer's concern.
    let _ = tokio::time::timeout(LIFETIME, connection).await;
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// The oldest first.
    connections: Vec<Connection>,
}

struct Connection {
    peer: IpAddr,
    task: AbortHandle,
}

impl Open {
    /// Ends connections until there is room for another one of a peer.
    async fn make_room(&mut self, peer: IpAddr) {
        while let Some(index) = self.in_the_way(peer) {
            let task = self.connections[index].task.clone();
            task.abort();
            // Its memory is free when its task has ended.
            while let Some(ended) = self.tasks.join_next_with_id().await {
                if self.forget(&ended) == task.id() {
                    break;
                }
            }
        }
    }

    /// Drops the connection of a task that ended; gives the task.
    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) -> Id {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.connections
            .retain(|connection| connection.task.id() != id);
        id
    }

    /// The connection that has to end before another one of a peer may begin.
    fn in_the_way(&self, peer: IpAddr) -> Option<usize> {
        let of = |peer| {
            let connections = self.connections.iter();
            connections
                .filter(|connection| connection.peer == peer)
                .count()
        };
        let loser = if of(peer) >= MAX_OF_PEER {
            peer
        } else if self.connections.len() >= MAX_CONNECTIONS {
            let peers = self.connections.iter().map(|connection| connection.peer);
            peers.max_by_key(|peer| of(*peer))?
        } else {
            return None;
        };
        let mut connections = self.connections.iter();
        connections.position(|connection| connection.peer == loser)
    }
}

/// The peer that an address stands for: a host has 2^64 addresses of IPv6 to itself.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}
