//! The operator of niphas: makes the children of `NiphasWorkload`s, and tells in their status how they are.
//!
//! What a workload's children are is said by [`niphas_api::children`]. `watches` keep in mind what is there; `plan`, a pure
//! function, compares the two; `apply` makes the requests, by server-side apply; `status`, pure again, says how the workload is.
//! As long as nothing changes no request is made.

mod apply;
mod child;
mod controller;
mod events;
mod fetch;
mod http;
mod kinds;
mod metadata;
mod metrics;
mod observed;
mod plan;
mod pods;
mod reconcile;
mod rollout;
mod status;
mod turns;
mod watches;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use kube::client::ClientBuilder;
use niphas_daemon::Election;
use tokio::net::TcpListener;
use tracing::info;

pub use niphas_api::BASE_IMAGE;

use controller::Settings;
use metrics::{CountRequests, Metrics};

/// The name that the operator's fields are managed under.
pub const FIELD_MANAGER: &str = "niphas-operator";

/// How the operator runs.
#[derive(Debug)]
pub struct Options {
    /// The image that pods name.
    pub base_image: String,
    /// How often a workload is looked at when nothing happens.
    pub resync: Duration,
    /// The namespaces to work for; all if there are none.
    pub namespaces: Vec<String>,
    /// The namespace of the Lease.
    pub lease_namespace: String,
    /// The name of the Lease.
    pub lease_name: String,
    /// Who this replica is.
    pub identity: String,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// The cluster to work for; the one that the operator runs in if there is none.
    pub kubeconfig: Option<PathBuf>,
}

/// Runs the operator until it is asked to end, or loses the Lease.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stop = niphas_daemon::stop_signal()?;
    let metrics = Metrics::default();
    let config = niphas_daemon::cluster(options.kubeconfig.as_deref())
        .await?
        .context("not running in a pod of a cluster; name a cluster with --kubeconfig")?;
    let client = ClientBuilder::try_from(config)?
        .with_layer(&CountRequests(metrics.clone()))
        .build();
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    info!(address = %listener.local_addr()?, "serving metrics and health");
    let pages = http::pages(metrics.registry());
    let pages = tokio::spawn(niphas_daemon::serve(listener, pages, stop.clone()));

    let mut election = Election::new(
        client.clone(),
        &options.lease_namespace,
        options.lease_name.clone(),
        options.identity.clone(),
    );
    metrics.leads(&options.lease_name, false);
    if election.win(&stop).await {
        info!(
            lease = options.lease_name,
            identity = options.identity,
            "leading"
        );
        metrics.leads(&options.lease_name, true);
        let settings = Settings {
            identity: options.identity,
            base_image: options.base_image,
            resync: options.resync,
            namespaces: options.namespaces,
        };
        let running = controller::run(client, settings, metrics.clone(), stop.clone());
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => {}
            is_lost = election.keep(&stop) => {
                // Whatever is under way is dropped: another replica leads from now on.
                anyhow::ensure!(!is_lost, "the lease '{}' was lost", options.lease_name);
                running.await;
            }
        }
        metrics.leads(&options.lease_name, false);
        election.release().await;
    }
    pages.await?;
    info!("stopped");
    Ok(())
}
