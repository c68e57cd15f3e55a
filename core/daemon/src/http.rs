//! HTTP servers. Their ports are open to the cluster's network, so what a peer can make them hold is bounded: connections, their
//! time, and the bytes of each.

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

/// What peers can make a server hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one peer.
    pub of_peer: usize,
    /// How long a peer may take to send a request's head, and be silent before it.
    pub head_time: Duration,
    /// How long a connection may last. None: as long as bytes go either way.
    pub lifetime: Option<Duration>,
    /// How long bytes may be on their way to a peer that does not take them.
    pub stall_time: Duration,
    /// The size of a request's head, in bytes, and of what is read at once.
    pub max_head: usize,
    /// Connections carry several requests, one after the other.
    pub keep_alive: bool,
}

impl Bounds {
    /// For metrics and health: Prometheus and kubelet open a connection for each request, and read what is small.
    pub const PAGES: Self = Self {
        connections: 64,
        of_peer: 16,
        head_time: Duration::from_secs(5),
        lifetime: Some(Duration::from_secs(15)),
        stall_time: Duration::from_secs(15),
        max_head: 8 * 1024,
        keep_alive: false,
    };

    /// For large files: nodes and build pods keep many connections, and each may last.
    pub const FILES: Self = Self {
        connections: 1024,
        of_peer: 256,
        head_time: Duration::from_secs(30),
        lifetime: None,
        stall_time: Duration::from_mins(1),
        max_head: 64 * 1024,
        keep_alive: true,
    };
}

/// How long requests that were begun may take after the server's end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long to wait after the kernel gave no connection: usually it has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves pages until `stop`; requests that were begun by then have a second to be answered.
pub async fn serve(listener: TcpListener, pages: Router, stop: CancellationToken) {
    serve_within(listener, pages, Bounds::PAGES, stop).await;
}

/// As [`serve`], within other bounds.
///
/// Where there are too many connections, the oldest gives way to the newest: first of the same
/// peer, then of the peer that has most. So a peer that floods the port loses its own connections, and others are answered.
pub async fn serve_within(
    listener: TcpListener,
    pages: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let mut open = Open::within(bounds.clone());
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
                let task = open
                    .tasks
                    .spawn(answer(stream, pages.clone(), bounds.clone()));
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

/// Answers the requests of a connection.
async fn answer(stream: TcpStream, pages: Router, bounds: Bounds) {
    // The kernel ends a connection whose peer takes nothing, whatever it says.
    let stall_time = bounds.stall_time.as_millis() as u32;
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, stall_time) {
        warn!(%error, "failed to bound a connection");
        return;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_buf_size(bounds.max_head)
        .keep_alive(bounds.keep_alive)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    // Why a peer's request came to nothing is the peer's concern.
    let _ = match bounds.lifetime {
        Some(lifetime) => tokio::time::timeout(lifetime, connection).await,
        None => Ok(connection.await),
    };
}

/// The connections that are open.
struct Open {
    bounds: Bounds,
    tasks: JoinSet<()>,
    /// The oldest first.
    connections: Vec<Connection>,
}

struct Connection {
    peer: IpAddr,
    task: AbortHandle,
}

impl Open {
    fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            tasks: JoinSet::new(),
            connections: Vec::new(),
        }
    }

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
        let loser = if of(peer) >= self.bounds.of_peer {
            peer
        } else if self.connections.len() >= self.bounds.connections {
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
