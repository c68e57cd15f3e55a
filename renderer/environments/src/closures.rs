//! The closures of environments' workloads, found in binary caches.

use std::collections::BTreeMap;
use std::sync::Arc;

use binary_cache::{Caches, Closure};
use niphas_api::{ClosureError, ClosureLine, ClosureLines};
use niphas_render::{CheckedEnvironment, ClosureId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::{ResolveError, UnresolvedClosure};
use crate::step::Step;

/// The closures of environments by the environment's name: what [`render`](crate::render) takes.
pub type Closures = BTreeMap<String, BTreeMap<ClosureId, ClosureLines>>;

/// Closures that are walked at the same time.
const CLOSURES_AT_ONCE: usize = 64;

/// The lines of a closure, as nodes know it.
pub fn closure_lines(closure: &Closure) -> Result<ClosureLines, ClosureError> {
    let lines = closure.paths.iter();
    ClosureLines::new(lines.map(|path| ClosureLine::from(&*path.info)).collect())
}

/// Finds the closures of all workloads. Those that the caches do not give are reported all together, in the order of the
/// environments. It ends with the future: what is still being looked for is given up when that is dropped.
pub async fn resolve(
    caches: &Arc<Caches>,
    environments: &[CheckedEnvironment],
    progress: &dyn Fn(Step<'_>),
) -> Result<Closures, ResolveError> {
    let mut resolved: Closures = environments
        .iter()
        .map(|environment| (environment.name.clone(), BTreeMap::new()))
        .collect();
    let wanted: Vec<_> = environments
        .iter()
        .flat_map(|environment| {
            let closures = environment.closures();
            closures.map(|(id, roots)| (environment.name.as_str(), id, roots))
        })
        .collect();
    let permits = Arc::new(Semaphore::new(CLOSURES_AT_ONCE));
    let mut searches = JoinSet::new();
    for (index, (_, _, roots)) in wanted.iter().enumerate() {
        let (caches, permits, roots) = (Arc::clone(caches), Arc::clone(&permits), roots.to_vec());
        searches.spawn(async move {
            // Nothing closes the semaphore.
            let _permit = permits.acquire().await.ok();
            let found = caches.closure(&roots).await;
            (index, found.map(|closure| closure_lines(&closure)))
        });
    }
    let mut found: Vec<_> = wanted.iter().map(|_| None).collect();
    let mut done = 0;
    while let Some(search) = searches.join_next().await {
        let (index, closure) = search?;
        found[index] = Some(closure);
        done += 1;
        progress(Step::Closure {
            id: &wanted[index].1,
            done,
            total: wanted.len(),
        });
    }
    let mut unresolved = Vec::new();
    for ((environment, id, _), closure) in wanted.into_iter().zip(found.into_iter().flatten()) {
        match closure {
            Ok(Ok(lines)) => {
                let of_environment = resolved.entry(environment.to_owned()).or_default();
                of_environment.insert(id, lines);
            }
            Ok(Err(source)) => return Err(ResolveError::Lines { id, source }),
            Err(error) => unresolved.push(UnresolvedClosure {
                environment: environment.to_owned(),
                id,
                error,
            }),
        }
    }
    if unresolved.is_empty() {
        Ok(resolved)
    } else {
        Err(ResolveError::Unresolved(unresolved))
    }
}
