//! `niphas store`

mod du;
mod gc;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Look after the store that builds use
///
/// What is built, and what is fetched to build it, is kept there: the next build has it. It is a directory that needs no daemon,
/// see --store. Files take their space once, however many store paths have them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Gc(gc::Args),
    Du(du::Args),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Gc(args) => args.run(),
            Command::Du(args) => args.run(),
        }
    }
}
