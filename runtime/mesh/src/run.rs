//! The mesh as a whole: from its start to its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use niphas_daemon::Bounds;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::cluster::{ServiceName, follow_keys, follow_members};
use crate::directory::Directory;
use crate::node::{Node, NodeOptions};
use crate::serve::router;
use crate::status::MeshStatus;
use crate::tokens::{Accounts, Gate, Keys};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 4 << 20;

/// Connections of peers and readers. Each takes about 100 KiB while it serves.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    of_peer: 96,
    stall_time: Duration::from_secs(10),
    max_head: 16 * 1024,
    ..Bounds::FILES
};

/// Where the members and the keys of tokens are found.
#[derive(Debug, Clone)]
pub enum Members {
    /// In files, which are read again when they change.
    Files {
        /// The members.
        members: PathBuf,
        /// The keys that tokens are signed by.
        keys: PathBuf,
    },
    /// In a cluster.
    Service {
        /// The Service whose endpoints are the members.
        service: ServiceName,
        /// The cluster; none for the one that this runs in.
        kubeconfig: Option<PathBuf>,
    },
}

/// What the mesh is started with.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// The node's name, as Kubernetes knows it.
    pub node: String,
    /// The caches whose files nodes share.
    pub caches: Vec<Url>,
    /// Where the members and the keys of tokens are found.
    pub members: Members,
    /// The file of the token that peers are shown.
    pub token_file: PathBuf,
    /// The audience of tokens.
    pub audience: String,
    /// Who may ask.
    pub accounts: Accounts,
    /// Where parts are kept.
    pub state: PathBuf,
    /// Bytes of parts that are kept.
    pub most_bytes: u64,
    /// Bytes that peers are sent in a second at most. None: as fast as they take them.
    pub upload_rate: Option<u64>,
    /// Where peers and readers ask.
    pub listen: SocketAddr,
    /// Where metrics, health and the status are served.
    pub listen_pages: SocketAddr,
}

/// Runs the mesh until it is asked to stop.
pub async fn run(options: MeshOptions) -> anyhow::Result<()> {
    let stop = niphas_daemon::stop_signal()?;
    let gate = Arc::new(Gate::new(options.audience, options.accounts));
    let node = Arc::new(Node::new(NodeOptions {
        name: options.node,
        caches: options.caches,
        folder: options.state,
        most_bytes: options.most_bytes,
        upload_rate: options.upload_rate,
        token_file: options.token_file,
        gate: Arc::clone(&gate),
    })?);
    let listener = listen(options.listen).await?;
    let pages = listen(options.listen_pages).await?;
    info!(address = %options.listen, "serving peers and readers");
    let following = follow(options.members, Arc::clone(&node), gate, stop.clone());
    let served = async {
        tokio::join!(
            niphas_daemon::serve_within(listener, router(Arc::clone(&node)), BOUNDS, stop.clone()),
            niphas_daemon::serve(pages, self::pages(Arc::clone(&node)), stop.clone()),
        );
        Ok(())
    };
    tokio::try_join!(following, served).map(|_| ())
}

/// Keeps members and keys as they are elsewhere, until `stop`.
async fn follow(
    members: Members,
    node: Arc<Node>,
    gate: Arc<Gate>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    match members {
        Members::Files { members, keys } => {
            let members = Follow::new(members, move |text| {
                node.set_directory(Directory::parse(text)?);
                Ok(())
            });
            let keys = Follow::new(keys, move |text| {
                gate.set_keys(Keys::parse(text)?);
                Ok(())
            });
            tokio::join!(members.run(stop.clone()), keys.run(stop));
        }
        Members::Service {
            service,
            kubeconfig,
        } => {
            let config = niphas_daemon::cluster(kubeconfig.as_deref()).await?;
            let config = config.context(
                "found no cluster: this runs in no pod, and no kubeconfig file is given",
            )?;
            let client = kube::Client::try_from(config)?;
            tokio::join!(
                follow_members(client.clone(), service, node, stop.clone()),
                follow_keys(client, gate, stop),
            );
        }
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("failed to listen on {address}"))
}

fn pages(node: Arc<Node>) -> Router {
    node.metrics().list_labels();
    let registry = Arc::new(node.metrics().registry());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/healthz", get(|| async { (StatusCode::OK, "ok\n") }))
        .with_state((node, registry))
}

async fn metrics(State((node, registry)): State<(Arc<Node>, Arc<Registry>)>) -> Response {
    node.measure();
    niphas_daemon::metrics_page(&registry)
}

async fn status(State((node, _)): State<(Arc<Node>, Arc<Registry>)>) -> Response {
    match serde_json::to_string(&MeshStatus::of(&node)) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A file that is read again when it changes. What cannot be read leaves what was read before.
struct Follow<F> {
    path: PathBuf,
    take: F,
    last: Option<Result<String, String>>,
}

impl<F: FnMut(&str) -> anyhow::Result<()>> Follow<F> {
    fn new(path: PathBuf, take: F) -> Self {
        Self {
            path,
            take,
            last: None,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        loop {
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            if let Ok(read) = read {
                self.look(read.map_err(|error| format!("{error:#}")));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    fn look(&mut self, read: Result<String, String>) {
        if self.last.as_ref() == Some(&read) {
            return;
        }
        let taken = match &read {
            Ok(text) => (self.take)(text).map_err(|error| format!("{error:#}")),
            Err(error) => Err(error.clone()),
        };
        let file = self.path.display();
        match taken {
            Ok(()) => info!(%file, "read"),
            Err(error) => warn!(%file, error, "failed to use a file; what was read before stays"),
        }
        self.last = Some(read);
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path)?.len();
    anyhow::ensure!(
        size <= MOST_BYTES,
        "expected at most {MOST_BYTES} bytes, found {size}"
    );
    Ok(std::fs::read_to_string(path)?)
}
