//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use niphas_daemon::LogFormat;
use niphas_mesh::{Accounts, Members, MeshOptions, ServiceName};
use niphas_terminal::OutputFormat;
use url::Url;

/// Share what nodes fetch from binary caches, while it is still arriving.
#[derive(Debug, Parser)]
#[command(name = "niphas-mesh", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the mesh
    Run(Box<RunArgs>),
    /// Print what the running mesh does: its members, and what it received and sent
    Status(StatusArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Where the mesh serves its pages
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9813")]
    pub(crate) pages: Url,

    /// How to print it
    #[arg(long, short, value_enum, default_value = "text")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The node's name in Kubernetes
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,

    /// A binary cache whose files nodes share, without credentials: every node may read all of it; may be given several times
    #[arg(long = "cache", value_name = "URL", required = true)]
    caches: Vec<Url>,

    /// The headless Service whose endpoints are the members; the keys of tokens are then the API server's
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "niphas-system/niphas-mesh", conflicts_with_all = ["members", "keys"])]
    service: ServiceName,

    /// Find the Service in this cluster, rather than in the one that the mesh runs in
    #[arg(long, value_name = "FILE", conflicts_with_all = ["members", "keys"])]
    kubeconfig: Option<PathBuf>,

    /// The members of the mesh, YAML, where there is no Service; read again when it changes
    #[arg(long, value_name = "FILE", requires = "keys")]
    members: Option<PathBuf>,

    /// The keys that tokens are signed by, a JSON Web Key Set; read again when it changes
    #[arg(long, value_name = "FILE", requires = "members")]
    keys: Option<PathBuf>,

    /// The token to show to peers; read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/run/secrets/niphas-mesh/token"
    )]
    token_file: PathBuf,

    /// The audience that tokens must be for
    #[arg(long, value_name = "NAME", default_value = "niphas-mesh")]
    audience: String,

    /// The account whose tokens may ask for parts of files: that of the mesh
    #[arg(
        long,
        value_name = "SUBJECT",
        default_value = "system:serviceaccount:niphas-system:niphas-mesh"
    )]
    peer_account: String,

    /// The account whose tokens may ask for files: that of the driver
    #[arg(
        long,
        value_name = "SUBJECT",
        default_value = "system:serviceaccount:niphas-system:niphas-csi"
    )]
    reader_account: String,

    /// Where to keep parts of files; what is there when the mesh starts is removed
    #[arg(long, value_name = "DIR", default_value = "/var/lib/niphas/mesh")]
    state_dir: PathBuf,

    /// Bytes of parts to keep, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(64..1 << 24))]
    keep: u64,

    /// Bytes to send to peers in a second at most, in MiB; without it as fast as they take them
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..1 << 20))]
    upload_rate: Option<u64>,

    /// Where to serve peers and readers
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9812")]
    listen: SocketAddr,

    /// Where to serve /metrics, /status and /healthz
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9813")]
    listen_pages: SocketAddr,

    /// How to write logs
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,

    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

impl From<RunArgs> for MeshOptions {
    fn from(args: RunArgs) -> Self {
        Self {
            node: args.node,
            caches: args.caches,
            members: match (args.members, args.keys) {
                (Some(members), Some(keys)) => Members::Files { members, keys },
                _ => Members::Service {
                    service: args.service,
                    kubeconfig: args.kubeconfig,
                },
            },
            token_file: args.token_file,
            audience: args.audience,
            accounts: Accounts {
                peer: args.peer_account,
                reader: args.reader_account,
            },
            state: args.state_dir,
            most_bytes: args.keep << 20,
            upload_rate: args.upload_rate.map(|mebibytes| mebibytes << 20),
            listen: args.listen,
            listen_pages: args.listen_pages,
        }
    }
}
