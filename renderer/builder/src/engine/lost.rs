//! What caches promise by a narinfo, and then do not give: it is built instead, or the run fails in Nix's words.

use std::collections::BTreeSet;
use std::sync::Arc;

use binary_cache::ClosureError;
use niphas_store::RealiseError;
use nix_formats::{Derivation, StorePath};

use super::Event;
use super::failure::{Failure, Reason};
use super::goal::{Context, Failures, Target};
use crate::plan;

impl Context {
    /// Begins a round of a run. What is lost by now, the plan does without.
    pub(super) fn begin_round(&self) -> BTreeSet<StorePath> {
        let mut state = self.state();
        let lost = state.lost.clone();
        state.planned_without.clone_from(&lost);
        lost
    }

    /// Notes what did not come. Whether a new plan builds it instead.
    pub(super) async fn lose(&self, error: &RealiseError) -> bool {
        let mut lost = lost(error, self.shared.settings.fallback);
        let is_new = {
            let mut state = self.state();
            lost.retain(|path| !state.planned_without.contains(path));
            let before = state.lost.len();
            state.lost.extend(lost.iter().cloned());
            state.lost.len() > before
        };
        if is_new {
            let text = format!("{}; it is built instead", nix_formats::chain(error));
            self.tell(Event::Warning(text)).await;
        }
        !lost.is_empty()
    }

    /// Whether a build failed because its inputs did not come, and these are built in the next round. What needs it waits for
    /// that, too.
    pub(super) async fn waits_for_next_round(&self, failures: &[Arc<Failure>]) -> bool {
        for failure in failures {
            if let Reason::Substitutes { source, .. } = &failure.reason
                && self.lose(source).await
            {
                return true;
            }
        }
        false
    }

    /// Why the inputs of a derivation did not come, in the name of the one whose outputs they are.
    pub(super) async fn unfetched(
        &self,
        target: &Target<'_>,
        missing: &[StorePath],
        mut source: Arc<RealiseError>,
    ) -> Reason {
        let store_dir = &self.shared.places.store_dir;
        let mut named = target.path.clone();
        for (input, names) in &target.derivation.input_derivations {
            let Ok(Some(derivation)) = self.shared.derivations.derivation(input) else {
                continue;
            };
            let outputs = derivation.outputs.iter();
            let outputs = outputs.filter(|(name, _)| names.names.contains(*name));
            let mut paths: Vec<StorePath> = outputs
                .filter_map(|(name, output)| output.path(store_dir, &derivation.name, name).ok()?)
                .collect();
            paths.retain(|path| missing.contains(path));
            // Those that came are there by now, and what failed is known to fail.
            if let Err(error) = self.fetch(&paths).await {
                (named, source) = (input.clone(), error);
                break;
            }
        }
        Reason::Substitutes {
            derivation: store_dir.print(&named),
            source,
        }
    }

    /// A failure, and that of the derivation which was to be built, if it is of its inputs.
    pub(super) fn with_target(&self, build: &plan::Build, failure: Arc<Failure>) -> Failures {
        let path = self.shared.places.store_dir.print(&build.path);
        let is_of_input = matches!(&failure.reason, Reason::Substitutes { derivation, .. } if *derivation != path);
        let mut failures = vec![failure];
        if is_of_input {
            let reason = Reason::Dependencies { count: 1 };
            let target: &Derivation = &build.derivation;
            failures.push(Arc::new(self.failure(&build.path, target, reason)));
        }
        failures
    }
}

/// The paths that a new plan may take for lost. As with Nix, where all that caches have of a path is its narinfo, that needs no
/// leave.
fn lost(error: &RealiseError, fallback: bool) -> Vec<StorePath> {
    match error {
        RealiseError::Nar(error) if fallback || error.is_missing() => vec![error.path().clone()],
        RealiseError::Unsuitable { path, .. } if fallback => vec![path.clone()],
        RealiseError::Unavailable(ClosureError::Unavailable(paths)) if fallback => {
            paths.iter().map(|it| it.path.clone()).collect()
        }
        _ => Vec::new(),
    }
}
