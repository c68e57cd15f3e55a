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

use std::process::ExitCode;

use crate::cli::Command;
use crate::failure::Failure;

/// Runs a command; the code is that of a run that came to its end.
pub(crate) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Realise(args) => args.run(),
        Command::List(args) => args.run(),
        Command::Ls(args) => args.run(),
        Command::Cat(args) => args.run(),
        Command::Dump(args) => args.run(),
        Command::Du(args) => args.run(),
        Command::Roots(command) => command.run(),
        Command::Gc(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Image(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Mount(args) => args.run(),
        Command::Umount(args) => args.run(),
    }
}
