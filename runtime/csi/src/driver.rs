//! The driver as a whole: from its start to its graceful end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use niphas_api::System;
use niphas_store::mount::{View, probe};
use niphas_store::{KeepFree, OpenError, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tracing::{error, info, warn};

use crate::base_image;
use crate::calls::Calls;
use crate::events::{self, Events};
use crate::gc::{GcPolicy, keep_space};
use crate::http::{self, Pages};
use crate::identity::IdentityService;
use crate::metrics::Metrics;
use crate::node::NodeService;
use crate::proto::csi::identity_server::IdentityServer;
use crate::proto::csi::node_server::NodeServer;
use crate::registration::keep_registered;
use crate::socket::SocketFile;
use crate::status::DriverInfo;
use crate::trust::Trust;
use crate::view::Views;
use crate::volumes::Volumes;

/// How long calls may take to end once the driver stops. Those that wait for a realisation end at once.
const DRAIN: Duration = Duration::from_secs(20);
/// How long to wait between attempts to open a store that another driver has not left yet.
const PAUSE: Duration = Duration::from_millis(500);
/// How often to look for volumes that are gone.
const SWEEP: Duration = Duration::from_mins(1);

/// Bytes of the longest request: volume attributes have at most 16 KiB, paths 4 KiB.
const MAX_REQUEST: usize = 64 << 10;

/// What a driver is started with.
#[derive(Debug, Clone)]
pub struct DriverOptions {
    /// The node's name, as Kubernetes knows it.
    pub node: String,
    /// The node's system.
    pub system: System,
    /// The socket that kubelet calls.
    pub endpoint: PathBuf,
    /// The same socket, as kubelet sees it.
    pub kubelet_endpoint: PathBuf,
    /// kubelet's `plugins_registry` folder; none to not register.
    pub registration: Option<PathBuf>,
    /// The configuration file.
    pub config: PathBuf,
    /// The node's store.
    pub store: PathBuf,
    /// The driver's folder.
    pub state: PathBuf,
    /// How long a publish may take.
    pub limit: Duration,
    /// How to mount closures; none to find out.
    pub view: Option<View>,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// Garbage collection.
    pub gc: GcPolicy,
    /// What downloads leave free of the store's file system.
    pub keep_free: KeepFree,
    /// containerd's socket, to put the base image into; none to leave it alone.
    pub containerd: Option<PathBuf>,
    /// The base image's name.
    pub base_image: String,
    /// The cluster to send events to; none for the one that this runs in.
    pub kubeconfig: Option<PathBuf>,
}

/// This machine's system, as Nix names it.
pub fn this_system() -> System {
    format!("{}-linux", std::env::consts::ARCH)
        .parse()
        .expect("architectures have names of lower-case letters and digits")
}

/// Runs the driver until it is asked to stop.
pub async fn run(options: DriverOptions) -> anyhow::Result<()> {
    let stop = niphas_daemon::stop_signal()?;
    let trust = Arc::new(Trust::load(&options.config)?);
    std::fs::create_dir_all(&options.state)
        .with_context(|| format!("cannot create '{}'", options.state.display()))?;
    let metrics = Metrics::default();
    let driver = Driver {
        options,
        metrics,
        trust,
        stop,
    };
    driver.run().await
}

/// What the driver's parts share.
struct Driver {
    options: DriverOptions,
    metrics: Metrics,
    trust: Arc<Trust>,
    stop: CancellationToken,
}

impl Driver {
    async fn run(self) -> anyhow::Result<()> {
        // kubelet must see that the driver lives, also while it waits for the store.
        let (view, refused) = choose_view(&self.options)?;
        let (socket_sender, socket) = watch::channel(None);
        let (registered_sender, registered) = watch::channel(self.options.registration.is_none());
        let pages = Pages {
            registry: self.metrics.registry(view.name()),
            socket,
            registered: registered.clone(),
        };
        let served = CancellationToken::new();
        let http = self.serve_pages(pages, served.clone()).await?;

        let Some(store) = open_store(&self.options, &self.stop).await? else {
            return Ok(());
        };
        self.write_info(view, refused)?;
        let volumes = self.take_over(&store, view).await?;

        let calls = TaskTracker::new();
        let node = self.node(&volumes, &calls).await?;
        let (file, listener) = SocketFile::listen(&self.options.endpoint)?;
        let server = Server::builder()
            .add_service(IdentityServer::new(IdentityService))
            .add_service(NodeServer::new(node).max_decoding_message_size(MAX_REQUEST))
            .serve_with_incoming_shutdown(
                UnixListenerStream::new(listener),
                self.stop.clone().cancelled_owned(),
            );
        let server = tokio::spawn(server);
        socket_sender.send_replace(Some(self.options.endpoint.clone()));
        info!(endpoint = %self.options.endpoint.display(), view = %view, system = %self.options.system, "serving");

        let background = TaskTracker::new();
        self.keep_registered(&background, registered_sender, registered);
        self.keep_in_order(&background, &store, volumes);

        // Either it is asked to stop, or the socket fails, and then it stops too.
        self.stop.cancelled().await;
        info!("stopping: waiting for calls to end");
        drop(file);
        calls.close();
        background.close();
        let drained = async {
            calls.wait().await;
            background.wait().await;
            server.await
        };
        match tokio::time::timeout(DRAIN, drained).await {
            Ok(Ok(ended)) => ended.context("the driver's socket failed")?,
            Ok(Err(panicked)) => error!(error = %panicked, "the server ended badly"),
            Err(_) => warn!("calls did not end in {} s", DRAIN.as_secs()),
        }
        store.close().await?;
        served.cancel();
        let _ = http.await;
        info!("stopped");
        Ok(())
    }

    async fn serve_pages(
        &self,
        pages: Pages,
        stop: CancellationToken,
    ) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
        let address = self.options.listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "serving metrics and health");
        Ok(tokio::spawn(http::serve(listener, Arc::new(pages), stop)))
    }

    /// Notes how closures are mounted, for `niphas-csi status`.
    fn write_info(&self, view: View, refused: Vec<String>) -> anyhow::Result<()> {
        let info = DriverInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.options.node.clone(),
            system: self.options.system.to_string(),
            view: view.name().to_owned(),
            refused,
        };
        info.write(&self.options.state)
            .with_context(|| format!("cannot write to '{}'", self.options.state.display()))
    }

    /// The node's volumes, with what earlier drivers left put in order.
    async fn take_over(&self, store: &Store, view: View) -> anyhow::Result<Arc<Volumes>> {
        let views = Views::open(&self.options.state, store.clone(), view)?;
        let volumes = Volumes::open(
            &self.options.state,
            store.clone(),
            views,
            Arc::clone(&self.trust),
            self.metrics.clone(),
            self.stop.clone(),
        )?;
        let volumes = Arc::new(volumes);
        let recovering = Arc::clone(&volumes);
        tokio::task::spawn_blocking(move || recovering.recover()).await??;
        Ok(volumes)
    }

    async fn node(
        &self,
        volumes: &Arc<Volumes>,
        calls: &TaskTracker,
    ) -> anyhow::Result<NodeService> {
        let (node, metrics) = (self.options.node.clone(), self.metrics.clone());
        let events = match events::client(self.options.kubeconfig.as_deref()).await? {
            Some(client) => Events::new(client, node.clone(), metrics.clone()),
            None => Events::none(metrics.clone()),
        };
        Ok(NodeService {
            volumes: Arc::clone(volumes),
            node_id: node,
            system: self.options.system.clone(),
            limit: self.options.limit,
            metrics,
            events,
            publishing: Calls::default(),
            calls: calls.clone(),
        })
    }

    /// Keeps the driver registered with kubelet, if it registers at all.
    fn keep_registered(
        &self,
        background: &TaskTracker,
        sender: watch::Sender<bool>,
        registered: watch::Receiver<bool>,
    ) {
        if let Some(folder) = self.options.registration.clone() {
            let endpoint = self.options.kubelet_endpoint.display().to_string();
            let stop = self.stop.clone();
            background.spawn(keep_registered(folder, endpoint, sender, stop));
        }
        let (metrics, stop) = (self.metrics.clone(), self.stop.clone());
        background.spawn(show_registered(registered, metrics, stop));
    }

    /// Follows the configuration, and looks after the disk, the volumes and the base image.
    fn keep_in_order(&self, background: &TaskTracker, store: &Store, volumes: Arc<Volumes>) {
        let (metrics, stop) = (|| self.metrics.clone(), || self.stop.clone());
        background.spawn(Arc::clone(&self.trust).follow(metrics(), stop()));
        background.spawn(keep_space(
            store.clone(),
            self.options.gc,
            metrics(),
            stop(),
        ));
        background.spawn(sweep(volumes, stop()));
        if let Some(socket) = self.options.containerd.clone() {
            let image = self.options.base_image.clone();
            background.spawn(base_image::keep_present(socket, image, metrics(), stop()));
        }
    }
}

fn choose_view(options: &DriverOptions) -> anyhow::Result<(View, Vec<String>)> {
    if let Some(view) = options.view {
        info!(view = %view, "closures are mounted as the flag says");
        return Ok((view, Vec::new()));
    }
    std::fs::create_dir_all(&options.store)
        .with_context(|| format!("cannot create '{}'", options.store.display()))?;
    let probed = probe(&options.store).with_context(|| {
        format!(
            "cannot find out how to mount closures in '{}'",
            options.store.display()
        )
    })?;
    let refused: Vec<String> = probed
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", refusal.view, nix_formats::chain(&refusal.error)))
        .collect();
    info!(view = %probed.view, ?refused, "found how to mount closures");
    if probed.view == View::Export {
        warn!(
            "the kernel cannot mount closure images: closures are unpacked into files, which takes long and twice the space, and pods with `hostUsers: false` cannot have them"
        );
    }
    Ok((probed.view, refused))
}

/// Opens the store as soon as an earlier driver has left it. None if this one is asked to stop before.
async fn open_store(
    options: &DriverOptions,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Store>> {
    let mut told = false;
    loop {
        let dir = options.store.clone();
        let store_options = niphas_store::Options {
            keep_free: Some(options.keep_free),
            ..niphas_store::Options::default()
        };
        let opened = tokio::task::spawn_blocking(move || Store::open(&dir, store_options)).await?;
        match opened {
            Ok(store) => return Ok(Some(store)),
            Err(error @ OpenError::InUse { .. }) => {
                if !told {
                    info!(%error, "waiting for the store");
                    told = true;
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn show_registered(
    mut registered: watch::Receiver<bool>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    loop {
        metrics.registered(*registered.borrow_and_update());
        tokio::select! {
            () = stop.cancelled() => return,
            changed = registered.changed() => if changed.is_err() { return },
        }
    }
}

async fn sweep(volumes: Arc<Volumes>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let volumes = Arc::clone(&volumes);
        let swept = tokio::task::spawn_blocking(move || volumes.sweep()).await;
        if let Ok(Err(problem)) = swept {
            warn!(error = %problem, "volumes that are gone cannot be looked for");
        }
    }
}
