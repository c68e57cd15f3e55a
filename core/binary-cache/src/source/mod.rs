//! Where store paths come from that are pushed: a Nix store, or any other that
//! can tell about its paths and write their NARs.

pub(crate) mod daemon;
mod local;
mod tree;

use std::collections::BTreeSet;
use std::io;

use nix_formats::{ContentAddress, NarHash, Signature, StoreDir, StorePath};
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
    pub nar_hash: NarHash,
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

    /// Writes the NAR of a path. The caller checks its hash.
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

/// Paths that a store is asked for at once.
const AT_ONCE: usize = 128;

/// Tells the paths that `roots` need, themselves among them, each once and as soon as it is known: none before all roots
/// are. Ends when `tell` says no.
pub(crate) fn walk_closure(
    source: &dyn NarSource,
    roots: &[StorePath],
    mut tell: impl FnMut(Vec<PathInfo>) -> bool,
) -> Result<(), SourceError> {
    let mut known: BTreeSet<StorePath> = roots.iter().cloned().collect();
    // Each with a path that refers to it.
    let mut wanted: Vec<(StorePath, Option<StorePath>)> =
        known.iter().map(|root| (root.clone(), None)).collect();
    let mut at_once = wanted.len();
    while !wanted.is_empty() {
        let asked = wanted.split_off(wanted.len() - at_once);
        let paths: Vec<StorePath> = asked.iter().map(|(path, _)| path.clone()).collect();
        let mut infos = Vec::with_capacity(paths.len());
        for ((path, needed_by), info) in asked.into_iter().zip(source.infos(&paths)?) {
            infos.push(info.ok_or(SourceError::Missing { path, needed_by })?);
        }
        for info in &infos {
            for reference in &info.references {
                if known.insert(reference.clone()) {
                    wanted.push((reference.clone(), Some(info.path.clone())));
                }
            }
        }
        if !tell(infos) {
            return Ok(());
        }
        at_once = wanted.len().min(AT_ONCE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths by number: each refers to itself and to the next ones, so that most are referred to many times.
    struct Numbered {
        store_dir: StoreDir,
        count: usize,
    }

    fn path(number: usize) -> StorePath {
        StorePath::from_base_name(format!("{number:032}-p")).unwrap()
    }

    impl NarSource for Numbered {
        fn store_dir(&self) -> &StoreDir {
            &self.store_dir
        }

        fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
            assert!(paths.len() <= AT_ONCE);
            let info = |path_asked: &StorePath| {
                let number: usize = path_asked.hash_part().parse().unwrap();
                (number < self.count).then(|| PathInfo {
                    path: path_asked.clone(),
                    nar_hash: NarHash::of(b""),
                    nar_size: 0,
                    references: (number..(number * 2 + 300).min(1000)).map(path).collect(),
                    deriver: None,
                    signatures: Vec::new(),
                    ca: None,
                })
            };
            Ok(paths.iter().map(info).collect())
        }

        fn write_nar(&self, _: &PathInfo, _: &mut dyn io::Write) -> Result<(), SourceError> {
            unreachable!("nobody asks for NARs")
        }
    }

    fn walk(count: usize, told: &mut Vec<StorePath>) -> Result<(), SourceError> {
        let store_dir = StoreDir::default();
        walk_closure(&Numbered { store_dir, count }, &[path(0)], |infos| {
            told.extend(infos.into_iter().map(|info| info.path));
            true
        })
    }

    #[test]
    fn each_path_of_a_closure_is_told_once() {
        let mut told = Vec::new();
        walk(1000, &mut told).unwrap();
        told.sort();
        assert_eq!(told, (0..1000).map(path).collect::<Vec<_>>());
    }

    #[test]
    fn a_path_that_the_store_lacks_ends_the_walk_and_is_named() {
        let mut told = Vec::new();
        let error = walk(900, &mut told).unwrap_err();
        assert!(!told.contains(&path(900)));
        let SourceError::Missing { path, needed_by } = error else {
            panic!("another error: {error}");
        };
        assert!(path.hash_part() >= self::path(900).hash_part(), "{path}");
        assert!(told.contains(&needed_by.unwrap()));
        let error = walk(0, &mut told).unwrap_err();
        assert!(matches!(
            error,
            SourceError::Missing {
                needed_by: None,
                ..
            }
        ));
    }
}
