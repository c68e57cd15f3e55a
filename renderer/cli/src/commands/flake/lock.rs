//! `niphas flake lock`

use std::path::PathBuf;
use std::process::ExitCode;

use niphas_terminal::print_bytes;
use nix_flake::{Fetcher, FlakeError, InputPath, LockOptions, lock};

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
    /// Lock the input PATH again, as `niphas flake update PATH` does
    #[arg(long = "update-input", value_name = "PATH", hide_short_help = true)]
    update_inputs: Vec<String>,
    /// Lock all inputs again, as `niphas flake update` does
    #[arg(long, alias = "recreate-lock-file", hide_short_help = true)]
    update: bool,
    /// Write nothing; end with code 1 if the lock file is not up to date
    #[arg(long, visible_alias = "no-update-lock-file", conflicts_with_all = ["output_lock_file", "commit_lock_file"])]
    check: bool,
    #[command(flatten)]
    write: WriteLockArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
}

/// What becomes of a new lock file.
#[derive(Debug, clap::Args)]
pub(super) struct WriteLockArgs {
    /// Write the lock file here instead of into the flake
    #[arg(long, value_name = "FILE", conflicts_with = "commit_lock_file")]
    output_lock_file: Option<PathBuf>,
    /// Commit the lock file, and nothing else
    #[arg(long)]
    commit_lock_file: bool,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let fetcher = self.flakes.refreshing_fetcher()?;
        let mut options = self.flakes.lock_options()?;
        options.recreate = self.update;
        for path in &self.update_inputs {
            options
                .updates
                .insert(InputPath::parse(path).map_err(FlakeError::from)?);
        }
        if !self.check {
            self.write.lock(&fetcher, &self.flake, &options)?;
            return Ok(ExitCode::SUCCESS);
        }
        let locked = lock(&fetcher, &read, &parse(&self.flake)?, &options)?;
        if !locked.is_changed() {
            return Ok(ExitCode::SUCCESS);
        }
        let changes = locked.lock_file.diff(&locked.old_lock_file);
        print_bytes(changes.as_bytes());
        Ok(ExitCode::FAILURE)
    }
}

impl WriteLockArgs {
    /// Locks a flake, and writes the lock file.
    pub(super) fn lock(
        &self,
        fetcher: &Fetcher,
        flake: &str,
        options: &LockOptions,
    ) -> Result<(), Failure> {
        let locked = lock(fetcher, &read, &parse(flake)?, options)?;
        let Some(file) = &self.output_lock_file else {
            let options = LockOptions {
                commit: self.commit_lock_file,
                ..options.clone()
            };
            return write_lock_file(fetcher, locked, &options).map(drop);
        };
        std::fs::write(file, locked.lock_file.to_json() + "\n").map_err(|error| {
            anyhow::Error::new(error).context(format!(
                "the lock file '{}' can't be written",
                file.display()
            ))
        })?;
        Ok(())
    }
}
