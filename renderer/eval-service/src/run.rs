//! One run: a branch of a flake becomes a commit in the GitOps repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use binary_cache::{CacheUrl, Caches, TrustPolicy, read_keys};
use niphas_api::source::{NiphasSourceSpec, RunResult, TargetMode};
use niphas_environments::{
    Closures, EvaluatedEnvironments, Origin, RefusedEnvironments, ResolveError, render, resolve,
};
use niphas_git::Login;
use niphas_gitops::{Access, Allowed, GitOpsRepository, Location, Outcome, Provenance, Request};
use niphas_render::{DeployFolder, Form};
use nix_formats::StoreDir;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::child::protocol::{self, Limits};
use crate::evaluate::{EvaluateError, evaluate};
use crate::fetch::{Branch, FetchError, FetchedFlake};
use crate::policy::{EvaluationLimits, NamespacePolicy};

/// What a run needs.
pub(crate) struct Run {
    pub(crate) spec: NiphasSourceSpec,
    pub(crate) policy: NamespacePolicy,
    pub(crate) limits: EvaluationLimits,
    /// The folder of this source.
    pub(crate) folder: PathBuf,
    pub(crate) flake_login: Arc<Login>,
    pub(crate) target_login: Arc<Login>,
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
    /// All closures are in caches.
    Built,
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Success {
    pub(crate) revision: String,
    /// The commit in the GitOps repository, if there was something to commit.
    pub(crate) commit: Option<String>,
    pub(crate) workloads: usize,
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
    fn settled(result: RunResult, message: impl ToString) -> Self {
        Self {
            result,
            message: message.to_string(),
            is_passing: false,
        }
    }

    fn passing(result: RunResult, message: impl ToString) -> Self {
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
            dir: flake.dir.clone(),
            login: Arc::clone(&self.flake_login),
        }
    }

    async fn evaluate(&self, flake: &FetchedFlake) -> Result<EvaluatedEnvironments, Failure> {
        let cache = self.folder.join("fetched");
        let answers = cache.join("evaluations");
        make_folder(&answers)?;
        let request = protocol::Request {
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
        };
        let most = u64::from(self.limits.output_mebibytes) << 20;
        evaluate(&request, most).await.map_err(|error| match error {
            EvaluateError::Flake(_) => Failure::settled(RunResult::EvaluationFailed, error),
            EvaluateError::Service(_) => Failure::passing(RunResult::EvaluationFailed, error),
        })
    }

    async fn render(
        &self,
        flake: FetchedFlake,
        evaluated: EvaluatedEnvironments,
        tell: &impl Fn(Step),
    ) -> Result<Success, Failure> {
        let failed =
            |error: &dyn ToString| Failure::settled(RunResult::RenderFailed, error.to_string());
        let caches = Arc::new(caches(&self.policy).map_err(|error| failed(&error))?);
        // What the caches lack is built here, by the derivations of `evaluated.roots()`, before it is looked for.
        let (evaluated, closures) = find_closures(caches, evaluated).await?;
        let closures = closures.map_err(|error| match error {
            ResolveError::Unresolved(_) => Failure::passing(RunResult::BuildFailed, error),
            error => failed(&nix_formats::chain(&error)),
        })?;
        tell(Step::Built);
        let workloads = evaluated.environments.iter();
        let workloads = workloads
            .map(|environment| environment.workloads.len())
            .sum();
        let (spec, login) = (self.spec.clone(), Arc::clone(&self.target_login));
        let revision = flake.revision.clone();
        let committed = spawn_blocking(move || {
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
            commit(&spec, &flake, files, &login)
        });
        let commit = committed
            .await
            .map_err(|error| Failure::panicked(&error))??;
        Ok(Success {
            revision,
            commit,
            workloads,
        })
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

/// Commits the files; gives the commit, if one had to be made.
fn commit(
    spec: &NiphasSourceSpec,
    flake: &FetchedFlake,
    files: std::collections::BTreeMap<String, niphas_render::RenderedEnvironment>,
    login: &Login,
) -> Result<Option<String>, Failure> {
    let refused =
        |error: &dyn ToString| Failure::settled(RunResult::RenderFailed, error.to_string());
    let target = &spec.target;
    if target.mode == TargetMode::PullRequest {
        return Err(refused(
            &"target.mode: pull requests are not opened yet; use Commit",
        ));
    }
    let names: BTreeSet<String> = files.keys().cloned().collect();
    let origin = Origin::of_commit(
        &flake.reference,
        &flake.revision,
        &flake.lock_file,
        flake.clone.clone(),
    );
    let origin = origin.map_err(|error| refused(&error))?;
    let history = origin.history();
    let request = Request {
        environments: files,
        provenance: Provenance {
            owner: origin.owner,
            repository: origin.repository,
            revision: origin.revision,
            flake_lock: Some(origin.flake_lock),
            renderer: concat!("niphas ", env!("CARGO_PKG_VERSION")).to_owned(),
        },
        history: &history,
        author: None,
        subject: None,
        signing_key: None,
        allow: Allowed::default(),
        all_environments: spec.environments.is_none().then_some(names),
        prune: false,
    };
    let access = Access {
        login: Some(login.clone()),
        ..Access::default()
    };
    let location = Location::Remote(target.url.clone());
    let repository = GitOpsRepository::open(&location, Some(&target.branch), access);
    let outcome = repository.and_then(|repository| repository.commit(&request));
    match outcome {
        Ok(Outcome::Committed { commit, .. }) => Ok(Some(commit.to_string())),
        Ok(Outcome::Unchanged { .. } | Outcome::NotNeeded { .. }) => Ok(None),
        // What the repository has may change, too: whatever it is, it is tried again.
        Err(error) => Err(Failure::passing(
            RunResult::RenderFailed,
            nix_formats::chain(&error),
        )),
    }
}

/// The caches of a namespace.
fn caches(policy: &NamespacePolicy) -> anyhow::Result<Caches> {
    let urls = policy.caches.iter().map(|url| url.parse());
    let urls = urls.collect::<Result<Vec<CacheUrl>, _>>()?;
    let none: [&Path; 0] = [];
    let keys = read_keys(&policy.trusted_public_keys, &none)?;
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
