//! Garbage collection of the service's own cache.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::ListParams;
use niphas_api::NiphasWorkload;
use niphas_build_jobs::executor::WorkshopError;
use niphas_cache_service::gc::Options;
use niphas_cache_service::ingest::Ingest;
use nix_formats::{StoreDir, StorePath};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::deliveries::Pods;
use super::shop::Shop;
use crate::cluster::patiently;

/// How often it is collected.
const INTERVAL: Duration = Duration::from_hours(6);

/// Workloads that are listed at once.
const PAGE: u32 = 100;

/// Collects now and then, until `stop`.
pub(super) async fn collect(shop: Arc<Shop>, ingest: Ingest<Pods>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    // The first comes at once, when there is enough else to do.
    ticks.tick().await;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let roots = match roots(&shop).await {
            Ok(roots) => roots,
            Err(error) => {
                let error = nix_formats::chain(&*error);
                warn!(
                    error,
                    "failed to list what sources and workloads need; no garbage is collected"
                );
                continue;
            }
        };
        let keep = shop.settings.keep;
        let options = Options {
            min_age: keep.all_for.as_std(),
            ..Options::new(StoreDir::default(), keep.mebibytes << 20)
        };
        let folder = shop.settings.cache_folder();
        match ingest.collect_garbage(folder, roots, options).await {
            Ok(report) => info!(
                removed_paths = report.removed_paths,
                removed_bytes = report.removed_bytes,
                kept_paths = report.kept_paths,
                kept_bytes = report.kept_bytes,
                "collected the garbage of the cache"
            ),
            Err(error) => {
                let error = nix_formats::chain(&error);
                warn!(error, "failed to collect the garbage of the cache");
            }
        }
    }
}

/// What the last commits of sources need, and what the workloads of this cluster run.
async fn roots(shop: &Shop) -> Result<BTreeSet<StorePath>, WorkshopError> {
    let generations = Arc::clone(&shop.generations);
    let roots = tokio::task::spawn_blocking(move || generations.roots());
    let mut roots = roots.await??;
    let api: Api<NiphasWorkload> = Api::all(shop.client.clone());
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = patiently(api.list(&params)).await?;
        for workload in &page.items {
            for closure in &workload.spec.closures {
                roots.extend(closure.roots.iter().map(|root| root.path().clone()));
            }
        }
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(roots),
        }
    }
}
