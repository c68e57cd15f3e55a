//! `niphas-eval`: every push to a source's repository becomes a commit in its GitOps repository.
//!
//! Webhooks and polls say that a branch may have moved. `queue`, a pure state machine, says what is looked at and what is run, and
//! when. A run fetches the branch with the source's login, and what its lock file names; a process of its own evaluates it, which has
//! nothing but those files (`child`); then the closures are looked up, rendered and committed by the same libraries as `niphas render`.
//!
//! Git hosts get statuses of how runs stand (`reports`), and people see pages of them (`pages`).
//!
//! There is no database: what is known of a source stands in its status. Of several replicas all receive webhooks, and one runs
//! sources; they tell it by annotations.

mod builds;
mod child;
mod cluster;
mod controller;
mod evaluate;
mod fetch;
mod forge;
mod hook;
mod http;
mod leftovers;
mod login;
mod metrics;
mod pages;
pub mod policy;
mod proposal;
mod pull_requests;
mod queue;
mod reports;
mod run;
mod source;
mod status;
mod target;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use kube::Client;
use niphas_daemon::Election;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use builds::Door;
use controller::Context;
use forge::Hosts;
use metrics::Metrics;
use policy::Policy;
use reports::Reporter;

pub use child::main as evaluate_in_this_process;

/// How the service runs.
#[derive(Debug)]
pub struct Options {
    /// What namespaces may do.
    pub policy: Policy,
    /// Where webhooks, metrics and health are served.
    pub listen: SocketAddr,
    /// Where the pages are served, if they are.
    pub pages: Option<SocketAddr>,
    /// Where the cache of what is built is served, and pods of builds are heard.
    pub listen_builds: SocketAddr,
    /// The namespace of the Lease.
    pub lease_namespace: String,
    /// The name of the Lease.
    pub lease_name: String,
    /// Who this replica is.
    pub identity: String,
    /// The cluster to work for; the one that the service runs in if there is none.
    pub kubeconfig: Option<PathBuf>,
}

/// Runs the service until it is asked to end, or loses the Lease.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let stop = niphas_daemon::stop_signal()?;
    let config = niphas_daemon::cluster(options.kubeconfig.as_deref())
        .await?
        .context("not running in a pod of a cluster; name a cluster with --kubeconfig")?;
    let client = Client::try_from(config)?;
    let (metrics, sources) = (Metrics::default(), Arc::<cluster::Sources>::default());
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    info!(address = %listener.local_addr()?, "serving webhooks, metrics and health");
    let service = http::Service::new(client.clone(), Arc::clone(&sources), metrics.clone());
    let answers = http::pages(Arc::new(service));
    let answers = tokio::spawn(niphas_daemon::serve(listener, answers, stop.clone()));
    let shown = pages::Builds::default();
    let pages = match options.pages {
        Some(address) => {
            let url = options.policy.pages_url.as_ref();
            let pages = pages::pages(Arc::clone(&sources), Arc::clone(&shown), url);
            Some(serve_pages(address, pages, &stop).await?)
        }
        None => None,
    };
    let door = match &options.policy.builds {
        Some(settings) => Some(Door::open(settings, options.listen_builds, &stop).await?),
        None => None,
    };
    let watch = {
        let (sources, client, stop) = (Arc::clone(&sources), client.clone(), stop.clone());
        tokio::spawn(async move { sources.watch(client, stop).await })
    };
    remove_leftovers(&options.policy).await;
    let mut election = Election::new(
        client.clone(),
        &options.lease_namespace,
        options.lease_name.clone(),
        options.identity.clone(),
    );
    if election.win(&stop).await {
        info!(
            lease = options.lease_name,
            identity = options.identity,
            "leading"
        );
        metrics.leads(true);
        let lease = options.lease_name.clone();
        let (metrics_of_runs, until) = (metrics.clone(), stop.clone());
        let builds = builds(&options, &client, &metrics, door).await?;
        show(&shown, builds.as_ref());
        let leading = lead(options, client, sources, metrics_of_runs, builds, until)?;
        lead_while_elected(Box::pin(leading), &mut election, &stop)
            .await
            .with_context(|| format!("the lease '{lease}' was lost"))?;
        metrics.leads(false);
        election.release().await;
    }
    watch.await?;
    answers.await?;
    if let Some(pages) = pages {
        pages.await?;
    }
    info!("stopped");
    Ok(())
}

/// Removes what fetches of an earlier service left: also where another replica leads since.
async fn remove_leftovers(policy: &Policy) {
    let folder = policy.work_folder.join("sources");
    match tokio::task::spawn_blocking(move || leftovers::remove(&folder)).await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(count)) => info!(count, "removed what fetches of an earlier service left"),
        Ok(Err(error)) => warn!(%error, "failed to remove what fetches of an earlier service left"),
    }
}

/// What a leader does until `stop`: it looks after sources, and has what they need built.
fn lead(
    options: Options,
    client: Client,
    sources: Arc<cluster::Sources>,
    metrics: Metrics,
    builds: Option<(builds::Site, TcpListener)>,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()>> {
    let site = builds.as_ref().map(|(site, _)| Arc::clone(&site.shop));
    let policy = Arc::new(options.policy);
    let hosts = Hosts::new()?;
    let reporter = Reporter::new(
        client.clone(),
        Arc::clone(&policy),
        Arc::clone(&sources),
        hosts.clone(),
        metrics.clone(),
    );
    let context = Context {
        builds: site,
        client,
        turns: Arc::new(Semaphore::new(policy.limits.runs.get())),
        policy,
        sources,
        reporter: Arc::new(reporter),
        hosts,
        metrics,
        identity: options.identity,
    };
    Ok(async move {
        let building = async {
            if let Some((site, listener)) = builds {
                site.run(listener, stop.clone()).await;
            }
        };
        tokio::join!(controller::lead(context, stop.clone()), building);
    })
}

/// None: another replica leads from now on. What was under way is dropped.
async fn lead_while_elected(
    mut leading: impl Future<Output = ()> + Unpin,
    election: &mut Election,
    stop: &CancellationToken,
) -> Option<()> {
    tokio::select! {
        () = &mut leading => {}
        is_lost = election.keep(stop) => {
            if is_lost {
                return None;
            }
            leading.await;
        }
    }
    Some(())
}

/// Serves the pages until `stop`.
async fn serve_pages(
    address: SocketAddr,
    pages: Router,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    info!(address = %listener.local_addr()?, "serving pages");
    let pages = niphas_daemon::serve_within(listener, pages, pages::BOUNDS, stop.clone());
    Ok(tokio::spawn(pages))
}

/// Opens what builds need, if the administrator wants any.
async fn builds(
    options: &Options,
    client: &Client,
    metrics: &Metrics,
    door: Option<Door>,
) -> anyhow::Result<Option<(builds::Site, TcpListener)>> {
    let (Some(settings), Some(door)) = (options.policy.builds.clone(), door) else {
        return Ok(None);
    };
    let (client, metrics) = (client.clone(), metrics.clone());
    let open = move || builds::Site::open(settings, client, metrics);
    let site = tokio::task::spawn_blocking(open).await??;
    site.begin().await?;
    Ok(Some((site, door.hand_over().await?)))
}

/// Lets pages show the builds of this leader.
fn show(shown: &pages::Builds, builds: Option<&(builds::Site, TcpListener)>) {
    if let Some((site, _)) = builds {
        let (records, logs) = (Arc::clone(&site.shop.records), site.logs());
        let _ = shown.set(builds::Shown { records, logs });
    }
}
