//! Keeps the store from filling the disk.

use std::time::Duration;

use niphas_store::{Collected, GcOptions, Store, Watermark};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::metrics::{CauseLabels, CollectionLabels, Metrics};

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
    count(metrics, "interval", &collected);
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
    count(metrics, "fetch", &store.collected_for_fetches());
}

fn count(metrics: &Metrics, cause: &'static str, collected: &Collected) {
    for (outcome, runs) in [("ok", collected.runs), ("failed", collected.failed)] {
        let labels = CollectionLabels { cause, outcome };
        metrics.gc_runs.get_or_create(&labels).inc_by(runs);
    }
    let labels = CauseLabels { cause };
    metrics
        .gc_freed_bytes
        .get_or_create(&labels)
        .inc_by(collected.freed);
    metrics
        .gc_deleted_paths
        .get_or_create(&labels)
        .inc_by(collected.paths);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_counted_by_what_began_them() {
        let metrics = Metrics::default();
        let collected = |runs, failed, paths, freed| Collected {
            runs,
            failed,
            paths,
            freed,
        };
        count(&metrics, "interval", &collected(1, 0, 3, 4096));
        count(&metrics, "fetch", &collected(2, 1, 5, 8192));
        count(&metrics, "fetch", &Collected::default());
        let mut text = String::new();
        let registry = metrics.registry("erofs");
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("niphas_csi_gc_"))
            .collect();
        let expected = [
            "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"ok\"} 1",
            "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"failed\"} 0",
            "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"ok\"} 2",
            "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"failed\"} 1",
            "niphas_csi_gc_freed_bytes_total{cause=\"interval\"} 4096",
            "niphas_csi_gc_freed_bytes_total{cause=\"fetch\"} 8192",
            "niphas_csi_gc_deleted_paths_total{cause=\"interval\"} 3",
            "niphas_csi_gc_deleted_paths_total{cause=\"fetch\"} 5",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for line in expected {
            assert!(shown.contains(&line), "no {line} in {shown:?}");
        }
    }
}
