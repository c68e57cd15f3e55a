//! The Nix store of this machine.

use std::io::Write;
use std::path::{Path, PathBuf};

use nix_formats::{StoreDir, StorePath};

use super::{DaemonStore, NarSource, PathInfo, SourceError, write_tree};

/// A Nix store on this machine: the daemon tells what is known about its paths,
/// and their files are read from the store folder, which is several times as
/// fast as to be sent them by the daemon. Paths whose files can't be read here
/// are had from the daemon all the same.
#[derive(Debug)]
pub struct LocalStore {
    daemon: DaemonStore,
    /// Where the store folder is.
    folder: PathBuf,
}

impl LocalStore {
    /// The store with this daemon; its files are below `root` (`/` as a rule).
    pub fn new(daemon: DaemonStore, root: &Path) -> Self {
        let folder = root.join(daemon.store_dir().as_str().trim_start_matches('/'));
        Self { daemon, folder }
    }

    /// The folder with its paths.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl NarSource for LocalStore {
    fn store_dir(&self) -> &StoreDir {
        self.daemon.store_dir()
    }

    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
        self.daemon.infos(paths)
    }

    fn write_nar(&self, info: &PathInfo, out: &mut dyn Write) -> Result<(), SourceError> {
        let path = self.folder.join(info.path.base_name());
        match std::fs::symlink_metadata(&path) {
            Ok(_) => write_tree(&path, out),
            Err(_) => self.daemon.write_nar(info, out),
        }
    }
}
