//! Keeps the store from filling the disk.

use std::time::Duration;

use niphas_store::{Collected, GcOptions, Store, Watermark};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::metrics::{Cause, Metrics};

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
    let result = store.collect_garbage(&options);
    let mut collected = Collected::default();
    collected.add(&result);
    metrics.collected(Cause::Interval, &collected);
    count_for_fetches(store, metrics);
    match result {
        Ok(report) if report == niphas_store::GcReport::default() => {}
        Ok(report) => {
            info!(
                deleted_paths = report.collected.len(),
                freed_bytes = report.freed,
                held_paths = report.rooted,
                "collected garbage"
            );
        }
        Err(problem) => {
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

/// Counts what the store collected by itself to make room for fetches.
pub(crate) fn count_for_fetches(store: &Store, metrics: &Metrics) {
    metrics.collected(Cause::Fetch, &store.collected_for_fetches());
}

fn measure(store: &Store, metrics: &Metrics) -> Result<(), Box<dyn std::error::Error>> {
    metrics.store(&store.size());
    let disk = rustix::fs::statvfs(store.dir())?;
    let bytes = |blocks: u64| blocks * disk.f_frsize;
    metrics.file_system(bytes(disk.f_blocks), bytes(disk.f_bavail));
    Ok(())
}
