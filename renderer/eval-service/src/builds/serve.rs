//! What runs as long as the service leads: the cache is served, pods are heard, Jobs are made, and garbage is collected.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use kube::Client;
use niphas_build_jobs::executor::{self, Executor};
use niphas_cache_service::ingest::{Ingest, Limits, Settings};
use niphas_cache_service::serve::{ServedCache, router};
use niphas_daemon::{Bounds, serve_within};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::deliveries::Pods;
use super::door::served;
use super::logs::Logs;
use super::settings::BuildSettings;
use super::shop::Shop;
use super::{durations, garbage, uploads};
use crate::metrics::Metrics;

/// How often it is written how long builds took.
const DURATIONS: Duration = Duration::from_secs(30);

/// All that builds need of the service.
pub(crate) struct Site {
    pub(crate) shop: Arc<Shop>,
    ingest: Ingest<Pods>,
    cache: ServedCache,
    commands: mpsc::Receiver<executor::Command>,
}

impl Site {
    /// Opens the folders. Blocks.
    pub(crate) fn open(
        settings: BuildSettings,
        client: Client,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let folder = settings.cache_folder();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make '{}'", folder.display()))?;
        let key = settings.signing_key()?;
        let cache = served(&settings)?;
        let (builds, commands) = executor::Builds::new();
        let uploads = settings.folder.join("uploads");
        let shop = Arc::new(Shop::new(settings, (client, metrics), key, builds)?);
        let ingest = Ingest::new(
            Pods(Arc::clone(&shop)),
            Settings {
                target: shop.target.url.clone(),
                caches: shop.settings.caches(&shop.key)?,
                keys: Arc::clone(&shop.target.keys),
                staging: uploads.clone(),
                limits: Limits::default(),
            },
        );
        let ingest = ingest.with_context(|| format!("failed to open '{}'", uploads.display()))?;
        Ok(Self {
            shop,
            ingest,
            cache,
            commands,
        })
    }

    /// The logs of builds.
    pub(crate) fn logs(&self) -> Logs {
        Logs {
            shop: Arc::clone(&self.shop),
            ingest: self.ingest.clone(),
        }
    }

    /// Makes the cache, if it is not there yet.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        let folder = self.cache.folder.display();
        let begun = self.shop.target.begin().await;
        begun.with_context(|| format!("failed to make a cache in '{folder}'"))
    }

    /// Serves, builds and collects until `stop`.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let Self {
            shop,
            ingest,
            cache,
            commands,
        } = self;
        let tasks = TaskTracker::new();
        let pages: Router = ingest.router().fallback_service(router(cache));
        tasks.spawn(serve_within(listener, pages, Bounds::FILES, stop.clone()));
        let (sweeper, until) = (ingest.clone(), stop.clone());
        tasks.spawn(async move { sweeper.sweep(until).await });
        tasks.spawn(keep_durations(Arc::clone(&shop), stop.clone()));
        tasks.spawn(uploads::sweep(
            Arc::clone(&shop),
            ingest.clone(),
            stop.clone(),
        ));
        tasks.spawn(garbage::collect(Arc::clone(&shop), ingest, stop.clone()));
        let executor = Executor::new(shop.client.clone(), &shop.settings.jobs.namespace);
        let policy = shop.settings.policy.clone();
        let limits = shop.settings.limits.schedule();
        executor::run(executor, shop, policy, limits, commands, stop).await;
        tasks.close();
        tasks.wait().await;
    }
}

/// Writes now and then how long builds took, and once more in the end.
async fn keep_durations(shop: Arc<Shop>, stop: CancellationToken) {
    loop {
        let pause = tokio::time::sleep(DURATIONS);
        let is_last = stop.run_until_cancelled(pause).await.is_none();
        let text = shop.durations().text();
        if let Some(text) = text {
            let file = shop.settings.durations_file();
            let written = tokio::task::spawn_blocking(move || durations::write(&file, &text)).await;
            if let Ok(Err(error)) = written {
                warn!(%error, "failed to write how long builds took");
            }
        }
        if is_last {
            return;
        }
    }
}
