use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// All that the registry holds and how much memory the process takes, as Prometheus reads it.
pub fn metrics_page(registry: &Registry) -> Response {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode_registry(&mut text, &process_metrics());
    let _ = encode_registry(&mut text, registry);
    let _ = encode_eof(&mut text);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Metrics of this process, under the names that Prometheus' own libraries give them; they are a part of each page.
pub fn process_metrics() -> Registry {
    let mut registry = Registry::default();
    if let Some(bytes) = resident_memory() {
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            ConstGauge::new(bytes),
        );
    }
    registry
}

/// None where the kernel does not say.
fn resident_memory() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
