//! `/metrics`, `/healthz` and `/readyz`, for Prometheus and for kubelet's probes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use prometheus_client::registry::Registry;

/// The pages.
///
/// The operator is alive and ready as long as it answers: one that does not lead waits, and one that cannot reach the API server
/// would not be helped by a restart.
pub(crate) fn pages(registry: Registry) -> Router {
    let metrics = |State(registry): State<Arc<Registry>>| async move {
        niphas_daemon::metrics_page(&registry)
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .with_state(Arc::new(registry))
}
