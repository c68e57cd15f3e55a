//! Carrying out a plan.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use niphas_store::RealiseError;
use nix_formats::StorePath;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Reason};
use super::goal::{Context, Failures, Reached, State};
use super::report::{EngineError, Report};
use super::resolve::OutputPaths;
use super::{Engine, Event, Request};
use crate::plan::{Build, Plan, Wanted};
use crate::sandbox::Cancel;

/// Builds whose inputs are fetched at once before they are needed. What is needed now comes besides.
const PREFETCHES: usize = 8;

impl Engine {
    /// Builds what is asked for. `events` must be read until this ends, or be dropped: builders wait for their reader.
    ///
    /// Failed builds are in the report. If `cancel` is cancelled this ends once all builders have ended; if it is dropped they
    /// end soon after.
    pub async fn build(
        &self,
        request: &Request,
        events: mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Result<Report, EngineError> {
        let context = self.context(events, cancel)?;
        let _stop = context.stop.clone().drop_guard();
        let done = self.carry_out(request, &context).await;
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let mut report = done?;
        let state = std::mem::take(&mut *context.state());
        report.fetched = state.fetched;
        report.held.extend(state.held);
        Ok(report)
    }

    fn context(
        &self,
        events: mpsc::Sender<Event>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Context>, EngineError> {
        let builders = Cancel::new().map_err(EngineError::Cancel)?;
        let stop = cancel.child_token();
        let (ends, stopped) = (builders.clone(), stop.clone());
        tokio::spawn(async move {
            stopped.cancelled().await;
            ends.cancel();
        });
        Ok(Arc::new(Context {
            shared: Arc::clone(&self.shared),
            events,
            stop,
            cancel: builders,
            state: Mutex::new(State::default()),
        }))
    }

    /// In rounds: what caches promise and do not give is built in the next, if it may be.
    async fn carry_out(
        &self,
        request: &Request,
        context: &Arc<Context>,
    ) -> Result<Report, EngineError> {
        let mut earlier = Earlier::default();
        loop {
            let (plan, refused) = self.plan_round(request, context).await?;
            let mut run = Run::new(context, request, &plan, earlier);
            for failure in &refused {
                run.tell_failure(Arc::clone(failure)).await;
            }
            if refused.is_empty() {
                run.fetch_targets(request);
                run.fetch_ahead();
                run.builds().await;
                run.await_targets().await?;
            }
            // Not after a failure that ended the run.
            if !run.is_again || run.is_stopped {
                return run.report(request).await;
            }
            earlier = Earlier {
                failures: run.failures,
                built: run.built,
            };
        }
    }

    async fn plan_round(
        &self,
        request: &Request,
        context: &Arc<Context>,
    ) -> Result<(Arc<Plan>, Vec<Arc<Failure>>), EngineError> {
        let stop = &context.stop;
        let lost = context.begin_round();
        let planned = async {
            let mut plan = self.shared.plan(request, &lost).await?;
            let mut refused = Vec::new();
            if request.check {
                refused = self.nothing_to_check(&plan, request, context);
                if refused.is_empty() {
                    let again = self.shared.plan_again(request, &lost).await?;
                    plan.builds = again.builds;
                    plan.unknown = again.unknown;
                }
            }
            Ok::<_, EngineError>((plan, refused))
        };
        let (plan, refused) = tokio::select! {
            planned = planned => planned?,
            () = stop.cancelled() => return Err(EngineError::Cancelled),
        };
        let plan = Arc::new(plan);
        context.tell(Event::Planned(Arc::clone(&plan))).await;
        if !plan.unknown.is_empty() {
            let print = |path| self.shared.places.store_dir.print(path);
            return Err(EngineError::Unknown(
                plan.unknown.iter().map(print).collect(),
            ));
        }
        Ok((plan, refused))
    }

    /// Failures of what was asked to be checked and is not there.
    fn nothing_to_check(
        &self,
        plan: &Plan,
        request: &Request,
        context: &Context,
    ) -> Vec<Arc<Failure>> {
        let is_target = |build: &&Build| {
            request.wanted.iter().any(|wanted| {
                matches!(wanted, Wanted::Outputs { derivation, .. } if *derivation == build.path)
            })
        };
        let builds = plan.builds.iter().filter(is_target);
        let failures = builds.map(|build| {
            let path = self.shared.places.store_dir.print(&build.path);
            let reason = Reason::NothingToCheck(path);
            Arc::new(context.failure(&build.path, &build.derivation, reason))
        });
        failures.collect()
    }
}

/// What earlier rounds of a run did.
#[derive(Default)]
struct Earlier {
    failures: Vec<Arc<Failure>>,
    built: Vec<super::Built>,
}

/// A plan that is carried out.
pub(super) struct Run<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) plan: &'a Arc<Plan>,
    pub(super) keep_going: bool,
    /// What is built again.
    checks: HashSet<StorePath>,
    pub(super) states: Vec<BuildState>,
    pub(super) outputs: OutputPaths,
    ahead: JoinSet<()>,
    pub(super) targets: JoinSet<Target>,
    goals: JoinSet<(usize, Result<Reached, Failures>)>,
    pub(super) failures: Vec<Arc<Failure>>,
    /// What failed in earlier rounds.
    failed_before: HashSet<StorePath>,
    pub(super) built: Vec<super::Built>,
    pub(super) is_stopped: bool,
    /// Whether something did not come that the next round builds.
    pub(super) is_again: bool,
}

/// What came of a fetch that was asked for, and the derivation whose outputs it is of.
type Target = (Option<StorePath>, Result<(), Arc<RealiseError>>);

#[derive(Default)]
pub(super) struct BuildState {
    /// Builds that need it.
    needed_by: Vec<usize>,
    /// Builds that it waits for.
    waits_for: usize,
    /// Those of what it needs that failed.
    failed: usize,
    /// Whether it has come to its end.
    is_over: bool,
    /// Whether its outputs are there.
    pub(super) is_reached: bool,
}

impl<'a> Run<'a> {
    fn new(
        context: &'a Arc<Context>,
        request: &Request,
        plan: &'a Arc<Plan>,
        earlier: Earlier,
    ) -> Self {
        let Earlier { failures, built } = earlier;
        let mut states: Vec<BuildState> = Vec::new();
        states.resize_with(plan.builds.len(), BuildState::default);
        for (place, build) in plan.builds.iter().enumerate() {
            states[place].waits_for = build.needs.len();
            for &need in &build.needs {
                states[need].needed_by.push(place);
            }
        }
        let derivations = request.wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Outputs { derivation, .. } if request.check => Some(derivation.clone()),
            _ => None,
        });
        Self {
            checks: derivations.collect(),
            outputs: plan.outputs.clone(),
            keep_going: request.keep_going,
            context,
            plan,
            states,
            ahead: JoinSet::new(),
            targets: JoinSet::new(),
            goals: JoinSet::new(),
            failed_before: failures.iter().map(|it| it.derivation.clone()).collect(),
            failures,
            built,
            is_stopped: false,
            is_again: false,
        }
    }

    /// Begins to fetch the inputs of all builds, of the longest ways first.
    fn fetch_ahead(&mut self) {
        let fetched: HashSet<&StorePath> =
            self.plan.fetches.iter().map(|fetch| &fetch.path).collect();
        if fetched.is_empty() {
            return;
        }
        let mut order: Vec<&Build> = self.plan.builds.iter().collect();
        order.sort_by_key(|build| std::cmp::Reverse(build.height));
        let slots = Arc::new(Semaphore::new(PREFETCHES));
        let mut asked = HashSet::new();
        for build in order {
            let mut roots: Vec<StorePath> =
                build.derivation.input_sources.iter().cloned().collect();
            for (input, names) in &build.derivation.input_derivations {
                let known = self.plan.outputs.get(input);
                let paths = names
                    .names
                    .iter()
                    .filter_map(|name| known?.get(name).cloned());
                roots.extend(paths);
            }
            roots.retain(|root| fetched.contains(root) && asked.insert(root.clone()));
            if roots.is_empty() {
                continue;
            }
            let (context, slots) = (Arc::clone(self.context), Arc::clone(&slots));
            self.ahead.spawn(async move {
                // Never closed. What fails here is tried, and told of, where it is needed.
                let _slot = slots.acquire().await;
                let _ = context.fetch(&roots).await;
            });
        }
    }

    /// Begins to fetch what was asked for and is not built.
    fn fetch_targets(&mut self, request: &Request) {
        let fetched: HashSet<&StorePath> =
            self.plan.fetches.iter().map(|fetch| &fetch.path).collect();
        let built: HashSet<&StorePath> = self.plan.builds.iter().map(|it| &it.path).collect();
        for wanted in &request.wanted {
            let (derivation, mut roots) = match wanted {
                Wanted::Path(path) => (None, vec![path.clone()]),
                Wanted::Outputs { derivation, .. } if built.contains(derivation) => continue,
                Wanted::Outputs { derivation, .. } => {
                    let known = self.plan.outputs.get(derivation).into_iter().flatten();
                    let known = known.map(|(_, path)| path.clone()).collect();
                    (Some(derivation.clone()), known)
                }
            };
            // What is here may need what is not.
            if !roots.iter().any(|root| fetched.contains(root)) && fetched.is_empty() {
                continue;
            }
            roots.retain(|root| !self.context.shared.places.is_in_folder(root));
            let context = Arc::clone(self.context);
            self.targets
                .spawn(async move { (derivation, context.fetch(&roots).await) });
        }
    }

    async fn builds(&mut self) {
        for place in 0..self.plan.builds.len() {
            if self.failed_before.contains(&self.plan.builds[place].path) {
                self.fail(place, Failures::new()).await;
            }
        }
        for place in 0..self.plan.builds.len() {
            // What cannot be built here fails before anything else takes its time.
            let build = &self.plan.builds[place];
            if let Some(refusal) = &build.refusal {
                let reason = Reason::Refused(refusal.clone());
                let failure = self.context.failure(&build.path, &build.derivation, reason);
                self.fail(place, vec![Arc::new(failure)]).await;
            }
        }
        for place in 0..self.plan.builds.len() {
            self.start(place);
        }
        let context = Arc::clone(self.context);
        loop {
            let next = tokio::select! {
                next = self.goals.join_next() => next,
                () = context.stop.cancelled(), if !self.is_stopped => {
                    self.is_stopped = true;
                    continue;
                }
            };
            match next {
                None => return,
                Some(Ok((place, Ok(reached)))) => self.reached(place, reached).await,
                Some(Ok((place, Err(failures)))) => {
                    if self.context.waits_for_next_round(&failures).await {
                        self.is_again = true;
                        self.states[place].is_over = true;
                    } else {
                        self.fail(place, failures).await;
                    }
                }
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Err(_)) => {}
            }
        }
    }

    /// Starts a build that waits for nothing.
    fn start(&mut self, place: usize) {
        let state = &self.states[place];
        if state.waits_for > 0 || state.is_over || self.is_stopped {
            return;
        }
        let build = self.plan.builds[place].clone();
        let inputs = build.derivation.input_derivations.keys();
        let known = inputs.filter_map(|input| {
            let outputs = self.outputs.get(input)?.clone();
            Some((input.clone(), outputs))
        });
        let known: OutputPaths = known.collect();
        let is_check = self.checks.contains(&build.path);
        let context = Arc::clone(self.context);
        self.goals.spawn(async move {
            let reached = context.reach(&build, &known, is_check).await;
            (place, reached)
        });
    }

    async fn reached(&mut self, place: usize, reached: Reached) {
        let path = self.plan.builds[place].path.clone();
        if let Some(built) = reached.built {
            if !built.duration.is_zero() {
                let (derivation, duration) = (built.derivation.clone(), built.duration);
                self.context
                    .tell(Event::Built {
                        derivation,
                        duration,
                    })
                    .await;
            }
            self.built.push((*built).clone());
        }
        self.outputs
            .entry(path)
            .or_default()
            .extend(reached.outputs);
        self.states[place].is_over = true;
        self.states[place].is_reached = true;
        for next in self.states[place].needed_by.clone() {
            self.settle(next).await;
        }
    }

    /// One of the things that a build waits for has come to its end.
    async fn settle(&mut self, place: usize) {
        self.states[place].waits_for -= 1;
        if self.states[place].waits_for > 0 || self.states[place].is_over {
            return;
        }
        match self.states[place].failed {
            0 => self.start(place),
            failed => {
                let failures = vec![self.dependencies(place, failed)];
                self.fail(place, failures).await;
            }
        }
    }

    pub(super) async fn tell_failure(&mut self, failure: Arc<Failure>) {
        self.context.tell(Event::Failed(Arc::clone(&failure))).await;
        self.failures.push(failure);
    }

    fn dependencies(&self, place: usize, count: usize) -> Arc<Failure> {
        let build = &self.plan.builds[place];
        let reason = Reason::Dependencies { count };
        Arc::new(self.context.failure(&build.path, &build.derivation, reason))
    }

    /// A build failed, and so do those that need it: at once, or, if the run goes on, when all they need has ended.
    async fn fail(&mut self, place: usize, failures: Failures) {
        // What ends after the first failure was ended because of it, or comes too late, as with Nix.
        if self.is_stopped {
            self.states[place].is_over = true;
            return;
        }
        let mut failed = vec![(place, failures)];
        while let Some((place, failures)) = failed.pop() {
            if std::mem::replace(&mut self.states[place].is_over, true) {
                continue;
            }
            for failure in failures {
                if !self.failed_before.contains(&failure.derivation) {
                    self.tell_failure(failure).await;
                }
            }
            if !self.keep_going && !self.is_stopped {
                self.is_stopped = true;
                self.context.stop.cancel();
            }
            for next in self.states[place].needed_by.clone() {
                let state = &mut self.states[next];
                state.failed += 1;
                state.waits_for -= 1;
                if state.waits_for == 0 || !self.keep_going {
                    let count = if self.keep_going { state.failed } else { 1 };
                    failed.push((next, vec![self.dependencies(next, count)]));
                }
            }
        }
    }
}
