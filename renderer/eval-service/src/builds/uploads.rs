//! What pods uploaded that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use niphas_cache_service::ingest::Ingest;
use niphas_cache_service::protocol::BuildName;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::deliveries::Pods;
use super::shop::Shop;

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_mins(1);

/// How long uploads are kept without a Job: one may not be known yet.
const PATIENCE: Duration = Duration::from_mins(1);

/// Removes the uploads of builds that have no Job any more, until `stop`: a Job goes after its pods.
pub(super) async fn sweep(shop: Arc<Shop>, ingest: Ingest<Pods>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if ingest.is_empty() {
            continue;
        }
        let Ok(Some(jobs)) = shop.builds.jobs().await else {
            continue;
        };
        let builds = jobs
            .iter()
            .flat_map(|job| job.members.iter().chain([&job.derivation]));
        let builds: BTreeSet<BuildName> = builds.map(BuildName::of).collect();
        let count = ingest.keep_only(builds, PATIENCE).await;
        if count > 0 {
            info!(count, "removed uploads whose Jobs are gone");
        }
    }
}
