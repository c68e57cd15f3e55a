//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use niphas_daemon::LogFormat;
use niphas_operator::{BASE_IMAGE, Options};

/// The operator of niphas: makes the Deployments, Services and other children that workloads declare, and writes into
/// their status how they are.
///
/// Of several replicas one leads, by a Lease; the others wait. To have a workload left alone, for instance to try something by
/// hand, annotate it with niphas.io/suspend=true.
#[derive(Debug, Parser)]
#[command(name = "niphas-operator", version)]
pub(crate) struct Args {
    /// The image that pods name; the CSI driver puts the default one into every node's containerd
    #[arg(long, value_name = "NAME", default_value = BASE_IMAGE)]
    base_image: String,

    /// How often to look at a workload when nothing happens; costs no request as long as nothing changed
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    resync: Duration,

    /// Work for the workloads of this namespace only; may be given several times, and for all namespaces if it is not given
    #[arg(long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,

    /// Where the Lease is by which replicas agree on the one that leads
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "niphas-system"
    )]
    lease_namespace: String,

    /// The Lease's name
    #[arg(long, value_name = "NAME", default_value = "niphas-operator")]
    lease_name: String,

    /// Who this replica is, among those that compete for the Lease
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: String,

    /// Where to serve /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9810")]
    listen: SocketAddr,

    /// The cluster to work for, rather than the one that the operator runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// How to write logs
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,

    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

impl From<Args> for Options {
    fn from(args: Args) -> Self {
        Self {
            base_image: args.base_image,
            resync: args.resync,
            namespaces: args.namespaces,
            lease_namespace: args.lease_namespace,
            lease_name: args.lease_name,
            identity: args.identity,
            listen: args.listen,
            kubeconfig: args.kubeconfig,
        }
    }
}
