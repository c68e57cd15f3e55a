//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use niphas_csi::{DriverOptions, GcPolicy, KeepFree, LogFormat, View, Watermark};
use niphas_terminal::OutputFormat;

const STATE: &str = "/var/lib/niphas/csi";
const STORE: &str = "/var/lib/niphas/store";

/// The CSI driver of niphas: gives pods their Nix closures at /nix.
#[derive(Debug, Parser)]
#[command(name = "niphas-csi", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the driver
    Run(Box<RunArgs>),
    /// Print which volumes and closures are mounted on this node, and what holds them
    Status(StatusArgs),
    /// Write the base image into a file, as an OCI archive, for a registry
    BaseImage(BaseImageArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The node's name in Kubernetes
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub(crate) node: String,

    /// The caches and keys to trust, YAML; read again when it changes
    #[arg(long, value_name = "FILE", default_value = "/etc/niphas/csi.yaml")]
    config: PathBuf,

    /// The socket to serve
    #[arg(long, value_name = "SOCKET", default_value = "/csi/csi.sock")]
    endpoint: PathBuf,

    /// kubelet's folder of plugin sockets, to register in; without it the driver does not register
    #[arg(long, value_name = "DIR")]
    registration_dir: Option<PathBuf>,

    /// Where kubelet finds the socket that the driver serves
    #[arg(
        long,
        value_name = "SOCKET",
        default_value = "/var/lib/kubelet/plugins/csi.niphas.io/csi.sock"
    )]
    kubelet_endpoint: PathBuf,

    /// The node's store
    #[arg(long, value_name = "DIR", default_value = STORE)]
    store: PathBuf,

    /// Where the driver mounts closures and keeps what it must know after a restart
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state_dir: PathBuf,

    /// Answer a publish after this time even if its closure is not there yet; kubelet asks again, and itself waits 2 minutes
    #[arg(long, value_name = "TIME", default_value = "100s", value_parser = humantime::parse_duration)]
    publish_limit: Duration,

    /// How to mount closures
    #[arg(long, value_enum, default_value_t = ViewArg::Auto)]
    view: ViewArg,

    /// Where to serve /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9809")]
    listen: SocketAddr,

    /// Collect garbage when the store is fuller than this: a size like 50GiB, or a share of its file system like 80%
    #[arg(long, value_name = "LEVEL", default_value = "80%")]
    gc_above: Watermark,

    /// Collect garbage until the store is no fuller than this
    #[arg(long, value_name = "LEVEL", default_value = "70%")]
    gc_down_to: Watermark,

    /// Look this often whether the store is too full
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    gc_interval: Duration,

    /// What downloads leave free of the store's file system, collecting garbage for it: a size like 2GiB, or a share like 5%;
    /// without it a twentieth, and at most 1GiB
    #[arg(long, value_name = "LEVEL")]
    min_free: Option<Watermark>,

    /// containerd's socket, to put the base image into; without it nothing is put there
    #[arg(long, value_name = "SOCKET")]
    containerd: Option<PathBuf>,

    /// The name of the base image
    #[arg(long, value_name = "NAME", default_value = niphas_csi::BASE_IMAGE)]
    base_image: String,

    /// Send events to this cluster, rather than to the one that the driver runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// An OpenTelemetry collector to send traces to, over OTLP (gRPC without TLS); without it none are sent
    #[arg(long, value_name = "URL", value_parser = otlp_endpoint)]
    pub(crate) otlp_endpoint: Option<String>,

    /// How to write logs
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,

    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

fn otlp_endpoint(text: &str) -> Result<String, String> {
    if text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("want a URL like http://collector:4317; for a collector that wants TLS, put one on the node before it".to_owned())
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The node's store
    #[arg(long, value_name = "DIR", default_value = STORE)]
    pub(crate) store: PathBuf,

    /// The driver's folder
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub(crate) state_dir: PathBuf,

    /// How to print it
    #[arg(long, short, value_enum, default_value = "text")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BaseImageArgs {
    /// The image's name
    #[arg(long, value_name = "NAME", default_value = niphas_csi::BASE_IMAGE)]
    pub(crate) name: String,

    /// The file to write
    #[arg(value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ViewArg {
    /// As the kernel allows
    Auto,
    /// The closure image from its file, read past the page cache of the file system below
    FileDirect,
    /// The closure image from its file
    File,
    /// The closure image over loop devices
    Loop,
    /// The closure unpacked into files
    Export,
}

impl ViewArg {
    fn view(self) -> Option<View> {
        match self {
            Self::Auto => None,
            Self::FileDirect => Some(View::FileBacked { direct_io: true }),
            Self::File => Some(View::FileBacked { direct_io: false }),
            Self::Loop => Some(View::Loop),
            Self::Export => Some(View::Export),
        }
    }
}

impl From<Box<RunArgs>> for DriverOptions {
    fn from(args: Box<RunArgs>) -> Self {
        Self {
            node: args.node,
            system: niphas_csi::this_system(),
            endpoint: args.endpoint,
            kubelet_endpoint: args.kubelet_endpoint,
            registration: args.registration_dir,
            config: args.config,
            store: args.store,
            state: args.state_dir,
            limit: args.publish_limit,
            view: args.view.view(),
            listen: args.listen,
            gc: GcPolicy {
                above: args.gc_above,
                down_to: args.gc_down_to,
                interval: args.gc_interval,
            },
            keep_free: args.min_free.map_or(KeepFree::Default, KeepFree::Level),
            containerd: args.containerd,
            base_image: args.base_image,
            kubeconfig: args.kubeconfig,
        }
    }
}
