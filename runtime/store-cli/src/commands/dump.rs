//! `niphas-store dump`

use std::process::ExitCode;

use niphas_terminal::print_with;

use crate::arguments::{StoreArgs, parse_paths, stored};
use crate::failure::Failure;

/// Print a store path as a NAR, as nix-store --dump does
///
/// Fails in the end if it is not the NAR that was fetched.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store dump /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 | sha256sum")]
pub(crate) struct Args {
    /// The path
    #[arg(value_name = "PATH")]
    path: String,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let paths = parse_paths(std::slice::from_ref(&self.path))?;
        let store = self.store.open_read_only()?;
        for path in &paths {
            let path = stored(&store, path)?;
            print_with(|out| store.write_nar(&path, out))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
