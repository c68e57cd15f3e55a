//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use niphas_daemon::LogFormat;
use niphas_eval_service::Options;
use niphas_eval_service::policy::Policy;

/// The evaluation service of niphas: each push to the repository of a `NiphasSource` is evaluated, and rendered into its GitOps
/// repository.
#[derive(Debug, Parser)]
#[command(name = "niphas-eval", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service
    Serve(ServeArgs),
    /// Print the definition of `NiphasSource` as YAML, ready for kubectl apply
    Crd,
    /// Evaluate the flake that standard input names: for the service itself
    #[command(hide = true)]
    Evaluate,
    /// Build what the service orders: in the pod of a build
    #[command(hide = true)]
    Agent(niphas_build_jobs::agent::Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Read what namespaces may do from this file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Where to serve webhooks, /evaluate, /metrics, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9820")]
    listen: SocketAddr,

    /// Where to serve pages for people to whom the sources of all namespaces may be shown
    #[arg(long, value_name = "ADDRESS")]
    pages: Option<SocketAddr>,

    /// Where to serve the cache of what is built, and to hear the pods of builds
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9821")]
    listen_builds: SocketAddr,

    /// Where the Lease is by which replicas agree on the one that runs sources
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "niphas-system"
    )]
    lease_namespace: String,

    /// The Lease's name
    #[arg(long, value_name = "NAME", default_value = "niphas-eval")]
    lease_name: String,

    /// Who this replica is, among those that compete for the Lease
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: String,

    /// The cluster to work for, rather than the one that the service runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// How to write logs
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,

    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

impl ServeArgs {
    /// Reads the configuration.
    pub(crate) fn options(self) -> anyhow::Result<Options> {
        let path = self.config.display();
        let text = std::fs::read_to_string(&self.config)
            .with_context(|| format!("failed to read the configuration '{path}'"))?;
        let policy = Policy::parse(&text).with_context(|| format!("failed to read '{path}'"))?;
        Ok(Options {
            policy,
            listen: self.listen,
            pages: self.pages,
            listen_builds: self.listen_builds,
            lease_namespace: self.lease_namespace,
            lease_name: self.lease_name,
            identity: self.identity,
            kubeconfig: self.kubeconfig,
        })
    }
}
