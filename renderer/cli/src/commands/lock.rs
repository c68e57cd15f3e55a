//! `niphas lock`

use std::path::PathBuf;
use std::process::ExitCode;

use niphas_terminal::print_bytes;
use nix_flake::{FlakeError, InputPath, lock};

use crate::failure::Failure;
use crate::flake::{FlakeArgs, parse, read, write_lock_file};

/// Write the lock file of a flake, as nix flake lock does
///
/// Inputs that are locked stay so; those that are new or whose reference changed are locked again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flake: a folder or a flake reference
    #[arg(value_name = "FLAKE", default_value = ".")]
    flake: String,
    /// Lock the input PATH again
    #[arg(long = "update-input", value_name = "PATH")]
    update_inputs: Vec<String>,
    /// Lock all inputs again
    #[arg(long, alias = "recreate-lock-file")]
    update: bool,
    /// Write the lock file here instead of into the flake
    #[arg(long, value_name = "FILE")]
    output_lock_file: Option<PathBuf>,
    /// Write nothing; end with code 1 if the lock file is not up to date
    #[arg(long, conflicts_with = "output_lock_file")]
    check: bool,
    #[command(flatten)]
    flakes: FlakeArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let fetcher = self.flakes.fetcher()?;
        let mut options = self.flakes.lock_options()?;
        options.recreate = self.update;
        for path in &self.update_inputs {
            options
                .updates
                .insert(InputPath::parse(path).map_err(FlakeError::from)?);
        }
        let locked = lock(&fetcher, &read, &parse(&self.flake)?, &options)?;
        if self.check {
            if !locked.is_changed() {
                return Ok(ExitCode::SUCCESS);
            }
            let changes = locked.lock_file.diff(&locked.old_lock_file);
            print_bytes(changes.as_bytes());
            return Ok(ExitCode::FAILURE);
        }
        if let Some(file) = &self.output_lock_file {
            std::fs::write(file, locked.lock_file.to_json() + "\n").map_err(|error| {
                anyhow::Error::new(error).context(format!(
                    "the lock file '{}' can't be written",
                    file.display()
                ))
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        write_lock_file(&fetcher, locked, &options)?;
        Ok(ExitCode::SUCCESS)
    }
}
