//! The commands, one file each.

pub(crate) mod cat;
pub(crate) mod du;
pub(crate) mod dump;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod image;
pub(crate) mod list;
pub(crate) mod ls;
pub(crate) mod mount;
pub(crate) mod realise;
pub(crate) mod roots;
pub(crate) mod umount;
pub(crate) mod verify;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};
use std::process::ExitCode;

/// Runs a command; the code is that of a run that came to its end.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    let store = &cli.store;
    match &cli.command {
        Command::Realise(args) => args.run(store),
        Command::List(args) => args.run(store),
        Command::Ls(args) => args.run(store),
        Command::Cat(args) => args.run(store),
        Command::Dump(args) => args.run(store),
        Command::Du(args) => args.run(store),
        Command::Roots(command) => command.run(store),
        Command::Gc(args) => args.run(store),
        Command::Verify(args) => args.run(store),
        Command::Image(args) => args.run(store),
        Command::Export(args) => args.run(store),
        Command::Mount(args) => args.run(store),
        Command::Umount(args) => args.run(),
    }
}
