//! `/metrics`, `/healthz` and `/readyz`, for Prometheus and for kubelet's probes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the pages until `stop`.
///
/// The operator is alive and ready as long as it answers: one that does not lead waits, which is all it is to do, and one that
/// cannot reach the API server would not be helped by a restart.
pub(crate) async fn serve(
    listener: TcpListener,
    registry: Registry,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let metrics = |State(registry): State<Arc<Registry>>| async move {
        niphas_daemon::metrics_page(&registry)
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .with_state(Arc::new(registry));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}
