//! What the replica that leads does: it gives the queue what the cluster tells, and does what the queue says.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use niphas_api::source::{NiphasSource, RunResult};
use niphas_api::{PUSHED_ANNOTATION, RETRY_ANNOTATION};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::builds::{BuildRun, Shop};
use crate::cluster::{ClusterError, Sources, key_of, send_event, write_status};
use crate::forge::Hosts;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::pull_requests::{self, PullRequestReport, PullRequests};
use crate::queue::{Action, Attempt, End, Key, Queue, Wishes};
use crate::reports::{Reporter, run_id};
use crate::run::{Failure, Run, Step, Success};
use crate::source::{self, Look};
use crate::status::Status;

/// How long to wait before a status is written again that could not be.
const STATUS_PAUSE: Duration = Duration::from_secs(5);
/// Reports that wait.
const REPORTS: usize = 256;
/// How long to sleep if nothing is due.
const IDLE: Duration = Duration::from_mins(1);

/// What the controller works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) policy: Arc<Policy>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) metrics: Metrics,
    pub(crate) identity: String,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) hosts: Hosts,
    /// Evaluations at the same time, of branches and of pull requests.
    pub(crate) turns: Arc<Semaphore>,
    /// What builds, if anything does.
    pub(crate) builds: Option<Arc<Shop>>,
}

/// What tasks tell the controller.
enum Report {
    Looked(Key, i64, Result<Look, String>),
    Came(Key, Step),
    Ended(Key, Result<Success, Failure>),
    Written(Key, bool),
}

/// A run under way.
struct Running {
    attempt: Attempt,
    cancelled: CancellationToken,
    began: Instant,
}

struct Controller {
    context: Context,
    queue: Queue,
    start: Instant,
    /// Those that there were when the builds of others were forgotten last.
    sources: HashSet<Key>,
    statuses: HashMap<Key, Status>,
    /// Statuses that are not written as they are, and those that are being written.
    dirty: HashSet<Key>,
    writing: HashSet<Key>,
    running: HashMap<Key, Running>,
    pull_requests: PullRequests,
    reports: mpsc::Sender<Report>,
    tasks: TaskTracker,
}

/// Runs sources until `stop`.
pub(crate) async fn lead(context: Context, stop: CancellationToken) {
    let (reports, mut reported) = mpsc::channel(REPORTS);
    let (pull_requests, mut of_pull_requests) = PullRequests::new();
    let runs = context.policy.limits.runs.get();
    let sources = Arc::clone(&context.sources);
    let mut controller = Controller {
        context,
        queue: Queue::new(runs),
        start: Instant::now(),
        sources: HashSet::new(),
        statuses: HashMap::new(),
        dirty: HashSet::new(),
        writing: HashSet::new(),
        running: HashMap::new(),
        pull_requests,
        reports,
        tasks: TaskTracker::new(),
    };
    controller.observe();
    loop {
        controller.act();
        let now = controller.now();
        let wakes_at = controller.queue.wakes_at();
        let sleep = wakes_at.map_or(IDLE, |at| at.saturating_sub(now).min(IDLE));
        tokio::select! {
            () = stop.cancelled() => break,
            () = sources.changed.notified() => controller.observe(),
            Some(report) = reported.recv() => controller.hear(report),
            Some(report) = of_pull_requests.recv() => controller.hear_of_pull_request(report),
            () = tokio::time::sleep(sleep) => {}
        }
    }
    for running in controller.running.values() {
        running.cancelled.cancel();
    }
}

impl Controller {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes over what the watch tells.
    fn observe(&mut self) {
        let Some(all) = self.context.sources.all() else {
            return;
        };
        let now = self.now();
        let keys: HashSet<Key> = all.iter().map(|source| key_of(source)).collect();
        let gone: Vec<Key> = self
            .statuses
            .keys()
            .filter(|key| !keys.contains(key))
            .cloned()
            .collect();
        for key in gone {
            if self.queue.forget(&key).is_some() {
                self.cancel(&key);
            }
            self.statuses.remove(&key);
            self.dirty.remove(&key);
            self.context.reporter.forget(&key);
            self.pull_requests.forget(&key);
            info!(source = %key, "a source is gone");
        }
        self.forget_builds(keys);
        let most = self.context.policy.limits.sources as usize;
        for source in all {
            let key = key_of(&source);
            let is_new = !self.queue.knows(&key);
            if is_new && self.queue.sources_of(&key.namespace) >= most {
                self.refuse_one_too_many(&key, &source, most);
                continue;
            }
            let status = self
                .statuses
                .entry(key.clone())
                .or_insert_with(|| Status(source.status.clone().unwrap_or_default()));
            let settled = status.settled(source.metadata.generation.unwrap_or_default());
            if is_new {
                // The replica that led before may not have come to it.
                self.context.reporter.tell_runs(&key, &status.0);
            }
            self.pull_requests.observe(&source);
            let runs = &mut status.0.pull_requests;
            let before = runs.len();
            runs.retain(|run| self.pull_requests.knows(&key, run.number));
            if runs.len() != before {
                self.dirty.insert(key.clone());
            }
            self.queue.observe(key, wishes(&source), settled, now);
        }
    }

    /// Forgets the builds of sources that are gone.
    fn forget_builds(&mut self, sources: HashSet<Key>) {
        let Some(builds) = &self.context.builds else {
            return;
        };
        if sources == self.sources {
            return;
        }
        self.sources.clone_from(&sources);
        let records = Arc::clone(&builds.records);
        let generations = Arc::clone(&builds.generations);
        self.tasks.spawn_blocking(move || {
            let kept = records.keep_only(&sources);
            if let Err(error) = kept.and_then(|()| generations.keep_only(&sources)) {
                warn!(%error, "failed to remove what is remembered of sources that are gone");
            }
        });
    }

    fn refuse_one_too_many(&mut self, key: &Key, source: &NiphasSource, most: usize) {
        let generation = source.metadata.generation.unwrap_or_default();
        let status = self.statuses.entry(key.clone()).or_default();
        let message = format!("the namespace has {most} sources already, and may have no more");
        let before = status.clone();
        status.refused(generation, &message, Timestamp::now());
        if *status != before {
            self.dirty.insert(key.clone());
        }
    }

    /// Does what has to be done.
    fn act(&mut self) {
        for action in self.queue.next(self.now()) {
            match action {
                Action::Look(key) => self.look(key),
                Action::Run(key, attempt) => self.run(key, attempt),
                Action::Cancel(key) => self.cancel(&key),
            }
        }
        self.pull_requests.begin(&self.context);
        self.context
            .metrics
            .queue(self.queue.waiting(), self.queue.runs());
        let due: Vec<Key> = self.dirty.difference(&self.writing).cloned().collect();
        for key in due {
            self.dirty.remove(&key);
            self.write(key);
        }
    }

    fn look(&mut self, key: Key) {
        let Some(source) = self.context.sources.get(&key) else {
            self.queue.looked(&key, 0, None, self.start.elapsed());
            return;
        };
        let generation = source.metadata.generation.unwrap_or_default();
        let (context, reports) = (self.context.clone(), self.reports.clone());
        self.tasks.spawn(async move {
            let look = source::look(&context.client, &context.policy, &source).await;
            let _ = reports.send(Report::Looked(key, generation, look)).await;
        });
    }

    fn run(&mut self, key: Key, attempt: Attempt) {
        let source = self.context.sources.get(&key);
        let cancelled = CancellationToken::new();
        let running = Running {
            attempt,
            cancelled: cancelled.clone(),
            began: Instant::now(),
        };
        let status = self.statuses.entry(key.clone()).or_default();
        // A person asks for another try.
        let retries = running.attempt.retry != status.0.handled_retry;
        status.began(&running.attempt, Timestamp::now());
        let page = status.0.history.first().map(run_id);
        info!(source = %key, revision = running.attempt.revision, "a run begins");
        self.running.insert(key.clone(), running);
        self.changed(&key);
        let (context, reports) = (self.context.clone(), self.reports.clone());
        self.tasks.spawn(async move {
            let run = match source {
                Some(source) => source::prepare(&context, &source, retries).await,
                None => Err(gone()),
            };
            let result = match run {
                Ok(run) => {
                    let builds = run.builds.map(|builds| BuildRun { page, ..builds });
                    let run = Run {
                        builds,
                        cancelled,
                        ..run
                    };
                    let (told, of) = (reports.clone(), key.clone());
                    // A step that cannot be told is no reason to wait.
                    run.run(move |step| drop(told.try_send(Report::Came(of.clone(), step))))
                        .await
                }
                Err(failure) => Err(failure),
            };
            let _ = reports.send(Report::Ended(key, result)).await;
        });
    }

    /// A run has come further: the status is written, and sent to the Git host.
    fn changed(&mut self, key: &Key) {
        if let Some(status) = self.statuses.get(key) {
            self.context.reporter.tell_runs(key, &status.0);
        }
        self.dirty.insert(key.clone());
    }

    fn cancel(&mut self, key: &Key) {
        if let Some(running) = self.running.get(key) {
            info!(source = %key, revision = running.attempt.revision, "a run is cancelled");
            running.cancelled.cancel();
        }
    }

    fn hear(&mut self, report: Report) {
        let now = Timestamp::now();
        match report {
            Report::Looked(key, generation, look) => self.looked(&key, generation, look, now),
            Report::Came(key, step) => {
                if let (Some(running), Some(status)) =
                    (self.running.get(&key), self.statuses.get_mut(&key))
                {
                    status.came(&step, running.attempt.generation, now);
                    self.changed(&key);
                }
            }
            Report::Ended(key, result) => self.ended(&key, &result, now),
            Report::Written(key, is_written) => {
                self.writing.remove(&key);
                if !is_written && self.statuses.contains_key(&key) {
                    self.dirty.insert(key);
                }
            }
        }
    }

    fn hear_of_pull_request(&mut self, report: PullRequestReport) {
        match report {
            PullRequestReport::Ended(key) => self.pull_requests.ended(&key),
            PullRequestReport::Stands(key, run) => {
                if let Some(status) = self.statuses.get_mut(&key)
                    && self.pull_requests.knows(&key, run.number)
                {
                    pull_requests::update(&mut status.0.pull_requests, run);
                    self.dirty.insert(key);
                }
            }
        }
    }

    fn looked(&mut self, key: &Key, generation: i64, look: Result<Look, String>, now: Timestamp) {
        let time = self.now();
        let Some(status) = self.statuses.get_mut(key) else {
            return;
        };
        let before = status.clone();
        match look {
            Ok(Look::At { tip, webhook_path }) => {
                status.looked((&tip, webhook_path), generation, now);
                self.queue.looked(key, generation, Some(tip), time);
            }
            Ok(Look::Refused { why, webhook_path }) => {
                status.0.webhook_path = webhook_path;
                status.refused(generation, &why, now);
                self.queue.looked(key, generation, None, time);
            }
            Err(why) => {
                warn!(source = %key, why, "failed to look at a branch");
                status.look_failed(generation, &why, now);
                self.queue.looked(key, generation, None, time);
            }
        }
        if *status != before {
            self.dirty.insert(key.clone());
        }
    }

    fn ended(&mut self, key: &Key, result: &Result<Success, Failure>, now: Timestamp) {
        let time = self.now();
        let Some(running) = self.running.remove(key) else {
            return;
        };
        let (end, outcome) = match result {
            Ok(success) if success.commit.is_some() => (End::Settled, RunResult::Rendered),
            Ok(_) => (End::Settled, RunResult::Unchanged),
            Err(failure) if failure.result == RunResult::Superseded => {
                (End::Cancelled, failure.result)
            }
            Err(failure) if failure.is_passing => (End::Passing, failure.result),
            Err(failure) => (End::Settled, failure.result),
        };
        self.context.metrics.run(outcome, running.began.elapsed());
        self.queue.ended(key, end, time);
        let revision = &running.attempt.revision;
        let note = match result {
            Ok(success) => success.commit.as_ref().map_or_else(
                || format!("commit {revision} is rendered; nothing changed"),
                |commit| format!("commit {revision} was rendered as commit {commit}"),
            ),
            Err(failure) => format!("commit {revision}: {}", failure.message),
        };
        info!(source = %key, revision, result = ?outcome, note, "a run ended");
        if let Some(status) = self.statuses.get_mut(key) {
            status.ended(result, running.attempt.generation, now);
            self.changed(key);
        }
        if !matches!(outcome, RunResult::Superseded | RunResult::Unchanged) {
            self.tell(key, result.is_err(), format!("{outcome:?}"), note);
        }
    }

    /// Sends an event.
    fn tell(&self, key: &Key, is_warning: bool, reason: String, note: String) {
        let Some(source) = self.context.sources.get(key) else {
            return;
        };
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let what = (is_warning, &*reason, &*note);
            let sent = send_event(&context.client, &source, what, &context.identity).await;
            if let Err(error) = sent {
                warn!(
                    error = nix_formats::chain(&error),
                    "failed to send an event"
                );
            }
        });
    }

    fn write(&mut self, key: Key) {
        let Some(status) = self.statuses.get(&key).cloned() else {
            return;
        };
        self.writing.insert(key.clone());
        let (client, reports) = (self.context.client.clone(), self.reports.clone());
        self.tasks.spawn(async move {
            let written = write_status(&client, &key, &status).await;
            let is_written = match &written {
                Ok(()) => true,
                Err(ClusterError::Kube(kube::Error::Api(status))) if status.is_not_found() => true,
                Err(error) => {
                    warn!(source = %key, error = nix_formats::chain(error), "failed to write a status");
                    tokio::time::sleep(STATUS_PAUSE).await;
                    false
                }
            };
            let _ = reports.send(Report::Written(key, is_written)).await;
        });
    }
}

fn gone() -> Failure {
    Failure {
        result: RunResult::Superseded,
        message: "the source is gone".to_owned(),
        is_passing: true,
    }
}

fn wishes(source: &NiphasSource) -> Wishes {
    let annotation = |name: &str| source.annotations().get(name).cloned();
    Wishes {
        generation: source.metadata.generation.unwrap_or_default(),
        is_suspended: source.spec.suspend,
        interval: source.spec.interval.as_std(),
        retry: annotation(RETRY_ANNOTATION),
        pushed: annotation(PUSHED_ANNOTATION),
    }
}

/// The folder of a source: that of its object, so that one which is made again begins with nothing.
pub(crate) fn folder(policy: &Policy, source: &NiphasSource) -> PathBuf {
    let uid = source.uid().unwrap_or_default();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let uid: String = uid
        .chars()
        .filter(|character| is_plain(*character))
        .collect();
    policy.work_folder.join("sources").join(uid)
}
