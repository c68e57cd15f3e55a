//! `niphas-store cat`

use std::process::ExitCode;

use niphas_terminal::print_with;

use crate::arguments::{StoreArgs, parse_path, stored};
use crate::failure::Failure;

/// Print a file of a store path
///
/// Fails in the end if the bytes are not those that were stored.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store cat /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0/etc/web.conf")]
pub(crate) struct Args {
    /// The file
    #[arg(value_name = "PATH/NAME")]
    file: String,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (path, name) = parse_path(&self.file)?;
        let store = self.store.open_read_only()?;
        let path = stored(&store, &path)?;
        print_with(|out| store.read_file(&path, name.as_bytes(), out))?;
        Ok(ExitCode::SUCCESS)
    }
}
