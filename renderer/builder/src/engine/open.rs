//! Opening a build store, and what must be done before anything is built in it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use niphas_store::mount::{self, View};
use niphas_store::{OpenError, Options, Store};
use thiserror::Error;

use super::run::BUILDS;
use crate::sandbox;

/// Why there is no engine.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A folder of the store.
    #[error("failed to {action} \"{}\"", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// What can be mounted is not known.
    #[error("failed to find out how closures can be mounted")]
    Probe(#[source] mount::MountError),
}

/// Another process has the store open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The store's folder.
    pub store: PathBuf,
    /// The process, if it is known.
    pub process: Option<u32>,
}

/// How often another process is looked for.
const PATIENCE: Duration = Duration::from_millis(100);

/// Opens a build store for writing. One process has it at a time: while another has it, `waiting` is called once for each such
/// process, and this waits. The lock ends with its process, so it is never left behind.
pub async fn open_store(
    folder: &Path,
    options: &Options,
    mut waiting: impl FnMut(Waiting),
) -> Result<Store, OpenError> {
    let mut told = None;
    loop {
        let (place, with) = (folder.to_owned(), options.clone());
        let opened = tokio::task::spawn_blocking(move || Store::open(&place, with)).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        };
        let Err(OpenError::InUse { dir, pid }) = opened else {
            return opened;
        };
        let holder = Waiting {
            store: dir,
            process: pid,
        };
        if told.as_ref() != Some(&holder) {
            waiting(holder.clone());
            told = Some(holder);
        }
        tokio::time::sleep(PATIENCE).await;
    }
}

/// Makes the folders that builds need, and removes what runs left that were killed: nothing else has the store. Gives how
/// closures are mounted, if they can be.
pub(super) fn prepare(store: &Path) -> Result<Option<View>, SetupError> {
    let builds = store.join(BUILDS);
    for folder in [&builds, &store.join("logs")] {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
        made.map_err(|source| SetupError::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
    }
    sandbox::sweep(&builds).map_err(|source| SetupError::Io {
        action: "remove old builds in",
        path: builds,
        source,
    })?;
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match mount::probe(&store.join("tmp"))
        .map_err(SetupError::Probe)?
        .view
    {
        View::Export => Ok(None),
        view => Ok(Some(view)),
    }
}
