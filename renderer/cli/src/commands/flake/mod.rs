//! `niphas flake`

mod check;
mod checks;
pub(crate) mod lock;
mod metadata;
mod outputs;
pub(crate) mod show;
mod update;

use std::process::ExitCode;

use crate::failure::Failure;

/// Look into flakes, and lock their inputs, as nix flake does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Box<show::Args>),
    Metadata(Box<metadata::Args>),
    Lock(Box<lock::Args>),
    Update(Box<update::Args>),
    Check(Box<check::Args>),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Show(args) => args.run(),
            Command::Metadata(args) => args.run(),
            Command::Lock(args) => args.run(),
            Command::Update(args) => args.run(),
            Command::Check(args) => args.run(),
        }
    }
}
