//! The commands, one file each.

pub(crate) mod bootstrap;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod completions;
pub(crate) mod crd;
pub(crate) mod derivation;
pub(crate) mod eval;
pub(crate) mod flake;
pub(crate) mod init;
pub(crate) mod instantiate;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod render;
pub(crate) mod repl;
pub(crate) mod roots;
pub(crate) mod store;

use std::process::ExitCode;

use crate::cli::Command;
use crate::failure::Failure;

/// Runs a command; the code is that of a run that came to its end.
pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => args.run(),
        Command::Build(args) => args.run(),
        Command::Log(args) => args.run(),
        Command::Render(args) => args.run(),
        Command::Roots(args) => args.run(),
        Command::Repl(args) => args.run(),
        Command::Flake(args) => args.run(),
        Command::Show(args) => args.run(),
        Command::Lock(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Instantiate(args) => args.run(),
        Command::Derivation(args) => args.run(),
        Command::Cache(args) => args.run(),
        Command::Store(args) => args.run(),
        Command::Key(args) => args.run(),
        Command::Bootstrap(args) => args.run(),
        Command::Options(args) => args.run(),
        Command::Crd(args) => args.run(),
        Command::Completions(args) => args.run(),
    }
}
