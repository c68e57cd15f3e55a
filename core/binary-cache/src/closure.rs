//! Walking a closure through the references of its paths.

use crate::{
    caches::{Caches, Found},
    error::{ClosureError, Unavailable},
};
use futures::{StreamExt, stream::FuturesUnordered};
use nix_formats::StorePath;
use std::{collections::HashSet, sync::Arc};

/// Every path that a set of roots needs, the roots among them.
#[derive(Debug, Clone)]
pub struct Closure {
    /// The paths, sorted, each once.
    pub paths: Vec<Arc<Found>>,
}

impl Closure {
    /// The sum of the NAR sizes, which tops out at the largest number.
    pub fn nar_size(&self) -> u64 {
        self.paths
            .iter()
            .fold(0, |sum, path| sum.saturating_add(path.info.nar_size))
    }
}

impl Caches {
    /// The closure of these roots. Each path is looked up once, many at a time.
    ///
    /// If paths are unavailable, the rest is walked all the same, so that the
    /// error names every one.
    pub async fn closure(&self, roots: &[StorePath]) -> Result<Closure, ClosureError> {
        let mut seen: HashSet<StorePath> = HashSet::new();
        let mut lookups = FuturesUnordered::new();
        for root in roots {
            if seen.insert(root.clone()) {
                lookups.push(self.lookup(root.clone(), None));
            }
        }
        let (mut paths, mut unavailable) = (Vec::new(), Vec::new());
        while let Some(answer) = lookups.next().await {
            match answer {
                Ok(found) => {
                    for reference in &found.info.references {
                        if seen.insert(reference.clone()) {
                            let needed_by = Some(found.info.path.clone());
                            lookups.push(self.lookup(reference.clone(), needed_by));
                        }
                    }
                    if seen.len() > self.members.limits.max_paths {
                        return Err(ClosureError::TooLarge(self.members.limits.max_paths));
                    }
                    paths.push(found);
                }
                Err(error) => unavailable.push(error),
            }
        }
        if !unavailable.is_empty() {
            unavailable.sort_by(|a, b| a.path.cmp(&b.path));
            return Err(ClosureError::Unavailable(unavailable));
        }
        paths.sort_by(|a, b| a.info.path.cmp(&b.info.path));
        Ok(Closure { paths })
    }

    async fn lookup(
        &self,
        path: StorePath,
        needed_by: Option<StorePath>,
    ) -> Result<Arc<Found>, Unavailable> {
        self.find(&path, needed_by.as_ref()).await
    }
}
