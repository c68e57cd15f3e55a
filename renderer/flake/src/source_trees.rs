//! The trees behind store paths that fetches gave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix_formats::StorePath;

use crate::tree::SourceTree;

/// The trees behind the store paths that a fetcher gave so far. A clone sees those that come later, too.
#[derive(Debug, Clone, Default)]
pub struct SourceTrees {
    trees: Arc<Mutex<BTreeMap<StorePath, Arc<SourceTree>>>>,
}

impl SourceTrees {
    /// The tree behind a store path.
    pub fn get(&self, path: &StorePath) -> Option<Arc<SourceTree>> {
        self.lock().get(path).cloned()
    }

    /// All store paths with their trees.
    pub fn all(&self) -> Vec<(StorePath, Arc<SourceTree>)> {
        let trees = self.lock();
        trees
            .iter()
            .map(|(path, tree)| (path.clone(), Arc::clone(tree)))
            .collect()
    }

    /// Both are of the same fetcher.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trees, &other.trees)
    }

    pub(crate) fn insert(&self, path: StorePath, tree: Arc<SourceTree>) {
        self.lock().insert(path, tree);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StorePath, Arc<SourceTree>>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
