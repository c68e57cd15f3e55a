//! `niphas cache`

mod closure;
mod diff;
mod info;
mod installables;
mod push;
mod sources;
mod verify;
mod why_depends;

use std::num::NonZero;
use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Push closures to binary caches, and look into what they hold
///
/// A binary cache is a folder, a server or a bucket that holds Nix store paths: `file:///folder`, `https://host`,
/// `s3://bucket?region=…`. None of these commands needs Nix to be installed, but `push`, which reads a Nix store.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Push(push::Args),
    Info(info::Args),
    Verify(verify::Args),
    Closure(closure::Args),
    WhyDepends(why_depends::Args),
    Diff(diff::Args),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Push(args) => args.run(),
            Command::Info(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Closure(args) => args.run(),
            Command::WhyDepends(args) => args.run(),
            Command::Diff(args) => args.run(),
        }
    }

    /// The exit code of a run that failed.
    pub(crate) fn failure_code(&self) -> ExitCode {
        // 1 says that what was asked is not so.
        ExitCode::from(match &self.command {
            Command::Push(_) | Command::Info(_) | Command::Closure(_) => 1,
            Command::Verify(_) | Command::WhyDepends(_) | Command::Diff(_) => 2,
        })
    }
}

/// A runtime for commands that talk to caches: the work that takes time is done
/// on its blocking threads, of which more than a few for each processor only wait for one another.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4 * processors.max(4))
        .enable_all()
        .build()?)
}
