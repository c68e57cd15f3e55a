//! Keeps the store from filling the disk.

use std::time::Duration;

use niphas_store::{GcOptions, Store, Watermark};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::metrics::{Metrics, OutcomeLabels};

/// When to collect garbage, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcPolicy {
    /// Begin when the store is fuller than this.
    pub above: Watermark,
    /// And go on until it is no fuller than this.
    pub down_to: Watermark,
    /// How often to look.
    pub interval: Duration,
}

/// Looks after the store until `stop`.
pub(crate) async fn keep_space(
    store: Store,
    policy: GcPolicy,
    metrics: Metrics,
    stop: CancellationToken,
) {
    loop {
        let (store, metrics) = (store.clone(), metrics.clone());
        let cancel = stop.clone();
        let looked = tokio::task::spawn_blocking(move || look(&store, &policy, &metrics, cancel));
        if looked.await.is_err() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(policy.interval) => {}
        }
    }
}

fn look(store: &Store, policy: &GcPolicy, metrics: &Metrics, cancel: CancellationToken) {
    let options = GcOptions {
        above: Some(policy.above),
        down_to: Some(policy.down_to),
        cancel,
        ..GcOptions::default()
    };
    let count = |outcome| {
        metrics
            .gc_runs
            .get_or_create(&OutcomeLabels { outcome })
            .inc()
    };
    match store.collect_garbage(&options) {
        Ok(report) if report == niphas_store::GcReport::default() => {}
        Ok(report) => {
            count("ok");
            metrics.gc_freed_bytes.inc_by(report.freed);
            metrics
                .gc_deleted_paths
                .inc_by(report.collected.len() as u64);
            info!(
                deleted_paths = report.collected.len(),
                freed_bytes = report.freed,
                held_paths = report.rooted,
                "collected garbage"
            );
        }
        Err(problem) => {
            count("failed");
            error!(
                error = nix_formats::chain(&problem),
                "garbage cannot be collected"
            );
        }
    }
    if let Err(problem) = measure(store, metrics) {
        warn!(
            error = nix_formats::chain(problem.as_ref()),
            "the store cannot be measured"
        );
    }
}

fn measure(store: &Store, metrics: &Metrics) -> Result<(), Box<dyn std::error::Error>> {
    let size = store.size();
    metrics
        .store_bytes
        .set((size.pack_bytes + size.image_bytes) as i64);
    metrics.store_paths.set(size.paths as i64);
    let disk = rustix::fs::statvfs(store.dir())?;
    metrics
        .file_system_bytes
        .set((disk.f_blocks * disk.f_frsize) as i64);
    metrics
        .file_system_free_bytes
        .set((disk.f_bavail * disk.f_frsize) as i64);
    Ok(())
}
