//! One derivation of a plan: its inputs come, it is resolved if it must be, and built if that leads to nothing that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niphas_api::Roots;
use niphas_store::{RealiseError, RealisedClosure, Terms};
use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, Hash, StorePath};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Reason};
use super::report::Built;
use super::resolve::{self, OutputPaths, Resolved};
use super::run::{Failed, Job, Workshop};
use super::{AskError, Event, FetchProgress, Shared};
use crate::options::Options;
use crate::plan::{self, OutputId, Wanted, WantedOutputs};
use crate::sandbox::Cancel;

/// What the goals of a request share.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) events: mpsc::Sender<Event>,
    /// Ends waiting.
    pub(super) stop: CancellationToken,
    /// Ends builders.
    pub(super) cancel: Cancel,
    pub(super) state: Mutex<State>,
}

/// What a request gathers.
#[derive(Default)]
pub(super) struct State {
    pub(super) held: Vec<Arc<RealisedClosure>>,
    pub(super) fetched: FetchProgress,
    /// What caches promised and did not give.
    pub(super) lost: BTreeSet<StorePath>,
    /// That of it which the plan takes for granted.
    pub(super) planned_without: BTreeSet<StorePath>,
}

/// What came of a derivation that was built.
pub(super) type Outcome = Result<Arc<Built>, Arc<Failure>>;

/// Why a derivation of a plan is not reached: its own failure at the end, and before it what led to that.
pub(super) type Failures = Vec<Arc<Failure>>;

/// What came of a derivation of a plan.
pub(super) struct Reached {
    /// The paths of its outputs.
    pub(super) outputs: BTreeMap<String, StorePath>,
    /// What was built for it.
    pub(super) built: Option<Arc<Built>>,
}

/// How often readers learn how far fetches are.
const TICK: Duration = Duration::from_millis(100);

impl Context {
    /// Reaches the outputs of a derivation of a plan. `known` has the paths of its inputs.
    pub(super) async fn reach(
        &self,
        build: &plan::Build,
        known: &OutputPaths,
        is_check: bool,
    ) -> Result<Reached, Failures> {
        let own = |reason| {
            vec![Arc::new(self.failure(
                &build.path,
                &build.derivation,
                reason,
            ))]
        };
        if let Some(refusal) = &build.refusal {
            return Err(own(Reason::Refused(refusal.clone())));
        }
        if self.shared.settings.max_jobs == 0 {
            return Err(own(Reason::Disabled));
        }
        if !resolve::must_resolve(&build.derivation, self.has_placeholders(&build.derivation)) {
            // All inputs are known: what has other ones is resolved.
            let inputs = resolve::inputs(&build.derivation, known).unwrap_or_default();
            let target = Target {
                path: &build.path,
                derivation: &build.derivation,
                options: &build.options,
                inputs,
                trace: build.trace,
                height: build.height,
                is_check,
            };
            let built = self.build(target).await;
            let built = built.map_err(|failure| self.with_target(build, failure))?;
            self.note(build, &built.outputs).map_err(own)?;
            return Ok(Reached {
                outputs: built.outputs.clone(),
                built: Some(built),
            });
        }
        let store_dir = &self.shared.places.store_dir;
        let resolved = resolve::resolve(&build.derivation, known, store_dir);
        let resolved = resolved.map_err(|source| {
            own(Reason::Resolve {
                derivation: store_dir.print(&build.path),
                source,
            })
        })?;
        self.tell(Event::Resolved {
            derivation: build.path.clone(),
            resolved: resolved.path.clone(),
        })
        .await;
        let path = store_dir.print(&resolved.path);
        let reached = self.reach_resolved(build, resolved, is_check).await;
        let reached = reached.map_err(|failure| {
            let last = self.failure(&build.path, &build.derivation, Reason::Resolved(path));
            vec![failure, Arc::new(last)]
        })?;
        self.note(build, &reached.outputs).map_err(own)?;
        Ok(reached)
    }

    async fn reach_resolved(
        &self,
        build: &plan::Build,
        resolved: Resolved,
        is_check: bool,
    ) -> Result<Reached, Arc<Failure>> {
        let path = resolved.path;
        let derivation = Arc::new(resolved.derivation);
        let failed = |reason| Arc::new(self.failure(&path, &derivation, reason));
        let plan = self
            .plan_resolved(build, &path, &derivation, is_check)
            .await;
        let plan = plan.map_err(failed)?;
        let known = plan.outputs.get(&path).cloned().unwrap_or_default();
        let Some(again) = plan.builds.first() else {
            let paths: Vec<StorePath> = known.values().cloned().collect();
            self.fetch(&paths).await.map_err(|source| {
                failed(Reason::Substitutes {
                    derivation: self.shared.places.store_dir.print(&path),
                    source,
                })
            })?;
            return Ok(Reached {
                outputs: known,
                built: None,
            });
        };
        let built = self.build(Target {
            path: &path,
            derivation: &derivation,
            options: &again.options,
            inputs: derivation.input_sources.iter().cloned().collect(),
            trace: again.trace,
            height: build.height,
            is_check,
        });
        let built = built.await?;
        self.note(again, &built.outputs).map_err(failed)?;
        Ok(Reached {
            outputs: built.outputs.clone(),
            built: Some(built),
        })
    }

    async fn plan_resolved(
        &self,
        build: &plan::Build,
        path: &StorePath,
        derivation: &Arc<Derivation>,
        is_check: bool,
    ) -> Result<plan::Plan, Reason> {
        let alone: BTreeMap<_, _> = [(path.clone(), Arc::clone(derivation))].into();
        let mut planner = self.shared.planner(Arc::new(alone));
        let planned = planner.want(&Wanted::Outputs {
            derivation: path.clone(),
            outputs: WantedOutputs::Named(build.wanted.clone()),
        });
        planned.map_err(AskError::from)?;
        if is_check {
            planner.rebuild(path).map_err(AskError::from)?;
        }
        let lost = self.state().planned_without.clone();
        Ok(self.shared.answers(&lost).plan(planner).await?)
    }

    /// Whether texts of a derivation stand for outputs of its inputs.
    fn has_placeholders(&self, derivation: &Derivation) -> bool {
        derivation.input_derivations.keys().any(|input| {
            let input = self.shared.derivations.derivation(input);
            let kind = input.ok().flatten().and_then(|input| input.kind().ok());
            kind.is_some_and(|kind| {
                !matches!(
                    kind,
                    DerivationKind::InputAddressed | DerivationKind::FixedOutput
                )
            })
        })
    }

    /// Remembers what outputs became.
    fn note(
        &self,
        build: &plan::Build,
        outputs: &BTreeMap<String, StorePath>,
    ) -> Result<(), Reason> {
        let Some(hash) = build.trace else {
            return Ok(());
        };
        for (output, path) in outputs {
            let id = OutputId {
                hash,
                output: output.clone(),
            };
            let noted = self.shared.trace.set(&id, path);
            noted.map_err(|source| Reason::Io {
                action: "write the build trace of the store".to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    /// A failure of a derivation.
    pub(super) fn failure(
        &self,
        path: &StorePath,
        derivation: &Derivation,
        reason: Reason,
    ) -> Failure {
        let store_dir = &self.shared.places.store_dir;
        let outputs = derivation.outputs.iter();
        let outputs = outputs
            .filter_map(|(name, output)| output.path(store_dir, &derivation.name, name).ok()?);
        let mut outputs: Vec<StorePath> = outputs.collect();
        outputs.sort();
        Failure {
            derivation: path.clone(),
            reason,
            outputs,
            log_tail: Vec::new(),
        }
    }

    /// Builds a derivation, or waits for another that does.
    async fn build(&self, target: Target<'_>) -> Outcome {
        loop {
            let role = {
                let mut running = self.shared.running();
                if let Some(outcome) = running.get(target.path) {
                    Err(outcome.clone())
                } else {
                    let (lead, outcome) = watch::channel(None);
                    running.insert(target.path.clone(), outcome);
                    Ok(lead)
                }
            };
            let cancelled =
                || Arc::new(self.failure(target.path, target.derivation, Reason::Cancelled));
            match role {
                Ok(lead) => {
                    let _forget = Forget {
                        shared: &self.shared,
                        path: target.path,
                    };
                    let outcome = self.build_now(&target).await;
                    let is_cancelled = matches!(&outcome, Err(failure) if matches!(failure.reason, Reason::Cancelled));
                    // Who waits for one that was cancelled builds it.
                    if !is_cancelled {
                        lead.send_replace(Some(outcome.clone()));
                    }
                    return outcome;
                }
                Err(mut outcome) => {
                    tokio::select! {
                        outcome = outcome.wait_for(Option::is_some) => {
                            if let Ok(outcome) = outcome && let Some(outcome) = &*outcome {
                                return outcome.clone();
                            }
                        }
                        () = self.stop.cancelled() => return Err(cancelled()),
                    }
                }
            }
        }
    }

    async fn build_now(&self, target: &Target<'_>) -> Outcome {
        let failed = |reason| Arc::new(self.failure(target.path, target.derivation, reason));
        self.fetch_inputs(target).await.map_err(failed)?;
        let slot = tokio::select! {
            slot = self.shared.slots.take(target.height) => slot,
            () = self.stop.cancelled() => return Err(failed(Reason::Cancelled)),
        };
        if self.stop.is_cancelled() {
            return Err(failed(Reason::Cancelled));
        }
        let (shared, events, cancel) = (
            Arc::clone(&self.shared),
            self.events.clone(),
            self.cancel.clone(),
        );
        let (path, derivation, options) = (
            target.path.clone(),
            Arc::clone(target.derivation),
            Arc::clone(target.options),
        );
        let (inputs, trace, is_check) = (target.inputs.clone(), target.trace, target.is_check);
        let built = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let workshop = Workshop {
                places: &shared.places,
                trace: &shared.trace,
                derivations: &*shared.derivations,
                settings: &shared.settings,
                view: shared.view,
                events: &events,
                cancel: &cancel,
            };
            let job = Job {
                path: &path,
                derivation: &derivation,
                options: &options,
                inputs: &inputs,
                trace,
                is_check,
            };
            workshop.build_or_find(&job)
        });
        let done = match built.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(failed(Reason::Cancelled)),
        };
        let done = done.map_err(|Failed { reason, log_tail }| {
            let mut failure = self.failure(target.path, target.derivation, *reason);
            failure.log_tail = log_tail;
            Arc::new(failure)
        })?;
        let built = Arc::new(Built {
            derivation: target.path.clone(),
            outputs: done.outputs,
            duration: done.duration,
        });
        Ok(built)
    }

    /// Fetches what is not here of a derivation's inputs.
    async fn fetch_inputs(&self, target: &Target<'_>) -> Result<(), Reason> {
        let (shared, inputs) = (Arc::clone(&self.shared), target.inputs.clone());
        let missing = tokio::task::spawn_blocking(move || shared.places.missing(&inputs)).await;
        let missing = match missing {
            Ok(missing) => missing,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Reason::Cancelled),
        };
        let missing = missing.map_err(|source| Reason::Inputs {
            derivation: self.shared.places.store_dir.print(target.path),
            source: Box::new(source),
        })?;
        if missing.is_empty() {
            return Ok(());
        }
        tokio::select! {
            fetched = self.fetch(&missing) => match fetched {
                Ok(()) => Ok(()),
                Err(source) => Err(self.unfetched(target, &missing, source).await),
            },
            () = self.stop.cancelled() => Err(Reason::Cancelled),
        }
    }

    /// Fetches the closures of paths, as far as they are not here, and holds them until the request ends.
    pub(super) async fn fetch(&self, paths: &[StorePath]) -> Result<(), Arc<RealiseError>> {
        let Ok(roots) = Roots::try_from(paths.to_vec()) else {
            return Ok(());
        };
        let realisation = self.shared.places.store.realise(niphas_store::Request {
            roots,
            expected: None,
            caches: Arc::clone(&self.shared.caches),
            terms: Terms::default(),
        });
        let closure = loop {
            let done = tokio::time::timeout(TICK, realisation.wait()).await;
            let untold = realisation.untold();
            if untold.paths > 0 || untold.bytes > 0 {
                let progress = {
                    let mut state = self.state();
                    state.fetched.paths += untold.paths;
                    state.fetched.bytes += untold.bytes;
                    state.fetched
                };
                self.tell(Event::Fetched(progress)).await;
            }
            if let Ok(done) = done {
                break done?;
            }
        };
        self.state().held.push(closure);
        Ok(())
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader that is gone does not matter.
    pub(super) async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }
}

/// A derivation to build, resolved.
pub(super) struct Target<'a> {
    pub(super) path: &'a StorePath,
    pub(super) derivation: &'a Arc<Derivation>,
    options: &'a Arc<Options>,
    /// The paths of its inputs.
    inputs: Vec<StorePath>,
    /// What the build trace knows its outputs by.
    trace: Option<Hash>,
    height: usize,
    is_check: bool,
}

/// Forgets what was built, also if this was dropped before its end.
struct Forget<'a> {
    shared: &'a Shared,
    path: &'a StorePath,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.running().remove(self.path);
    }
}
