//! When what is built: the builds of all sources as one graph, in which each derivation stands once. Pure.
//!
//! A [`Schedule`] knows what runs need, and hears how Jobs are. It says [what starts next](Schedule::next_start): what has all that it needs,
//! as many as the limits allow, in turns between sources, and of one source first what most work waits for. It holds nothing that is
//! not in runs and Jobs, so it can be made again from these at any time.
//!
//! A derivation with `preferLocalBuild` that one other derivation alone needs is built in the pod of that one.

mod choose;
mod graph;
mod need;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use nix_formats::StorePath;

use crate::failure::Failure;
use choose::Shares;
use graph::{Graph, Node, State};

pub use need::Need;
pub use progress::{BuildState, Progress, RunProgress};

/// A source: what runs are fair to each other for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceRef {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// A run of a source, by a number that the caller gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// How many Jobs there are at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// For the sources of one namespace.
    pub per_namespace: usize,
    /// For a system. Others have no limit of their own.
    pub per_system: BTreeMap<String, usize>,
    /// How long a Job goes on that no run needs any more: the next push may need it again.
    pub grace: Duration,
}

/// Something to start: the derivation of a Job, and what is built before it in its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The derivation that the Job is named by.
    pub derivation: StorePath,
    /// What is built before it in the same pod, in order.
    pub members: Vec<StorePath>,
}

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// All is in the cache.
    Built,
    /// It failed.
    Failed(Failure),
    /// It is gone, and nothing speaks against another.
    Gone,
}

/// A list of needs that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRun {
    /// Something is needed that comes later, or not at all.
    #[error("'{0}' needs something that does not stand before it in the plan")]
    Order(StorePath),
    /// A derivation is there twice.
    #[error("'{0}' is in the plan twice")]
    Twice(StorePath),
    /// A run of that number is there.
    #[error("run {} is there already", .0.0)]
    Known(RunId),
    /// More than one run may have.
    #[error("the plan has {0} builds, and at most {MAX_BUILDS} are taken on at once")]
    TooMany(usize),
}

/// The most builds of one run.
pub const MAX_BUILDS: usize = 100_000;

/// How long a build is thought to take that never ran.
const GUESS: Duration = Duration::from_mins(1);
/// How long one is that is not worth a pod.
const LOCAL_GUESS: Duration = Duration::from_secs(1);

struct Run {
    source: usize,
    nodes: Vec<usize>,
}

/// When what is built.
pub struct Schedule {
    graph: Graph,
    shares: Shares,
    limits: Limits,
    runs: BTreeMap<RunId, Run>,
    /// What is known to fail.
    failures: HashMap<StorePath, Failure>,
    version: u64,
}

impl Schedule {
    /// Without any run.
    pub fn new(limits: Limits) -> Self {
        Self {
            graph: Graph::default(),
            shares: Shares::default(),
            limits,
            runs: BTreeMap::new(),
            failures: HashMap::new(),
            version: 0,
        }
    }

    /// Takes on a run. `max_jobs` is its source's limit, `durations` how long derivations took before, by [`duration_key`].
    pub fn add_run(
        &mut self,
        run: RunId,
        source: &SourceRef,
        max_jobs: Option<usize>,
        needs: &[Need],
        durations: &HashMap<String, Duration>,
    ) -> Result<(), BadRun> {
        self.check(run, needs)?;
        let source = self.shares.source(source, max_jobs.unwrap_or(usize::MAX));
        let mut nodes = Vec::with_capacity(needs.len());
        for need in needs {
            let node = self.graph.node(&need.derivation);
            let known = durations.get(&duration_key(need.derivation.name(), &need.system));
            let guess = if need.is_local { LOCAL_GUESS } else { GUESS };
            self.graph
                .describe(node, need, known.copied().unwrap_or(guess));
            for &other in &need.needs {
                self.graph.connect(node, nodes[other]);
            }
            self.graph.nodes[node].runs.insert(run);
            *self.graph.nodes[node].sources.entry(source).or_default() += 1;
            self.graph.nodes[node].unneeded_since = None;
            nodes.push(node);
        }
        for &node in &nodes {
            self.revive(node);
        }
        self.graph.set_priorities(&nodes);
        self.runs.insert(
            run,
            Run {
                source,
                nodes: nodes.clone(),
            },
        );
        self.graph.refresh(&nodes);
        self.settle();
        Ok(())
    }

    fn check(&self, run: RunId, needs: &[Need]) -> Result<(), BadRun> {
        if self.runs.contains_key(&run) {
            return Err(BadRun::Known(run));
        }
        if needs.len() > MAX_BUILDS {
            return Err(BadRun::TooMany(needs.len()));
        }
        let mut seen = BTreeSet::new();
        for (place, need) in needs.iter().enumerate() {
            if need.needs.iter().any(|&other| other >= place) {
                return Err(BadRun::Order(need.derivation.clone()));
            }
            if !seen.insert(&need.derivation) {
                return Err(BadRun::Twice(need.derivation.clone()));
            }
        }
        Ok(())
    }

    /// What a plan says is not there has to be built, also if it was once; what failed for a passing reason is tried again.
    fn revive(&mut self, node: usize) {
        let path = self.graph.nodes[node].path.clone();
        if matches!(self.graph.nodes[node].state, State::Running { .. }) {
            return;
        }
        let state = match self.failures.get(&path) {
            Some(failure) if failure.is_lasting() => State::Failed(failure.clone()),
            Some(_) => {
                self.failures.remove(&path);
                State::Waiting
            }
            None => State::Waiting,
        };
        self.graph.set_state(node, state);
    }

    /// A run ended, or another one took its place. What only it needed is not started any more, and what runs is
    /// [given up](Self::unneeded) after a while.
    pub fn remove_run(&mut self, run: RunId, now: Duration) {
        let Some(Run { source, nodes }) = self.runs.remove(&run) else {
            return;
        };
        for &node in &nodes {
            let entry = &mut self.graph.nodes[node];
            entry.runs.remove(&run);
            if let Some(count) = entry.sources.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    entry.sources.remove(&source);
                }
            }
            if entry.runs.is_empty() {
                entry.unneeded_since = Some(now);
            }
        }
        self.graph.set_priorities(&nodes);
        self.graph.refresh(&nodes);
        self.settle();
        for node in nodes {
            self.forget_unneeded(node);
        }
        if !self.runs.values().any(|run| run.source == source) {
            self.shares.remove(source);
        }
    }

    fn forget_unneeded(&mut self, node: usize) {
        let entry = &self.graph.nodes[node];
        let is_running = matches!(entry.state, State::Running { .. });
        if entry.runs.is_empty() && !is_running {
            self.graph.remove(node);
            self.settle();
        }
    }

    /// What starts next, if anything may. It counts as running from now on: [`put_back`](Self::put_back) says that it did not come to
    /// that.
    pub fn next_start(&mut self) -> Option<Start> {
        let node = self.shares.choose(&self.graph, &self.limits)?;
        let members = self.graph.members(node);
        self.graph.run(node, &members);
        self.settle();
        let path = |node: &usize| self.graph.nodes[*node].path.clone();
        Some(Start {
            derivation: path(&node),
            members: members.iter().map(path).collect(),
        })
    }

    /// A Job is there that this schedule did not start: after a start of the service, or another replica's.
    pub fn attach(
        &mut self,
        derivation: &StorePath,
        members: &[StorePath],
        system: &str,
        now: Duration,
    ) {
        let mut nodes = Vec::with_capacity(members.len());
        for path in members.iter().chain([derivation]) {
            let node = self.graph.node(path);
            let entry = &mut self.graph.nodes[node];
            if entry.runs.is_empty() && entry.unneeded_since.is_none() {
                entry.unneeded_since = Some(now);
                entry.system = system.into();
            }
            nodes.push(node);
        }
        let host = nodes.pop().expect("the derivation is the last");
        nodes.retain(|node| !matches!(self.graph.nodes[*node].state, State::Built));
        self.failures.remove(derivation);
        self.graph.run(host, &nodes);
        self.settle();
    }

    /// The outputs of one derivation are in the cache, whether its Job goes on or not.
    pub fn built(&mut self, derivation: &StorePath) {
        self.failures.remove(derivation);
        if let Some(node) = self.graph.find(derivation) {
            self.graph.set_state(node, State::Built);
            self.settle();
            self.forget_unneeded(node);
        }
    }

    /// A derivation that was given out to start was not started: it waits again.
    pub fn put_back(&mut self, derivation: &StorePath) {
        self.ended(derivation, &JobEnd::Gone);
    }

    /// A Job ended.
    pub fn ended(&mut self, derivation: &StorePath, end: &JobEnd) {
        if let JobEnd::Failed(failure) = end {
            // What was delivered did not fail, whatever the pod says then.
            let is_built = |it: &&StorePath| self.progress(it) == Some(Progress::Built);
            let member = failure.derivation.as_ref().filter(|it| !is_built(it));
            let failed = member.unwrap_or(derivation);
            self.failures.insert(failed.clone(), failure.clone());
        }
        let Some(host) = self.graph.find(derivation) else {
            return;
        };
        let mut hosted = self.graph.hosted(host);
        hosted.push(host);
        for &node in &hosted {
            let Node { path, state, .. } = &self.graph.nodes[node];
            let is_running = matches!(state, State::Running { .. });
            let state = match (end, self.failures.get(path)) {
                (JobEnd::Built, _) => State::Built,
                // Of what is built, or waits, it says nothing that a Job is gone.
                (JobEnd::Gone, _) if !is_running => continue,
                (_, Some(failure)) => State::Failed(failure.clone()),
                (JobEnd::Failed(_) | JobEnd::Gone, None) => State::Waiting,
            };
            self.graph.set_state(node, state);
        }
        self.settle();
        for node in hosted {
            self.forget_unneeded(node);
        }
    }

    /// A derivation is known to fail: of a Job that was there before.
    pub fn failed(&mut self, derivation: &StorePath, failure: Failure) {
        self.ended(derivation, &JobEnd::Failed(failure));
    }

    /// A failure that lasts is remembered no longer: its Job is gone, or a person asks for another try.
    pub fn forget(&mut self, derivation: &StorePath) {
        let is_lasting = self
            .failures
            .get(derivation)
            .is_some_and(Failure::is_lasting);
        if !is_lasting {
            return;
        }
        self.failures.remove(derivation);
        if let Some(node) = self.graph.find(derivation) {
            self.graph.set_state(node, State::Waiting);
            self.settle();
        }
    }

    /// The derivations of Jobs that no run has needed for as long as the limits say.
    pub fn unneeded(&self, now: Duration) -> Vec<StorePath> {
        self.graph.unneeded(now, self.limits.grace)
    }

    /// How a derivation is. None: no run needs it.
    pub fn progress(&self, derivation: &StorePath) -> Option<Progress> {
        let node = self.graph.find(derivation)?;
        Some(match &self.graph.nodes[node].state {
            State::Waiting => Progress::Waiting,
            State::Running { .. } => Progress::Running,
            State::Built => Progress::Built,
            State::Failed(failure) => Progress::Failed(failure.clone()),
            State::Blocked { by } => Progress::Blocked {
                by: self.graph.nodes[*by].path.clone(),
            },
        })
    }

    /// How far a run is.
    pub fn run_progress(&self, run: RunId) -> Option<RunProgress> {
        let mut progress = RunProgress::default();
        for &node in &self.runs.get(&run)?.nodes {
            let node = &self.graph.nodes[node];
            let state = match &node.state {
                State::Waiting => BuildState::Waiting,
                State::Running { .. } => BuildState::Running,
                State::Built => BuildState::Built,
                State::Failed(failure) => {
                    progress.failed.push((node.path.clone(), failure.clone()));
                    BuildState::Failed
                }
                State::Blocked { by } => {
                    let by = self.graph.nodes[*by].path.clone();
                    progress.blocked.push((node.path.clone(), by));
                    BuildState::Blocked
                }
            };
            progress.add(state);
        }
        Some(progress)
    }

    /// The derivations whose Jobs run.
    pub fn hosts(&self) -> Vec<StorePath> {
        self.graph.hosts()
    }

    /// Changes whenever the progress of something does.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Jobs that run.
    pub fn running(&self) -> usize {
        self.shares.running()
    }

    /// Carries over to the sources' shares what changed in the graph.
    fn settle(&mut self) {
        let changed = self.graph.take_changed();
        self.version += u64::from(!changed.is_empty());
        for node in changed {
            self.shares.update(&self.graph, node);
        }
    }
}

/// By what durations are remembered: the system and the name of a derivation without its version, since the next version takes about
/// as long.
pub fn duration_key(name: &str, system: &str) -> String {
    let name = name.strip_suffix(".drv").unwrap_or(name);
    let is_version = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let parts: Vec<&str> = name.split('-').filter(|part| !is_version(part)).collect();
    format!("{system} {}", parts.join("-"))
}
