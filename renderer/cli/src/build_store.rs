//! The store that builds take their inputs from, and put their outputs into.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use niphas_store::{OpenError, Options, Store};
use nix_builder::engine::{Waiting, open_store};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::flake::base_folder;

/// Which store to use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Build store")]
pub(crate) struct BuildStoreArgs {
    /// Keep what is built and fetched in this directory [default: /var/lib/niphas/build as root, else niphas/build in the
    /// user's data directory]
    #[arg(
        long,
        value_name = "DIR",
        env = "NIPHAS_STORE",
        hide_env_values = true,
        hide_short_help = true,
        value_parser = folder
    )]
    store: Option<PathBuf>,
}

/// How long another process that writes to the store is waited for.
const PATIENCE: Duration = Duration::from_mins(30);

impl BuildStoreArgs {
    /// The store's folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.store {
            return Ok(std::path::absolute(folder)?);
        }
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/niphas/build"));
        }
        let folder = base_folder("XDG_DATA_HOME", ".local/share");
        let folder = folder.ok_or_else(|| {
            Failure::with_hint(
                anyhow!("XDG_DATA_HOME is not set, and you have no home folder"),
                "name a directory for what is built with --store",
            )
        })?;
        Ok(folder.join("niphas/build"))
    }

    /// The store, to write to. If another process writes to it, this waits for its end.
    pub(crate) fn open(&self, runtime: &Runtime) -> Result<Store, Failure> {
        let (folder, options) = (self.folder()?, Options::default());
        let opened = open_store(&folder, &options, |Waiting { store, process }| {
            let holder = process.map_or("another process".to_owned(), |pid| format!("pid {pid}"));
            tracing::warn!(
                "waiting for {holder}, which has the store '{}'",
                store.display()
            );
        });
        match runtime.block_on(async { timeout(PATIENCE, opened).await }) {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(Failure::with_hint(
                anyhow!(
                    "the store '{}' is in use by another process",
                    folder.display()
                ),
                "try again when that is done, or name another directory with --store",
            )),
        }
    }

    /// The store, to read from; none if there is none yet.
    pub(crate) fn open_read_only(&self) -> Result<Option<Store>, Failure> {
        match Store::open_read_only(&self.folder()?, Options::default()) {
            Err(OpenError::NotAStore(_)) => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    let is_nix_store = text.contains("://") || matches!(text, "auto" | "daemon" | "local" | "");
    if is_nix_store {
        return Err("expected a directory; stores of Nix are not written to".to_owned());
    }
    Ok(Path::new(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_nix_is_no_directory() {
        for text in ["daemon", "auto", "https://cache.example.org", ""] {
            assert!(folder(text).is_err(), "{text}");
        }
        assert_eq!(folder("./store"), Ok(PathBuf::from("./store")));
    }
}
