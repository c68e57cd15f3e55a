//! The command line's grammar.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::failure::Failure;
use crate::messages::MessageArgs;

/// Run Nix closures on Kubernetes, not container images.
///
/// `niphas render` evaluates a flake with an evaluator of its own, finds each workload's closure in a binary cache, and
/// commits `NiphasWorkload` YAML to a GitOps repository. No Nix needs to be installed.
#[derive(Debug, Parser)]
#[command(
    name = "niphas",
    version,
    after_help = "Exit codes: 0 done; 1 something went wrong (with --check or --diff: there are changes); 2 wrong usage \
                  (with --check or --diff: something went wrong); 102, of commands that only evaluate or lock: what was fetched has \
                  another hash than asked for.\nColours follow NO_COLOR and CLICOLOR_FORCE."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub messages: MessageArgs,
}

/// The exit code that Nix has where what was fetched has another hash than asked for.
const HASH_MISMATCH: u8 = 102;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Args),
    Flake(commands::flake::Args),
    /// The same as `niphas flake show`
    #[command(hide = true)]
    Show(Box<commands::flake::show::Args>),
    /// The same as `niphas flake lock`
    #[command(hide = true)]
    Lock(Box<commands::flake::lock::Args>),
    Eval(Box<commands::eval::Args>),
    Build(Box<commands::build::Args>),
    Log(Box<commands::log::Args>),
    Render(Box<commands::render::Args>),
    Roots(Box<commands::roots::Args>),
    Repl(Box<commands::repl::Args>),
    Instantiate(Box<commands::instantiate::Args>),
    Derivation(Box<commands::derivation::Args>),
    Cache(Box<commands::cache::Args>),
    Store(commands::store::Args),
    Key(commands::key::Args),
    Bootstrap(Box<commands::bootstrap::Args>),
    Options(commands::options::Args),
    Crd(commands::crd::Args),
    Completions(commands::completions::Args),
}

impl Command {
    /// The exit code of a run that failed.
    pub(crate) fn failure_code(&self, failure: &Failure) -> ExitCode {
        match self {
            Command::Render(args) => args.failure_code(),
            Command::Cache(args) => args.failure_code(),
            _ if failure.is_hash_mismatch() => ExitCode::from(HASH_MISMATCH),
            _ => match failure {
                Failure::Build(_, status) => ExitCode::from(*status),
                _ => ExitCode::FAILURE,
            },
        }
    }
}
