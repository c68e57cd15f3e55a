//! One run: a branch of a flake becomes a commit in the GitOps repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use binary_cache::{CacheUrl, Caches, TrustPolicy, read_keys};
use niphas_api::source::{NiphasSourceSpec, Proposal, RunResult};
use niphas_environments::{
    Closures, EvaluatedEnvironments, RefusedEnvironments, ResolveError, render, resolve,
};
use niphas_git::Login;
use niphas_render::{DeployFolder, Form};
use niphas_review::Review;
use nix_formats::StoreDir;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::builds::{BuildError, BuildRun, Built, Graph};
use crate::child::protocol::{self, Limits};
use crate::evaluate::{EvaluateError, evaluate, write_graph};
use crate::fetch::{Branch, FetchError, FetchedFlake};
use crate::policy::{EvaluationLimits, NamespacePolicy};
use crate::proposal::Proposed;
use crate::queue::Key;
use crate::target::{Mode, Writer, Written};

/// What a run needs.
pub(crate) struct Run {
    pub(crate) key: Key,
    pub(crate) spec: NiphasSourceSpec,
    pub(crate) policy: NamespacePolicy,
    pub(crate) limits: EvaluationLimits,
    /// The folder of this source.
    pub(crate) folder: PathBuf,
    pub(crate) flake_login: Arc<Login>,
    pub(crate) target_login: Arc<Login>,
    /// The commit that is run; left out, the one that the branch is at.
    pub(crate) revision: Option<String>,
    pub(crate) mode: Mode,
    /// The pull request of an earlier run, and the API of its host.
    pub(crate) proposal: Option<Proposal>,
    pub(crate) target_host: Option<niphas_forges::Client>,
    /// Evaluations at the same time take turns.
    pub(crate) turns: Arc<Semaphore>,
    /// What builds what caches lack, if that is allowed.
    pub(crate) builds: Option<BuildRun>,
    /// It is not wanted any more.
    pub(crate) cancelled: CancellationToken,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The commit is here.
    Fetched(String),
    /// It was evaluated without an error.
    Evaluated,
    /// What caches lack is being built.
    Building(Built),
    /// All closures are in caches.
    Built,
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Success {
    pub(crate) revision: String,
    /// The commit in the GitOps repository, if there was something to commit.
    pub(crate) commit: Option<String>,
    pub(crate) environments: usize,
    pub(crate) workloads: usize,
    /// The pull request that proposes it, in the mode that has one.
    pub(crate) proposal: Option<Proposal>,
    /// What would change, and the patch, if nothing was to be written.
    pub(crate) review: Option<(Review, String)>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) result: RunResult,
    pub(crate) message: String,
    /// The same may come to something else later.
    pub(crate) is_passing: bool,
}

impl Failure {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "errors and texts that end here"
    )]
    pub(crate) fn settled(result: RunResult, message: impl ToString) -> Self {
        Self {
            result,
            message: message.to_string(),
            is_passing: false,
        }
    }

    pub(crate) fn passing(result: RunResult, message: impl ToString) -> Self {
        Self {
            is_passing: true,
            ..Self::settled(result, message)
        }
    }

    fn cancelled() -> Self {
        Self::passing(RunResult::Superseded, "a newer push came")
    }

    /// What only a bug, or the end of the service, causes.
    fn panicked(error: &tokio::task::JoinError) -> Self {
        Self::passing(
            RunResult::RenderFailed,
            format!("the service failed: {error}"),
        )
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Flake(_) => Self::settled(RunResult::EvaluationFailed, error),
            EvaluateError::Service(_) => Self::passing(RunResult::EvaluationFailed, error),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self {
            result: RunResult::BuildFailed,
            message: error.message,
            is_passing: error.is_passing,
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Server(_) => Self::passing(RunResult::EvaluationFailed, error),
            FetchError::Refused(_) => Self::settled(RunResult::EvaluationFailed, error),
        }
    }
}

impl Run {
    /// Does all of it. `tell` hears how far it is.
    pub(crate) async fn run(self, tell: impl Fn(Step)) -> Result<Success, Failure> {
        let cancelled = self.cancelled.clone();
        let work = async {
            let flake = self.fetch().await?;
            tell(Step::Fetched(flake.revision.clone()));
            let evaluated = self.evaluate(&flake).await?;
            tell(Step::Evaluated);
            self.render(flake, evaluated, &tell).await
        };
        tokio::pin!(work);
        tokio::select! {
            // Whether it was cancelled is asked first, once more before something is committed.
            biased;
            () = cancelled.cancelled() => Err(Failure::cancelled()),
            result = &mut work => result,
        }
    }

    async fn fetch(&self) -> Result<FetchedFlake, Failure> {
        let branch = self.branch();
        let (cache, policy) = (self.folder.join("fetched"), self.policy.clone());
        let most = u64::from(self.limits.fetch_mebibytes) << 20;
        let fetched = spawn_blocking(move || branch.fetch(cache, &policy, most)).await;
        Ok(fetched.map_err(|error| Failure::panicked(&error))??)
    }

    fn branch(&self) -> Branch {
        let flake = &self.spec.flake;
        Branch {
            url: flake.url.clone(),
            name: flake.branch.clone(),
            revision: self.revision.clone(),
            dir: flake.dir.clone(),
            login: Arc::clone(&self.flake_login),
        }
    }

    /// What is asked of the process that evaluates.
    fn request(&self, flake: &FetchedFlake) -> Result<protocol::Request, Failure> {
        let cache = self.folder.join("fetched");
        let answers = cache.join("evaluations");
        make_folder(&answers)?;
        Ok(protocol::Request {
            flake: flake.locked.to_attrs(),
            environments: self.spec.environments.clone().unwrap_or_default(),
            cache,
            trees: flake.trees.clone(),
            answers,
            limits: Limits {
                memory: u64::from(self.limits.memory_mebibytes) << 20,
                time: self.limits.time.as_std(),
                files: u64::from(self.limits.files),
            },
            graph: None,
        })
    }

    async fn evaluate(&self, flake: &FetchedFlake) -> Result<EvaluatedEnvironments, Failure> {
        let request = self.request(flake)?;
        let most = u64::from(self.limits.output_mebibytes) << 20;
        let _turn = self.turns.acquire().await;
        Ok(evaluate(&request, most).await?)
    }

    /// What builds the environments.
    async fn graph(&self, flake: &FetchedFlake, builds: &BuildRun) -> Result<Arc<Graph>, Failure> {
        let limits = builds.limits();
        let request = protocol::Request {
            graph: Some(limits),
            ..self.request(flake)?
        };
        let file = tempfile::tempfile_in(&self.folder).map_err(|error| {
            let message = format!(
                "failed to make a file in '{}': {error}",
                self.folder.display()
            );
            Failure::passing(RunResult::BuildFailed, message)
        })?;
        let turn = self.turns.acquire().await;
        let written = write_graph(&request, file).await?;
        drop(turn);
        let read = spawn_blocking(move || Graph::read(written, limits)).await;
        let read = read.map_err(|error| Failure::panicked(&error))?;
        let graph = read.map_err(|error| {
            let why = nix_formats::chain(&error);
            let message = format!("what the evaluation says of its builds is refused: {why}");
            Failure::settled(RunResult::EvaluationFailed, message)
        })?;
        Ok(Arc::new(graph))
    }

    /// Finds the closures, and has built what no cache has.
    async fn closures(
        &self,
        flake: &FetchedFlake,
        evaluated: EvaluatedEnvironments,
        tell: &impl Fn(Step),
    ) -> Result<(EvaluatedEnvironments, Closures), Failure> {
        let failed =
            |error: &dyn ToString| Failure::settled(RunResult::RenderFailed, error.to_string());
        let caches =
            Arc::new(caches(&self.policy, self.builds.as_ref()).map_err(|error| failed(&error))?);
        let (mut evaluated, mut closures) = find_closures(Arc::clone(&caches), evaluated).await?;
        if let (Err(ResolveError::Unresolved(_)), Some(builds)) = (&closures, &self.builds) {
            let graph = self.graph(flake, builds).await?;
            let tell = |built| tell(Step::Building(built));
            builds.build(&evaluated, &caches, graph, &tell).await?;
            (evaluated, closures) = find_closures(caches, evaluated).await?;
        }
        let closures = closures.map_err(|error| match error {
            ResolveError::Unresolved(_) => Failure::passing(RunResult::BuildFailed, error),
            error => failed(&nix_formats::chain(&error)),
        })?;
        if let Some(builds) = &self.builds {
            builds.keep(&evaluated).await?;
        }
        Ok((evaluated, closures))
    }

    async fn render(
        &self,
        flake: FetchedFlake,
        evaluated: EvaluatedEnvironments,
        tell: &impl Fn(Step),
    ) -> Result<Success, Failure> {
        let (evaluated, closures) = self.closures(&flake, evaluated, tell).await?;
        tell(Step::Built);
        let environments = evaluated.environments.len();
        let workloads = evaluated.environments.iter();
        let workloads = workloads
            .map(|environment| environment.workloads.len())
            .sum();
        let revision = flake.revision.clone();
        let (spec, login, mode) = (
            self.spec.clone(),
            Arc::clone(&self.target_login),
            self.mode.clone(),
        );
        let written = spawn_blocking(move || {
            let folder = spec.target.dir.as_deref().unwrap_or(".");
            let folder = folder.parse::<DeployFolder>().map_err(|error| {
                Failure::settled(RunResult::RenderFailed, format!("target.dir: {error}"))
            })?;
            let files = render(
                &evaluated.environments,
                &closures,
                &folder,
                &Form::Workloads,
            )
            .map_err(|error: RefusedEnvironments| {
                Failure::settled(RunResult::RenderFailed, error)
            })?;
            let writer = Writer {
                spec: &spec,
                login: &login,
                mode: &mode,
            };
            writer.write(&flake, files)
        });
        let written = written.await.map_err(|error| Failure::panicked(&error))??;
        let mut success = Success {
            revision,
            commit: None,
            environments,
            workloads,
            proposal: None,
            review: None,
        };
        match written {
            Written::Nothing => {}
            Written::Proposed => success.proposal.clone_from(&self.proposal),
            Written::Committed(commit) => success.commit = Some(commit),
            Written::ToPropose { commit, review } => {
                let proposed = Proposed {
                    key: &self.key,
                    spec: &self.spec,
                    revision: &success.revision,
                    commit: &commit,
                    review: &review,
                };
                success.proposal = Some(proposed.open(self.target_host.as_ref()).await?);
                success.commit = Some(commit);
            }
            Written::Reviewed { review, patch } => success.review = Some((review, patch)),
        }
        Ok(success)
    }
}

/// Finds the closures of all workloads.
async fn find_closures(
    caches: Arc<Caches>,
    evaluated: EvaluatedEnvironments,
) -> Result<(EvaluatedEnvironments, Result<Closures, ResolveError>), Failure> {
    // What hears of its progress may be of one thread only, and so it is.
    let runtime = Handle::current();
    let found = spawn_blocking(move || {
        let closures = resolve(&caches, &evaluated.environments, &|_| ());
        let closures = runtime.block_on(closures);
        (evaluated, closures)
    });
    found.await.map_err(|error| Failure::panicked(&error))
}

/// The caches of a namespace, with that of what is built.
fn caches(policy: &NamespacePolicy, builds: Option<&BuildRun>) -> anyhow::Result<Caches> {
    let urls = policy.caches.iter().map(|url| url.parse());
    let mut urls = urls.collect::<Result<Vec<CacheUrl>, _>>()?;
    let none: [&Path; 0] = [];
    let mut keys = read_keys(&policy.trusted_public_keys, &none)?;
    if let Some(builds) = builds {
        urls.push(builds.cache());
        keys = builds.with_key(&keys);
    }
    let trust = TrustPolicy::new(keys, policy.required_signatures)?;
    let limits = binary_cache::Limits {
        // A path that a push needs may be pushed to the cache at the same time.
        negative_ttl: Duration::ZERO,
        ..binary_cache::Limits::default()
    };
    Ok(Caches::new(StoreDir::default(), urls, trust, limits)?)
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let message = format!("failed to make '{}': {error}", folder.display());
        Failure::passing(RunResult::EvaluationFailed, message)
    })
}
