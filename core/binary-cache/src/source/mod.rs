//! Where store paths come from that are pushed: a Nix store, or any other that
//! can tell about its paths and write their NARs.

pub(crate) mod daemon;
mod local;
mod tree;

use nix_formats::{ContentAddress, Hash, Signature, StoreDir, StorePath};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};
use thiserror::Error;

pub use daemon::{DaemonError, DaemonStore};
pub use local::LocalStore;
pub use tree::write_tree;

/// What a store knows about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// The paths that it refers to, itself among them if it does.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Who vouches for it.
    pub signatures: Vec<Signature>,
    /// Its content address.
    pub ca: Option<ContentAddress>,
}

/// A store that paths can be read from. Its methods block.
pub trait NarSource: Send + Sync {
    /// The store folder that its paths are in.
    fn store_dir(&self) -> &StoreDir;

    /// What is known about paths, in their order; `None` for one that it does
    /// not have.
    fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError>;

    /// Writes the NAR of a path. Whoever calls checks its hash.
    fn write_nar(&self, info: &PathInfo, out: &mut dyn io::Write) -> Result<(), SourceError>;
}

/// A store can't be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The store does not have a path.
    #[error("the store has no path '{path}'{}", .needed_by.as_ref().map(|by| format!(", which '{by}' refers to")).unwrap_or_default())]
    Missing {
        /// The path.
        path: StorePath,
        /// A path that refers to it; none if it was asked for.
        needed_by: Option<StorePath>,
    },
    /// The Nix daemon.
    #[error("the Nix daemon does not answer as it should")]
    Daemon(#[from] DaemonError),
    /// A file of the store.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What the NAR is written to. The caller knows what it is.
    #[error("cannot write the NAR")]
    Write(#[source] io::Error),
    /// A file tree that can't be a NAR.
    #[error("'{path}' cannot be in a NAR")]
    Tree {
        /// The file.
        path: String,
        /// Why.
        source: nix_formats::nar::WriterError,
    },
    /// Another kind of store.
    #[error("the store cannot be read")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// All paths that `roots` need, themselves among them, by path.
pub fn source_closure(
    source: &dyn NarSource,
    roots: &[StorePath],
) -> Result<BTreeMap<StorePath, PathInfo>, SourceError> {
    let mut closure: BTreeMap<StorePath, PathInfo> = BTreeMap::new();
    let mut wanted: BTreeMap<StorePath, Option<StorePath>> =
        roots.iter().map(|root| (root.clone(), None)).collect();
    while !wanted.is_empty() {
        let paths: Vec<StorePath> = wanted.keys().cloned().collect();
        let infos = source.infos(&paths)?;
        let mut next = BTreeMap::new();
        for (path, info) in paths.iter().zip(infos) {
            let info = info.ok_or_else(|| SourceError::Missing {
                path: path.clone(),
                needed_by: wanted.get(path).cloned().flatten(),
            })?;
            for reference in &info.references {
                if !closure.contains_key(reference) && !wanted.contains_key(reference) {
                    next.insert(reference.clone(), Some(path.clone()));
                }
            }
            closure.insert(path.clone(), info);
        }
        wanted = next;
    }
    Ok(closure)
}
