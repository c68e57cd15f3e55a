//! Inputs from a Nix store of this machine.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use binary_cache::{DaemonStore, LocalStore};
use nix_builder::engine::InputFolder;
use nix_formats::StoreDir;

use crate::failure::Failure;

/// Nix's daemon, below the store's root.
const SOCKET: &str = "nix/var/nix/daemon-socket/socket";

/// The store below a folder: its files lie in `nix/store`. What is valid there, Nix says: its daemon, or a program of Nix that
/// reads the database.
pub(super) fn open(root: &Path) -> Result<InputFolder, Failure> {
    let shown = root.display();
    let root = root
        .canonicalize()
        .with_context(|| format!("failed to find the Nix store of '{shown}'"))?;
    let store_dir = StoreDir::default();
    let daemon = match DaemonStore::connect(store_dir.clone(), &root.join(SOCKET)) {
        Ok(daemon) => daemon,
        Err(by_socket) => {
            let program = Path::new("nix-daemon");
            DaemonStore::run(store_dir, program, &root).map_err(|error| {
                let context = format!("failed to ask for the Nix store of '{shown}': {by_socket}");
                Failure::with_hint(
                    anyhow::Error::new(error).context(context),
                    "start Nix's daemon, or put nix-daemon into PATH",
                )
            })?
        }
    };
    let store = LocalStore::new(daemon.holding(), &root);
    Ok(InputFolder {
        folder: store.folder().to_owned(),
        source: Arc::new(store),
    })
}
