//! Walking a closure through the references of its paths.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nix_formats::StorePath;

use crate::caches::{Caches, Found};
use crate::error::{ClosureError, Unavailable};
use crate::limits::Limits;

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

/// Paths that are unavailable, beyond which a walk ends.
const MAX_UNAVAILABLE: usize = 1000;

impl Caches {
    /// The closure of these roots. Each path is looked up once, many at a time.
    ///
    /// If paths are unavailable, the rest is walked all the same, so that the
    /// error names every one, or the first thousand. A closure beyond the
    /// [limits](crate::Limits) on paths and references is refused, and one
    /// whose narinfos take more [memory](crate::CacheMemory) than there is.
    pub async fn closure(&self, roots: &[StorePath]) -> Result<Closure, ClosureError> {
        let limits = &self.members.limits;
        let mut walk = Walk::default();
        for root in roots {
            walk.want(root, None, limits)?;
        }
        let mut lookups = FuturesUnordered::new();
        loop {
            while lookups.len() < limits.concurrency.max(1)
                && let Some((path, needed_by)) = walk.wanted.pop_front()
            {
                lookups.push(self.lookup(path, needed_by));
            }
            let Some(answer) = lookups.next().await else {
                break;
            };
            match answer {
                Ok(found) => {
                    let info = &found.info;
                    walk.references += info.references.len();
                    if walk.references > limits.max_references {
                        return Err(ClosureError::TooManyReferences(limits.max_references));
                    }
                    for reference in &info.references {
                        walk.want(reference, Some(&info.path), limits)?;
                    }
                    walk.paths.push(found);
                }
                Err(error) => {
                    let is_for_memory = error.is_for_memory();
                    walk.unavailable.push(error);
                    if is_for_memory || walk.unavailable.len() >= MAX_UNAVAILABLE {
                        break;
                    }
                }
            }
        }
        let Walk {
            mut paths,
            mut unavailable,
            ..
        } = walk;
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

/// A walk that goes on.
#[derive(Default)]
struct Walk {
    seen: HashSet<StorePath>,
    /// To be looked up, each with a path that refers to it.
    wanted: VecDeque<(StorePath, Option<StorePath>)>,
    references: usize,
    paths: Vec<Arc<Found>>,
    unavailable: Vec<Unavailable>,
}

impl Walk {
    fn want(
        &mut self,
        path: &StorePath,
        needed_by: Option<&StorePath>,
        limits: &Limits,
    ) -> Result<(), ClosureError> {
        if self.seen.insert(path.clone()) {
            if self.seen.len() > limits.max_paths {
                return Err(ClosureError::TooLarge(limits.max_paths));
            }
            self.wanted.push_back((path.clone(), needed_by.cloned()));
        }
        Ok(())
    }
}
