//! `niphas flake update`

use std::process::ExitCode;

use nix_flake::{FlakeError, InputPath};

use super::lock::WriteLockArgs;
use crate::failure::Failure;
use crate::flake::FlakeArgs;

/// Lock inputs of a flake again, as nix flake update does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The inputs, those of inputs with slashes: `a/nixpkgs` [default: all]
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// The flake: a folder or a flake reference
    #[arg(long, value_name = "FLAKE", default_value = ".")]
    flake: String,
    #[command(flatten)]
    write: WriteLockArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut options = self.flakes.lock_options()?;
        options.recreate = self.inputs.is_empty();
        for input in &self.inputs {
            let path = InputPath::parse(input).map_err(FlakeError::from)?;
            options.updates.insert(path);
        }
        let fetcher = self.flakes.refreshing_fetcher()?;
        self.write.lock(&fetcher, &self.flake, &options)?;
        Ok(ExitCode::SUCCESS)
    }
}
