//! `/metrics`, `/healthz` and `/readyz`, for Prometheus and for kubelet's probes of the driver's own container.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::proto::csi::ProbeRequest;
use crate::proto::csi::identity_client::IdentityClient;

/// How long the driver may take to answer its own probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the driver probes itself.
const PROBE_PAUSE: Duration = Duration::from_secs(5);

/// What the pages tell.
pub(crate) struct Pages {
    /// What is measured.
    pub(crate) registry: Registry,
    /// The driver's socket, once it is served.
    pub(crate) socket: watch::Receiver<Option<PathBuf>>,
    /// Whether kubelet took the driver; true from the start if kubelet is not asked.
    pub(crate) registered: watch::Receiver<bool>,
}

/// What the driver's last probe of itself came to; none before the first.
type Probed = watch::Receiver<Option<Result<(), String>>>;

/// Serves the pages until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    pages: Arc<Pages>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let (told, probed) = watch::channel(None);
    let mut socket = pages.socket.clone();
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(move |pages| healthz(pages, probed)))
        .route("/readyz", get(readyz))
        .with_state(pages);
    // Probed here and not by each request, or those who may send requests could keep the driver busy with itself.
    let probing = async {
        // Without a sender the driver ends, and so does `stop`.
        let Ok(socket) = socket
            .wait_for(Option::is_some)
            .await
            .map(|socket| socket.clone())
        else {
            return std::future::pending().await;
        };
        let socket = socket.unwrap_or_default();
        loop {
            told.send_replace(Some(probe(socket.clone()).await));
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    };
    tokio::select! {
        () = niphas_daemon::serve(listener, router, stop) => Ok(()),
        never = probing => never,
    }
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    niphas_daemon::metrics_page(&pages.registry)
}

/// Alive: the driver is still starting, or answers on its socket, which is what kubelet needs of it.
async fn healthz(State(pages): State<Arc<Pages>>, mut probed: Probed) -> (StatusCode, String) {
    if pages.socket.borrow().is_none() {
        return (StatusCode::OK, "starting\n".to_owned());
    }
    match probed.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(Ok(()))) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Some(Err(error))) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the driver does not answer on its socket: {error}\n"),
        ),
        Ok(None) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()),
    }
}

/// Ready: pods on this node can mount closures.
async fn readyz(State(pages): State<Arc<Pages>>) -> (StatusCode, &'static str) {
    if pages.socket.borrow().is_none() {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    } else if !*pages.registered.borrow() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "kubelet has not registered the driver\n",
        )
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn probe(socket: PathBuf) -> Result<(), String> {
    let asked = async {
        let channel = connect(socket)
            .await
            .map_err(|error| nix_formats::chain(&error))?;
        let mut client = IdentityClient::new(channel);
        let answer = client.probe(ProbeRequest {}).await;
        answer.map(drop).map_err(|status| status.to_string())
    };
    tokio::time::timeout(PROBE_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {} s", PROBE_TIMEOUT.as_secs())))
}

/// A gRPC channel to a unix socket.
pub(crate) async fn connect(socket: PathBuf) -> Result<Channel, tonic::transport::Error> {
    // The address is never looked at.
    Endpoint::from_static("http://socket")
        .connect_with_connector(service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
}
