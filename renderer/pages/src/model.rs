//! What pages show. The service fills it; nothing here is read from anywhere.

use std::time::{Duration, SystemTime};

/// The name of a `NiphasSource`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

/// How it stands with a run or a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not begun.
    Waiting,
    /// It is under way.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// A newer commit took its place.
    Cancelled,
    /// There was nothing to do.
    Skipped,
}

/// A commit that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its full name.
    pub commit: String,
    /// The first line of its message.
    pub subject: Option<String>,
    /// Its page at the Git host.
    pub link: Option<String>,
}

/// A source, as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// The repository's URL, without credentials.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// How the last run stands; `Waiting` if there was none.
    pub state: State,
    /// What its conditions say, if something is wrong.
    pub message: Option<String>,
    /// The last revision seen.
    pub revision: Option<Revision>,
    /// When that was.
    pub seen: Option<SystemTime>,
    /// What it has.
    pub counts: Counts,
    /// The pull requests of its repository; its own page lists them.
    pub pull_requests: Vec<PullRequest>,
}

/// A pull request that is open for the branch of a source, and was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its page at the Git host.
    pub link: Option<String>,
    /// Its last commit that was run.
    pub revision: Revision,
    /// How it stands.
    pub state: State,
    /// How it ended, in a sentence.
    pub message: Option<String>,
}

/// What a source has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Environments.
    pub environments: u64,
    /// Workloads of all environments.
    pub workloads: u64,
    /// Runs under way or waiting.
    pub runs: u64,
}

/// What began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A webhook of a push.
    Push,
    /// The source's poll.
    Poll,
    /// A pull request of this number.
    PullRequest(u64),
    /// A request of a person or script.
    Request,
}

/// A run, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its name in URLs.
    pub id: String,
    /// What began it.
    pub trigger: Trigger,
    /// The commit.
    pub revision: Revision,
    /// How it stands.
    pub state: State,
    /// When it began.
    pub began: SystemTime,
    /// How long it took, or takes so far.
    pub took: Duration,
    /// Derivations, by their state.
    pub builds: BuildCounts,
}

/// How many derivations stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildCounts {
    /// Whose outputs the cache has from before.
    pub cached: u64,
    /// That were built.
    pub built: u64,
    /// That are being built.
    pub running: u64,
    /// That wait for their inputs or a place.
    pub waiting: u64,
    /// That failed, themselves or by their inputs.
    pub failed: u64,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The source.
    pub source: SourceName,
    /// What lists show.
    pub summary: RunSummary,
    /// How it ended, in a sentence or, if it failed, in the lines of the error. The last lines of it are shown.
    pub message: Option<String>,
    /// Its stages, in their order.
    pub stages: Vec<Stage>,
    /// The derivations that the cache lacked, and those of their inputs that it had, in any order.
    pub builds: Vec<BuildNode>,
    /// Those that failed themselves, the first ones first.
    pub failures: Vec<Failure>,
    /// What came of it: the commit or the pull request of the GitOps repository.
    pub result: Option<Link>,
    /// Whether the closures have a page.
    pub has_closures: bool,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// `Fetch`, `Evaluate`, `Build`, `Render`, `Commit`.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// How long it took, or takes so far.
    pub took: Option<Duration>,
    /// One line about it.
    pub detail: Option<String>,
}

/// How it stands with a derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildState {
    /// It failed.
    Failed,
    /// A derivation that it needs failed.
    DependencyFailed,
    /// It is being built.
    Running,
    /// It waits for its inputs or a place.
    Waiting,
    /// It was built.
    Built,
    /// The cache had it.
    Cached,
}

/// A derivation in the graph of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildNode {
    /// The base name of its store path: `<hash>-<name>.drv`.
    pub derivation: String,
    /// The system that it is for.
    pub system: String,
    /// How it stands.
    pub state: BuildState,
    /// How long its build took, or takes so far.
    pub took: Option<Duration>,
    /// The Kubernetes Job that builds it, or did.
    pub job: Option<String>,
    /// Which of the run's derivations it needs, as places in [`Run::builds`]. Others are passed over.
    pub inputs: Vec<usize>,
    /// Whether it has a log.
    pub has_log: bool,
}

/// A derivation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The base name of its store path.
    pub derivation: String,
    /// Why, in one line.
    pub reason: String,
    /// The end of its log, as it was written. The last lines of it are shown.
    pub log: Vec<u8>,
    /// How many derivations of the run need it, directly or not.
    pub dependents: u64,
    /// How to have it tried again, such as a command.
    pub hint: Option<String>,
}

/// Words with a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The words.
    pub text: String,
    /// Where they lead: a page of the web, or they are words alone.
    pub url: String,
}

/// A log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The base name of the derivation's store path.
    pub derivation: String,
    /// How it stands with the derivation, if that is known.
    pub state: Option<BuildState>,
    /// Whether more is written to it.
    pub is_live: bool,
    /// The run that the page was reached from.
    pub run: Option<(SourceName, String)>,
    /// What was written so far, or the end of it.
    pub text: Vec<u8>,
    /// Whether `text` is not all.
    pub is_cut: bool,
    /// Where the log goes on in `text`: bytes from its start. Events that follow are asked for from here.
    pub end: u64,
}

/// A closure of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    /// The environment.
    pub environment: String,
    /// The workload.
    pub workload: String,
    /// The system.
    pub system: String,
    /// The size of its paths, unpacked, in bytes.
    pub size: u64,
    /// How many paths it has.
    pub paths: u64,
    /// The size that it had in the run before.
    pub size_before: Option<u64>,
    /// Its largest paths: base name and size.
    pub largest: Vec<(String, u64)>,
}
