//! `niphas-store export`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::arguments::{StoreArgs, stored_closure};
use crate::failure::Failure;

/// Write the closure of store paths into a folder, as files
///
/// The folder gets `store/` with the closure's paths and `root`, a symlink to the first that was given: what a pod sees at
/// /nix. Modes and times are those of Nix's store.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store export /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 --to /srv/web")]
pub(crate) struct Args {
    /// The paths
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// The folder: an empty one, or one that is not there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_read_only()?;
        let closure = stored_closure(&store, &self.paths)?;
        store.export(&closure, &self.to)?;
        Ok(ExitCode::SUCCESS)
    }
}
