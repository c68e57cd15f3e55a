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
use crate::plan::{Build, Plan, Wanted, WantedOutputs};
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

    async fn carry_out(
        &self,
        request: &Request,
        context: &Arc<Context>,
    ) -> Result<Report, EngineError> {
        let stop = &context.stop;
        let planned = async {
            let mut plan = self.shared.plan(request).await?;
            let mut refused = Vec::new();
            if request.check {
                refused = self.nothing_to_check(&plan, request, context);
                if refused.is_empty() {
                    let again = self.shared.plan_again(request).await?;
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
        for failure in &refused {
            context.tell(Event::Failed(Arc::clone(failure))).await;
        }
        let mut run = Run::new(context, request, &plan);
        run.failures = refused;
        if run.failures.is_empty() {
            run.fetch_targets(request);
            run.fetch_ahead();
            run.builds().await;
        }
        run.report(request).await
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

/// A plan that is carried out.
struct Run<'a> {
    context: &'a Arc<Context>,
    plan: &'a Arc<Plan>,
    keep_going: bool,
    /// What is built again.
    checks: HashSet<StorePath>,
    states: Vec<BuildState>,
    outputs: OutputPaths,
    ahead: JoinSet<()>,
    targets: JoinSet<Result<(), Arc<RealiseError>>>,
    goals: JoinSet<(usize, Result<Reached, Failures>)>,
    failures: Vec<Arc<Failure>>,
    built: Vec<super::Built>,
    is_stopped: bool,
}

#[derive(Default)]
struct BuildState {
    /// Builds that need it.
    needed_by: Vec<usize>,
    /// Builds that it waits for.
    waits_for: usize,
    /// Those of what it needs that failed.
    failed: usize,
    /// Whether it has come to its end.
    is_over: bool,
    /// Whether its outputs are there.
    is_reached: bool,
}

impl<'a> Run<'a> {
    fn new(context: &'a Arc<Context>, request: &Request, plan: &'a Arc<Plan>) -> Self {
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
            failures: Vec::new(),
            built: Vec::new(),
            is_stopped: false,
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
            let mut roots = match wanted {
                Wanted::Path(path) => vec![path.clone()],
                Wanted::Outputs { derivation, .. } if built.contains(derivation) => continue,
                Wanted::Outputs { derivation, .. } => {
                    let known = self.plan.outputs.get(derivation).into_iter().flatten();
                    known.map(|(_, path)| path.clone()).collect()
                }
            };
            // What is here may need what is not.
            if !roots.iter().any(|root| fetched.contains(root)) && fetched.is_empty() {
                continue;
            }
            roots.retain(|root| !self.context.shared.places.is_in_folder(root));
            let context = Arc::clone(self.context);
            self.targets
                .spawn(async move { context.fetch(&roots).await });
        }
    }

    async fn builds(&mut self) {
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
                Some(Ok((place, Err(failures)))) => self.fail(place, failures).await,
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
                self.context.tell(Event::Failed(Arc::clone(&failure))).await;
                self.failures.push(failure);
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

impl Run<'_> {
    /// Waits for what is fetched and was asked for, unless the run has failed.
    async fn await_targets(&mut self) -> Result<(), EngineError> {
        let stop = self.context.stop.clone();
        loop {
            let fetched = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.targets.shutdown().await;
                    return Ok(());
                }
                fetched = self.targets.join_next() => fetched,
            };
            match fetched {
                None => return Ok(()),
                Some(Ok(fetched)) => fetched.map_err(EngineError::Fetch)?,
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Err(_)) => {}
            }
        }
    }

    /// What came of it.
    async fn report(mut self, request: &Request) -> Result<Report, EngineError> {
        self.await_targets().await?;
        let mut report = Report {
            failures: self.failures,
            built: self.built,
            ..Report::default()
        };
        let mut paths = Vec::new();
        for wanted in &request.wanted {
            match wanted {
                Wanted::Path(path) => paths.push(path.clone()),
                Wanted::Outputs {
                    derivation,
                    outputs,
                } => {
                    let mut known = self.outputs.get(derivation).cloned().unwrap_or_default();
                    if let WantedOutputs::Named(names) = outputs {
                        known.retain(|name, _| names.contains(name));
                    }
                    let place = self
                        .plan
                        .builds
                        .iter()
                        .position(|it| it.path == *derivation);
                    let is_there = place.is_none_or(|place| self.states[place].is_reached);
                    if is_there
                        && report
                            .failures
                            .iter()
                            .all(|it| it.derivation != *derivation)
                    {
                        paths.extend(known.values().cloned());
                        report.outputs.insert(derivation.clone(), known);
                    } else {
                        report.failed.insert(derivation.clone());
                    }
                }
            }
        }
        let places = Arc::clone(&self.context.shared.places);
        let held = tokio::task::spawn_blocking(move || {
            // A source that was asked for itself is in the store only once it is packed.
            let is_source = |path: &&StorePath| places.source_references(path).is_some();
            let sources: Vec<StorePath> = paths.iter().filter(is_source).cloned().collect();
            if let Err(error) = places.closure(&sources) {
                return Some(Err(error));
            }
            paths.retain(|path| places.is_stored(path));
            (!paths.is_empty()).then(|| places.hold(&paths))
        });
        let held = match held.await {
            Ok(held) => held
                .transpose()
                .map_err(|it| EngineError::Hold(Box::new(it)))?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(EngineError::Cancelled),
        };
        report.held.extend(held.map(Arc::new));
        Ok(report)
    }
}
