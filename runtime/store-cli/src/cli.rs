//! The command line's grammar.

use clap::{Parser, Subcommand};

use crate::commands;

/// Look into a node's store, and work on it
///
/// A store has store paths as packs: the contents of all files of a path in one file, each contents once in the whole store.
/// `realise` fetches closures from binary caches; `image` makes the small EROFS image that they are mounted by.
///
/// Commands that only read work at any time. The others need the store for themselves: stop the driver first.
#[derive(Debug, Parser)]
#[command(
    name = "niphas-store",
    version,
    after_help = "Store paths are given as /nix/store/<hash>-<name>, or without the folder.\n\
                  Exit codes: 0 done; 1 something went wrong, or is damaged; 2 wrong usage.\n\
                  Colours follow NO_COLOR and CLICOLOR_FORCE."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Realise(commands::realise::Args),
    List(commands::list::Args),
    Ls(commands::ls::Args),
    Cat(commands::cat::Args),
    Dump(commands::dump::Args),
    Du(commands::du::Args),
    #[command(subcommand)]
    Roots(commands::roots::Command),
    Gc(commands::gc::Args),
    Verify(commands::verify::Args),
    Image(commands::image::Args),
    Export(commands::export::Args),
    Mount(commands::mount::Args),
    Umount(commands::umount::Args),
}
