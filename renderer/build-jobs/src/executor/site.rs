//! What the loop knows, and what it does about what it hears.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use nix_formats::StorePath;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::control::{BuildProgress, Command};
use super::observed::Changes;
use super::workshop::{Prepare, Workshop, WorkshopError};
use super::{Executor, ExecutorError, Memory, Observed, Started, memory};
use crate::failure::{Cause, Failure};
use crate::job::{Attempt, JobIdentity, job_name};
use crate::policy::{Policy, Size};
use crate::schedule::{JobEnd, Limits, Progress, RunId, RunProgress, Schedule, Start};
use crate::standing::{Next, Patience, Standing, next};

/// Starts that are on their way to the API server at one time.
const STARTS: usize = 16;

/// How many ticks something may count as running that has no Job.
const ABSENT_TICKS: u32 = 4;

/// How long nothing is started after something went wrong that has nothing to do with a derivation.
const PAUSE: Duration = Duration::from_secs(3);

pub(super) type StartResult = Result<Started, StartError>;

pub(super) enum StartError {
    Prepare(Prepare),
    Executor(ExecutorError),
}

pub(super) struct Site<W> {
    executor: Executor,
    workshop: Arc<W>,
    policy: Policy,
    patience: Patience,
    schedule: Schedule,
    pub(super) observed: Observed,
    /// The standing of each Job that was acted on.
    seen: BTreeMap<String, (Option<String>, Standing)>,
    /// Those whose failure counts no longer, as long as the Job is there that remembers it.
    retried: HashSet<StorePath>,
    /// Attempts that are not the first.
    attempts: HashMap<StorePath, Attempt>,
    progress: HashMap<RunId, watch::Sender<RunProgress>>,
    pub(super) starts: JoinSet<(Start, StartResult)>,
    /// What these start.
    starting: HashSet<StorePath>,
    pub(super) confirmations: JoinSet<(JobIdentity, Result<bool, WorkshopError>)>,
    /// Ticks in which something counted as running that had no Job.
    absent: HashMap<StorePath, u32>,
    /// The version of the schedule that runs were told of.
    published: Option<u64>,
    pub(super) requests: JoinSet<Result<(), ExecutorError>>,
    begun: Instant,
    paused_until: Option<Instant>,
    foreign_warned: BTreeSet<StorePath>,
}

impl<W: Workshop> Site<W> {
    pub(super) fn new(
        executor: Executor,
        workshop: Arc<W>,
        policy: Policy,
        limits: Limits,
    ) -> Self {
        Self {
            executor,
            workshop,
            patience: Patience::of(&policy),
            policy,
            schedule: Schedule::new(limits),
            observed: Observed::default(),
            seen: BTreeMap::new(),
            retried: HashSet::new(),
            attempts: HashMap::new(),
            progress: HashMap::new(),
            starts: JoinSet::new(),
            starting: HashSet::new(),
            confirmations: JoinSet::new(),
            requests: JoinSet::new(),
            absent: HashMap::new(),
            published: None,
            begun: Instant::now(),
            paused_until: None,
            foreign_warned: BTreeSet::new(),
        }
    }

    /// Acts on all Jobs again, when time is looked at next.
    pub(super) fn look_again(&mut self) {
        self.seen.clear();
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn apply(&mut self, changes: Changes) {
        for identity in changes.gone {
            let name = job_name(&identity.derivation);
            self.seen.remove(&name);
            self.retried.remove(&identity.derivation);
            self.schedule.forget(&identity.derivation);
            for member in &identity.members {
                self.schedule.forget(member);
            }
            self.schedule.ended(&identity.derivation, &JobEnd::Gone);
        }
        for name in changes.changed {
            self.look(&name);
        }
    }

    /// Acts on a Job, if it is otherwise than it was.
    fn look(&mut self, name: &str) {
        let now = Timestamp::now();
        let Some(standing) = self.observed.standing(name, now, self.patience) else {
            return;
        };
        let Some(view) = self.observed.job(name).cloned() else {
            return;
        };
        let (identity, job) = (&view.identity, view.job);
        let is_retried = memory(&job) == Memory::Retried;
        let key = (job.metadata.uid.clone(), standing.clone());
        if self.seen.get(name) == Some(&key) && !is_retried {
            return;
        }
        let is_new = self.seen.get(name).is_none_or(|(uid, _)| *uid != key.0);
        self.seen.insert(name.to_owned(), key);
        if is_retried && standing != Standing::Removed {
            info!(derivation = %identity.derivation, "a failed build is tried again, as its Job asks for");
            self.attempts.remove(&identity.derivation);
            self.delete(job);
            return;
        }
        match standing {
            Standing::Removed | Standing::Waiting(_) | Standing::Running { .. } => {
                if is_new {
                    self.attach(identity);
                }
            }
            Standing::Lost { pod, uid } => {
                if is_new {
                    self.attach(identity);
                }
                warn!(derivation = %identity.derivation, pod, "a build was on a node that does not answer: its pod is removed by force");
                let executor = self.executor.clone();
                self.requests
                    .spawn(async move { executor.delete_lost_pod(&pod, &uid).await });
            }
            Standing::Overdue(failure) => {
                self.schedule
                    .ended(&identity.derivation, &JobEnd::Failed(failure));
                self.delete(job);
            }
            Standing::Built => self.confirm(identity),
            Standing::Failed(failure) => self.failed(identity, job, failure),
        }
    }

    fn attach(&mut self, identity: &JobIdentity) {
        let now = self.now();
        let JobIdentity {
            derivation,
            members,
            system,
            ..
        } = identity;
        self.schedule.attach(derivation, members, system, now);
    }

    /// An agent says that it delivered all: the cache says whether that is so.
    fn confirm(&mut self, identity: &JobIdentity) {
        self.attempts.remove(&identity.derivation);
        let (workshop, identity) = (Arc::clone(&self.workshop), identity.clone());
        self.confirmations.spawn(async move {
            let is_built = workshop.is_built(&identity.derivation).await;
            (identity, is_built)
        });
    }

    pub(super) fn confirmed(
        &mut self,
        identity: &JobIdentity,
        is_built: Result<bool, WorkshopError>,
    ) {
        let derivation = &identity.derivation;
        let end = match is_built {
            Ok(true) => JobEnd::Built,
            Ok(false) if self.starting.contains(derivation) => return,
            Ok(false) => {
                // What was lost since then is of no concern: the next run that needs it says so.
                if self.schedule.progress(derivation) != Some(Progress::Running) {
                    return;
                }
                let message = "its pod ended well, and did not deliver its outputs";
                JobEnd::Failed(Failure::new(Cause::Machine, message))
            }
            Err(error) => {
                warn!(%derivation, %error, "failed to look into the cache for what was built; it is tried again");
                self.seen.remove(&job_name(derivation));
                return;
            }
        };
        self.schedule.ended(derivation, &end);
    }

    fn failed(&mut self, identity: &JobIdentity, job: Arc<Job>, failure: Failure) {
        let derivation = &identity.derivation;
        if self.retried.contains(derivation) {
            return;
        }
        if let Memory::Failed(known) = memory(&job) {
            self.schedule.failed(derivation, known);
            return;
        }
        let memory = memory_of(&job);
        match next(&failure, identity.attempt, memory, &self.policy) {
            Next::TryAgain(attempt) => {
                warn!(%derivation, attempt = attempt.number, %failure, "a build is tried again");
                self.attach(identity);
                self.attempts.insert(derivation.clone(), attempt);
                self.delete(job);
            }
            Next::GiveUp => {
                info!(%derivation, %failure, "a build failed");
                self.attempts.remove(derivation);
                self.schedule.failed(derivation, failure.clone());
                let (executor, policy) = (self.executor.clone(), self.policy.clone());
                self.requests
                    .spawn(async move { executor.remember(&job, &failure, &policy).await });
            }
        }
    }

    fn delete(&mut self, job: Arc<Job>) {
        let executor = self.executor.clone();
        self.requests
            .spawn(async move { executor.delete(&job).await });
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Add { run, answer } => {
                let id = run.run;
                let added = self.schedule.add_run(
                    id,
                    &run.source,
                    run.max_jobs,
                    &run.needs,
                    &run.durations,
                );
                let answered = added.map(|()| {
                    let progress = self.schedule.run_progress(id).unwrap_or_default();
                    let (sender, receiver) = watch::channel(progress);
                    self.progress.insert(id, sender);
                    receiver
                });
                let _ = answer.send(answered);
            }
            Command::Remove(run) => {
                let now = self.now();
                self.progress.remove(&run);
                self.schedule.remove_run(run, now);
            }
            Command::Built(derivation) => self.schedule.built(&derivation),
            Command::Retry(derivation) => {
                self.schedule.forget(&derivation);
                let failed = self.observed.failed(&derivation);
                for job in failed {
                    if let Ok(identity) = JobIdentity::of(&job) {
                        self.retried.insert(identity.derivation);
                    }
                    self.delete(job);
                }
            }
            Command::Progress { derivation, answer } => {
                let progress = self.schedule.progress(&derivation);
                let progress = progress.or_else(|| self.remembered(&derivation));
                let _ = answer.send(progress.map(|progress| BuildProgress {
                    progress,
                    details: self.details(&derivation),
                }));
            }
            Command::Jobs { answer } => {
                let jobs = || self.observed.identities().cloned().collect();
                let _ = answer.send(self.observed.is_complete().then(jobs));
            }
        }
    }

    /// How a derivation is that no run needs, as its Job tells.
    fn remembered(&self, derivation: &StorePath) -> Option<Progress> {
        let name = job_name(derivation);
        let standing = self
            .observed
            .standing(&name, Timestamp::now(), self.patience)?;
        Some(match standing {
            Standing::Removed | Standing::Waiting(_) => Progress::Waiting,
            Standing::Running { .. } | Standing::Lost { .. } => Progress::Running,
            Standing::Built => Progress::Built,
            Standing::Overdue(failure) | Standing::Failed(failure) => Progress::Failed(failure),
        })
    }

    fn details(&self, derivation: &StorePath) -> Option<String> {
        let name = job_name(derivation);
        let standing = self
            .observed
            .standing(&name, Timestamp::now(), self.patience)?;
        Some(match standing {
            Standing::Removed => "what was there before is being removed".to_owned(),
            Standing::Waiting(why) => why,
            Standing::Running { pod, node, .. } => format!("in pod {pod} on node {node}"),
            Standing::Lost { pod, .. } => format!("pod {pod} is on a node that does not answer"),
            Standing::Built => "built".to_owned(),
            Standing::Overdue(failure) | Standing::Failed(failure) => failure.message,
        })
    }

    pub(super) fn tick(&mut self) {
        let names: Vec<String> = self.observed.names().cloned().collect();
        for name in names {
            self.look(&name);
        }
        self.reap();
        let now = self.now();
        for derivation in self.schedule.unneeded(now) {
            if let Some(view) = self.observed.job(&job_name(&derivation)).cloned()
                && view.job.metadata.deletion_timestamp.is_none()
            {
                info!(%derivation, "a build is given up: no run needs it any more");
                self.delete(view.job);
            }
        }
    }

    /// What counts as running, and has had no Job for some time, waits again: an answer and an event may have crossed.
    fn reap(&mut self) {
        let running = self.schedule.hosts().into_iter();
        let absent: Vec<StorePath> = running
            .filter(|it| !self.starting.contains(it) && self.observed.job(&job_name(it)).is_none())
            .collect();
        self.absent.retain(|path, _| absent.contains(path));
        for path in absent {
            let ticks = self.absent.entry(path.clone()).or_default();
            *ticks += 1;
            if *ticks >= ABSENT_TICKS {
                self.absent.remove(&path);
                self.schedule.ended(&path, &JobEnd::Gone);
            }
        }
    }

    /// Starts what may start. Not before all Jobs are known: they count.
    pub(super) fn start(&mut self) {
        if !self.observed.is_complete() || self.paused_until.is_some_and(|it| Instant::now() < it) {
            return;
        }
        self.paused_until = None;
        while self.starts.len() < STARTS {
            let Some(start) = self.schedule.next_start() else {
                return;
            };
            let attempt = self.attempts.get(&start.derivation).copied();
            let attempt = attempt.unwrap_or(Attempt::FIRST);
            let (executor, workshop) = (self.executor.clone(), Arc::clone(&self.workshop));
            self.starting.insert(start.derivation.clone());
            self.starts.spawn(async move {
                let started = match workshop.prepare(&start, attempt).await {
                    Err(error) => Err(StartError::Prepare(error)),
                    Ok(job) => {
                        let is_built = workshop.is_built(&start.derivation);
                        let started = executor.start(&start.derivation, &job, is_built);
                        started.await.map_err(StartError::Executor)
                    }
                };
                (start, started)
            });
        }
    }

    pub(super) fn started(&mut self, start: &Start, started: StartResult) {
        let derivation = &start.derivation;
        self.starting.remove(derivation);
        let end = match started {
            Ok(Started::Created) => return,
            Ok(Started::Attached(identity)) => {
                self.schedule.put_back(derivation);
                self.attach(&identity);
                // It may have ended before, or have been seen before it was needed.
                self.seen.remove(&job_name(derivation));
                self.look(&job_name(derivation));
                return;
            }
            Ok(Started::Built) => JobEnd::Built,
            // The Job was looked at before it was removed: as below, it counts as running until it is gone.
            Ok(Started::Failed(_)) if self.retried.contains(derivation) => return,
            Ok(Started::Failed(failure)) | Err(StartError::Prepare(Prepare::Never(failure))) => {
                JobEnd::Failed(failure)
            }
            // It counts as running until its Job is gone, which the watch reports; or it is gone already.
            Ok(Started::Ending) if self.observed.job(&job_name(derivation)).is_some() => return,
            Ok(Started::Ending) => JobEnd::Gone,
            Err(StartError::Executor(ExecutorError::Refused(status))) => {
                let message = format!("the API server refuses its Job: {}", status.message);
                JobEnd::Failed(Failure::new(Cause::Unstarted, &message))
            }
            Err(StartError::Executor(error @ ExecutorError::Foreign { .. })) => {
                if self.foreign_warned.insert(derivation.clone()) {
                    warn!(%error, "a build cannot be started");
                }
                JobEnd::Failed(Failure::new(Cause::Unstarted, &error.to_string()))
            }
            Err(error) => {
                let error = match error {
                    StartError::Prepare(error) => nix_formats::chain(&error),
                    StartError::Executor(error) => nix_formats::chain(&error),
                };
                warn!(%derivation, error, "failed to start a build; it is tried again");
                self.paused_until = Some(Instant::now() + PAUSE);
                JobEnd::Gone
            }
        };
        self.schedule.ended(derivation, &end);
    }

    /// Tells runs how far they are, if that is news.
    pub(super) fn publish(&mut self) {
        if self.published == Some(self.schedule.version()) {
            return;
        }
        self.published = Some(self.schedule.version());
        for (run, sender) in &self.progress {
            let Some(progress) = self.schedule.run_progress(*run) else {
                continue;
            };
            sender.send_if_modified(|known| {
                let is_news = *known != progress;
                *known = progress;
                is_news
            });
        }
    }
}

/// The memory that the build of a Job had.
fn memory_of(job: &Job) -> Size {
    let spec = job
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let container = spec.and_then(|spec| spec.containers.first());
    let limits = container.and_then(|it| it.resources.as_ref()?.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory"));
    let limit: Option<Size> = limit.and_then(|limit| limit.0.parse().ok());
    limit.map_or(Size::gibibytes(1), crate::job::build_memory)
}
