//! `niphas roots`

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use binary_cache::{Caches, ClosureError, Remedy};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use niphas_cache_args::CacheArgs;
use niphas_environments::{Environments, EvaluatedEnvironments, Root};
use niphas_terminal::{print_line, say};
use nix_formats::{StoreDir, StorePath};
use serde_json::json;

use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};
use crate::progress::Progress;
use crate::selection::SelectionArgs;

/// Print what a flake's environments need to be built
///
/// The roots of the closures of all workloads, on all systems of the environments: packages, and all other store paths that
/// arguments, variables and files refer to. Each line is an output of the flake that `nix build` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  nix build --no-link $(niphas roots)
  niphas roots --paths | niphas cache push --to https://cache.example.org --sign-key cache.secret -
  niphas roots --missing | xargs --no-run-if-empty nix build --no-link
A machine builds for its own system, and for others with an emulator or a remote builder: --system chooses one.")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Print store paths
    #[arg(long, conflicts_with = "json")]
    paths: bool,
    /// Print JSON: environment, workload, system, store path, derivation and output of each root
    #[arg(long)]
    json: bool,
    /// Print only what the caches lack, or lack something of the closure of
    ///
    /// What no trusted key has signed counts as lacking.
    #[arg(long)]
    missing: bool,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
}

/// Closures that are looked for at the same time.
const CLOSURES_AT_ONCE: usize = 64;

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = if self.missing {
            Some(self.caches.open()?)
        } else {
            None
        };
        let progress = Progress::new();
        progress.say("fetching the flake");
        let opened = self
            .flakes
            .open_with(&self.selection.flake, self.lock_file)?;
        let selected = self.selection.names(&opened.fragment)?;
        progress.say("evaluating");
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        let environments = Environments::open(&opened.flake, &evaluation, &selected)?;
        let evaluated = environments.evaluate(&|step| progress.step(step))?;
        let mut roots = self.roots(&evaluated)?;
        if let Some(caches) = caches {
            progress.say("asking the caches");
            let paths = roots.iter().map(|root| root.path.clone()).collect();
            let missing = missing(&Arc::new(caches), paths)?;
            roots.retain(|root| missing.contains(root.path));
        }
        progress.clear();
        self.print(&roots);
        Ok(ExitCode::SUCCESS)
    }

    /// The roots for the system that is chosen, or for all.
    fn roots<'e>(&self, evaluated: &'e EvaluatedEnvironments) -> Result<Vec<Root<'e>>, Failure> {
        let mut roots: Vec<Root<'_>> = evaluated.roots().collect();
        let Some(system) = self.evaluation.system() else {
            return Ok(roots);
        };
        let known: BTreeSet<&str> = roots.iter().map(|root| root.system.as_str()).collect();
        if !known.is_empty() && !known.contains(system) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(anyhow!(
                "no environment is for the system '{system}'; they are for: {known}"
            )
            .into());
        }
        roots.retain(|root| root.system.as_str() == system);
        Ok(roots)
    }

    fn print(&self, roots: &[Root<'_>]) {
        let store_dir = StoreDir::default();
        let installable = |root: &Root<'_>| {
            let reference = self.selection.reference();
            format!("{reference}#{}", root.attribute_path())
        };
        if self.json {
            let roots: Vec<_> = roots
                .iter()
                .map(|root| {
                    json!({
                        "environment": root.environment,
                        "workload": root.workload,
                        "system": root.system,
                        "path": store_dir.print(root.path),
                        "drvPath": root.built.map(|built| &built.drv_path),
                        "output": root.built.map(|built| &built.output),
                        "installable": installable(root),
                    })
                })
                .collect();
            say!("{}", json!({ "roots": roots }));
            return;
        }
        // Several workloads, environments and systems can need the same.
        let mut seen = BTreeSet::new();
        for root in roots.iter().filter(|root| seen.insert(root.path)) {
            let line = if self.paths {
                store_dir.print(root.path)
            } else {
                installable(root)
            };
            print_line(line);
        }
    }
}

/// Those of the paths that no cache gives with all of their closures.
pub(super) fn missing(
    caches: &Arc<Caches>,
    paths: BTreeSet<StorePath>,
) -> Result<BTreeSet<StorePath>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let searches = stream::iter(paths).map(|path| {
        let caches = Arc::clone(caches);
        async move {
            let found = caches.closure(std::slice::from_ref(&path)).await;
            match found {
                Ok(_) => Ok(None),
                Err(ClosureError::Unavailable(paths))
                    if paths.iter().all(|path| is_to_push(path.remedy())) =>
                {
                    Ok(Some(path))
                }
                Err(error) => Err(Failure::from(error)),
            }
        }
    });
    let searches = searches.buffer_unordered(CLOSURES_AT_ONCE);
    runtime.block_on(
        searches
            .try_filter_map(|found| async { Ok(found) })
            .try_collect(),
    )
}

/// Whether a push helps. Where it does not, it is not known whether the cache has the path.
fn is_to_push(remedy: Remedy<'_>) -> bool {
    matches!(
        remedy,
        Remedy::Push { .. }
            | Remedy::Replace { .. }
            | Remedy::Sign { .. }
            | Remedy::SignWithMore { .. }
            | Remedy::TrustOrSign { .. }
    )
}
