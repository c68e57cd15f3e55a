//! `niphas-store roots`

use std::process::ExitCode;

use niphas_api::ClosureDigest;
use niphas_store::{RootHold, RootName};
use niphas_terminal::{OutputFormat, say};
use nix_formats::StoreDir;
use serde_json::{Value, json};

use crate::arguments::{StoreArgs, parse_roots};
use crate::failure::Failure;

/// Work on what is not to be collected
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(ListArgs),
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// List the roots
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// How to print them
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

/// Make the closure of store paths stay
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store roots add web /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")]
pub(crate) struct AddArgs {
    /// The root's name; what it held before it lets go
    #[arg(value_name = "NAME")]
    name: RootName,
    /// The paths
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Fail unless the closure has this digest
    #[arg(long, value_name = "DIGEST")]
    digest: Option<ClosureDigest>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Let the next garbage collection have what roots hold
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// The roots' names; those that are not there are removed already
    #[arg(value_name = "NAME", required = true)]
    names: Vec<RootName>,
    #[command(flatten)]
    store: StoreArgs,
}

impl Command {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::List(args) => args.run()?,
            Self::Add(args) => {
                let hold = RootHold {
                    roots: parse_roots(&args.paths)?,
                    digest: args.digest,
                    holder: "niphas-store roots add".to_owned(),
                };
                args.store.open()?.add_root(&args.name, &hold)?;
            }
            Self::Remove(args) => {
                let store = args.store.open()?;
                for name in &args.names {
                    store.remove_root(name)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ListArgs {
    fn run(&self) -> Result<(), Failure> {
        let roots = self.store.open_read_only()?.roots()?;
        let store_dir = StoreDir::default();
        match self.output {
            OutputFormat::Text => {
                for (name, hold) in roots {
                    let paths: Vec<_> = hold.roots.iter().map(|p| store_dir.print(p)).collect();
                    say!("{name}: {} ({})", paths.join(" "), hold.holder);
                }
            }
            OutputFormat::Json => {
                let roots = roots.iter().map(|(name, hold)| {
                    let paths: Vec<_> = hold.roots.iter().map(|p| store_dir.print(p)).collect();
                    json!({
                        "name": name.to_string(),
                        "roots": paths,
                        "digest": hold.digest,
                        "holder": hold.holder,
                    })
                });
                say!("{}", roots.collect::<Value>());
            }
        }
        Ok(())
    }
}
