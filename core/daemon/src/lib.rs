//! What the programs that run in a cluster share: logs, the stop signal, where the cluster is, which replica leads, metrics and the server of their page.

mod cluster;
mod http;
mod lease;
mod logging;
mod metrics;
mod stop;

pub use cluster::cluster;
pub use http::{Bounds, serve, serve_within};
pub use lease::Election;
pub use logging::{LogFormat, start as start_logging, start_with as start_logging_with};
pub use metrics::{metrics_page, process_metrics};
pub use stop::stop_signal;
