//! The address of builds. Every replica listens there: until one leads, the cache is only read at it.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::{StatusCode, header};
use niphas_cache_service::protocol::Problem;
use niphas_cache_service::serve::{ServedCache, router};
use niphas_daemon::{Bounds, serve_within};
use nix_formats::StoreDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::settings::BuildSettings;

/// Nix asks caches in this order, lowest first: before cache.nixos.org, which has 40.
const PRIORITY: u32 = 30;

/// The address of builds, at a replica that does not lead yet.
pub(crate) struct Door {
    listener: std::net::TcpListener,
    standby: JoinHandle<()>,
    until: CancellationToken,
}

impl Door {
    /// Listens, and serves the cache until this replica leads, or `stop`.
    pub(crate) async fn open(
        settings: &BuildSettings,
        address: SocketAddr,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "serving the cache of what is built");
        let listener = listener.into_std()?;
        let shared = TcpListener::from_std(listener.try_clone()?)?;
        let until = stop.child_token();
        let pages = router(served(settings)?).route("/builds/{*rest}", any(elsewhere));
        let standby = serve_within(shared, pages, Bounds::FILES, until.clone());
        Ok(Self {
            listener,
            standby: tokio::spawn(standby),
            until,
        })
    }

    /// Gives the address to what a leader serves there. Connections that wait to be accepted are not lost.
    pub(crate) async fn hand_over(self) -> anyhow::Result<TcpListener> {
        self.until.cancel();
        self.standby.await?;
        Ok(TcpListener::from_std(self.listener)?)
    }
}

/// The cache, as it is read at every replica.
pub(super) fn served(settings: &BuildSettings) -> anyhow::Result<ServedCache> {
    Ok(ServedCache {
        folder: settings.cache_folder(),
        store_dir: StoreDir::default(),
        priority: PRIORITY,
        tokens: settings.read_tokens()?,
    })
}

/// Sends a pod away: its next connection may reach the replica that leads.
async fn elsewhere() -> Response {
    let problem = Problem {
        message: "another replica of the service takes what is built; try again".to_owned(),
    };
    let headers = [
        (header::CONNECTION, "close"),
        (header::CONTENT_TYPE, "application/json"),
    ];
    let body = serde_json::to_string(&problem).unwrap_or_default();
    (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
}
