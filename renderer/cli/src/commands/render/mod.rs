//! `niphas render`

mod repository;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use binary_cache::Caches;
use futures::StreamExt as _;
use niphas_api::{BASE_IMAGE, ClosureLine, ClosureLines};
use niphas_cache_args::CacheArgs;
use niphas_gitops::{
    ChangeKind, FileChange, GitOpsRepository, Oid, Outcome, Plan, Provenance, Relation, Request,
    history_in,
};
use niphas_render::{CheckedEnvironment, ClosureId, Form, RenderedEnvironment};
use niphas_terminal::{OutputFormat, print_bytes, say};
use serde_json::json;

use crate::environment::{CheckEnvironments, Environments};
use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Source};
use crate::last_rendering::{LastRendering, RenderKey};
use crate::progress::{Phases, Progress};
use crate::provenance;
use crate::workloads::FindWorkloads;

use repository::RepositoryArgs;
pub(crate) use repository::RepositoryKey;

/// Render a flake's environments and commit them to a GitOps repository
///
/// Evaluates `niphasConfigurations.<environment>` of the flake, finds the closure of each workload in the given binary
/// caches, checks every signature on the way, and commits one NiphasWorkload for each workload to a branch of the
/// repository. If everything is there already, nothing is committed. Nothing is written when anything is wrong.
///
/// A run that finds all as the last one with the same arguments left it is over at once; with --refresh, or an hour later, it
/// asks the caches all the same.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas render . --to ../gitops --cache https://cache.example.org --trusted-public-key example-1:AbC…=
  niphas render github:example/shop --environment production --to git@github.com:example/gitops.git --diff
Exit codes: 0 done, or nothing to do; 1 something went wrong.
With --check or --diff: 0 nothing would change; 1 something would; 2 something went wrong.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Args {
    /// The flake
    #[arg(default_value = ".")]
    flake: String,
    /// Render only this environment; repeatable [default: all]
    #[arg(short, long = "environment", value_name = "NAME")]
    environments: Vec<String>,
    /// Print the planned changes without committing
    #[arg(long, conflicts_with_all = ["diff", "check"])]
    dry_run: bool,
    /// Print the planned changes as a patch
    ///
    /// The exit code says whether there are any.
    #[arg(long, conflicts_with = "check")]
    diff: bool,
    /// Print nothing; the exit code says whether there are changes
    #[arg(long)]
    check: bool,
    /// Write plain Kubernetes objects, for clusters without operator
    #[arg(long)]
    expand: bool,
    /// Name this image in pods, with --expand
    ///
    /// The CSI driver puts it on its nodes under this name.
    #[arg(long, value_name = "IMAGE", default_value = BASE_IMAGE, requires = "expand", hide_short_help = true)]
    base_image: String,
    /// Print the result in this form
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    locking: FlakeArgs,
}

impl Args {
    /// The exit code of a run that failed.
    pub(crate) fn failure_code(&self) -> ExitCode {
        ExitCode::from(if self.diff || self.check { 2 } else { 1 })
    }

    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = Arc::new(self.caches.open()?);
        let opened = self.repository.local()?;
        let opened = opened.map_or_else(OnceCell::new, OnceCell::from);
        let progress = Progress::new();
        progress.say("fetching the flake");
        let mut phases = Phases::new();
        let source = self.locking.open(&self.flake)?;
        phases.end("fetching");
        progress.say("evaluating");
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        let last = self.last_rendering(&source, &caches)?;
        let up_to_date = OnceCell::new();
        let work = CheckEnvironments {
            say: &|what| progress.say(what),
            workloads: FindWorkloads::new(&self.environments),
            is_up_to_date: &|names, digest| {
                last.is_of(digest, || {
                    if opened.get().is_none() {
                        // Problems of the repository are reported when it is written to.
                        let _ = opened.set(self.repository.open(&self.repository.to).ok()?);
                    }
                    let repository = opened.get()?;
                    let tip = repository.tip().ok()??;
                    let objects = self.repository.objects(repository, tip, names).ok()?;
                    let _ = up_to_date.set(tip);
                    Some(objects)
                })
            },
        };
        let checked = source.evaluate_cached(&evaluation, "environments", &work)?;
        phases.end("evaluation");
        let (checked, digest) = match checked {
            Environments::UpToDate => {
                let (Some(repository), Some(&tip)) = (opened.get(), up_to_date.get()) else {
                    unreachable!("what is up to date was looked at")
                };
                progress.clear();
                self.tell_unchanged(repository, tip);
                return Ok(ExitCode::SUCCESS);
            }
            Environments::Checked {
                environments,
                digest,
            } => (environments, digest),
        };
        let asked = SystemTime::now();
        let closures = resolve(&caches, &checked, &progress)?;
        phases.end("closures");
        let form = if self.expand {
            Form::Expanded {
                base_image: self.base_image.clone(),
            }
        } else {
            Form::Workloads
        };
        let mut environments = BTreeMap::new();
        for environment in &checked {
            let rendered =
                environment.render(&self.repository.dir, &form, &closures[&environment.name]);
            let rendered =
                rendered.map_err(|problems| Failure::problems(&environment.name, &problems))?;
            environments.insert(environment.name.clone(), rendered);
        }
        phases.end("files");
        progress.say("writing to the repository");
        let names: BTreeSet<String> = environments.keys().cloned().collect();
        let (repository, _stand_in) = match opened.into_inner() {
            Some(repository) => (repository, None),
            None => self.repository.open_or_make(self.only_tells())?,
        };
        let (code, commit) = self.write(&repository, &source, environments)?;
        if evaluation.uses_cache()
            && let (Some(digest), Some(commit)) = (digest, commit)
            && let Ok(objects) = self.repository.objects(&repository, commit, &names)
        {
            last.note(digest, asked, objects);
        }
        phases.end("repository");
        progress.clear();
        Ok(code)
    }

    /// What is noted about runs with the same arguments.
    fn last_rendering(&self, source: &Source, caches: &Caches) -> Result<LastRendering, Failure> {
        // Every option is named: a new one is in the key, or is seen not to be.
        let Self {
            flake: _,
            environments,
            dry_run: _,
            diff: _,
            check: _,
            expand,
            base_image,
            output: _,
            repository,
            caches: cache_args,
            // What the flake evaluates to is compared itself.
            purity: _,
            answers: _,
            evaluation: _,
            locking: _,
        } = self;
        let key = RenderKey {
            program: nix_flake::program(),
            flake: source.locked.flake.resolved.expose(),
            repository: repository.key()?,
            environments,
            base_image: expand.then_some(base_image),
            caches: cache_args.urls(),
            trust: caches.policy_id().to_string(),
        };
        let settings = source.fetcher.settings();
        let (folder, counts_for) = (&settings.cache_dir, settings.ttl);
        Ok(LastRendering::new(folder, counts_for, &key))
    }

    /// Whether nothing will be written.
    fn only_tells(&self) -> bool {
        self.dry_run || self.diff || self.check
    }

    /// Writes the environments to the repository, or tells what would be written. With the exit code comes the commit that
    /// has them, if one does.
    fn write(
        &self,
        repository: &GitOpsRepository,
        source: &Source,
        environments: BTreeMap<String, RenderedEnvironment>,
    ) -> Result<(ExitCode, Option<Oid>), Failure> {
        let origin = provenance::of(source)?;
        let clone = origin.clone.as_deref().map(history_in);
        let history = |ours: &str, recorded: &str| match &clone {
            Some(history) => history(ours, recorded),
            None if ours == recorded => Relation::Same,
            None => Relation::Unknown,
        };
        let request = Request {
            environments,
            provenance: Provenance {
                source: origin.source,
                flake_lock: Some(origin.flake_lock),
                renderer: concat!("niphas ", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            history: &history,
            author: self.repository.author.clone(),
            allow_empty: self.repository.allow_empty,
            allow_unknown_source: self.repository.allow_unknown_source,
        };
        if self.only_tells() {
            let plan = repository.plan(&request)?;
            let code = self.tell_plan(repository, &plan);
            return Ok((code, plan.tip.filter(|_| plan.changes.is_empty())));
        }
        let outcome = repository.commit(&request)?;
        self.tell_outcome(repository, &outcome);
        let tip = match outcome {
            Outcome::Unchanged { tip } => tip,
            Outcome::Committed { commit, .. } => Some(commit),
        };
        Ok((ExitCode::SUCCESS, tip))
    }

    /// What is reported of a branch that is up to date, with every option.
    fn tell_unchanged(&self, repository: &GitOpsRepository, tip: Oid) {
        if self.only_tells() {
            let nothing = Plan {
                tip: Some(tip),
                changes: Vec::new(),
                diff: String::new(),
            };
            self.tell_plan(repository, &nothing);
        } else {
            self.tell_outcome(repository, &Outcome::Unchanged { tip: Some(tip) });
        }
    }

    fn tell_plan(&self, repository: &GitOpsRepository, plan: &Plan) -> ExitCode {
        let changed = !plan.changes.is_empty();
        match self.output {
            OutputFormat::Json => {
                let diff = self.diff.then_some(&plan.diff);
                let plan = json!({
                    "outcome": if changed { "would-commit" } else { "unchanged" },
                    "branch": repository.branch(),
                    "changes": changes_json(&plan.changes),
                    "diff": diff,
                });
                say!("{plan}");
            }
            OutputFormat::Text if self.diff => print_bytes(plan.diff.as_bytes()),
            OutputFormat::Text if self.check => {}
            OutputFormat::Text if changed => {
                say!("would commit to branch '{}':", repository.branch());
                print_changes(&plan.changes);
            }
            OutputFormat::Text => say!(
                "nothing to commit: branch '{}' is up to date",
                repository.branch()
            ),
        }
        let fails = changed && (self.diff || self.check);
        if fails {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn tell_outcome(&self, repository: &GitOpsRepository, outcome: &Outcome) {
        let branch = repository.branch();
        match (self.output, outcome) {
            (OutputFormat::Json, Outcome::Unchanged { tip }) => {
                let tip = tip.map(|tip| tip.to_string());
                say!(
                    "{}",
                    json!({ "outcome": "unchanged", "branch": branch, "commit": tip, "changes": [] })
                );
            }
            (
                OutputFormat::Json,
                Outcome::Committed {
                    commit,
                    changes,
                    attempts,
                },
            ) => {
                let outcome = json!({
                    "outcome": "committed",
                    "branch": branch,
                    "commit": commit.to_string(),
                    "changes": changes_json(changes),
                    "attempts": attempts,
                });
                say!("{outcome}");
            }
            (OutputFormat::Text, Outcome::Unchanged { .. }) => {
                say!("nothing to commit: branch '{branch}' is up to date");
            }
            (
                OutputFormat::Text,
                Outcome::Committed {
                    commit, changes, ..
                },
            ) => {
                say!("committed {commit} to branch '{branch}':");
                print_changes(changes);
            }
        }
    }
}

fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

fn print_changes(changes: &[FileChange]) {
    for change in changes {
        say!("  {:<8} {}", kind_name(change.kind), change.path);
    }
}

fn changes_json(changes: &[FileChange]) -> serde_json::Value {
    changes
        .iter()
        .map(|change| json!({ "path": change.path, "kind": kind_name(change.kind) }))
        .collect()
}

/// Closures that are walked at the same time.
const CLOSURES_AT_ONCE: usize = 64;

type ClosuresOfEnvironment = BTreeMap<ClosureId, ClosureLines>;

/// Finds all closures in the caches; all that are missing are reported at once.
fn resolve(
    caches: &Arc<Caches>,
    environments: &[CheckedEnvironment],
    progress: &Progress,
) -> Result<BTreeMap<String, ClosuresOfEnvironment>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let wanted = environments.iter().flat_map(|environment| {
            let closures = environment.closures();
            closures.map(|(id, roots)| (environment.name.as_str(), id, roots))
        });
        let wanted: Vec<_> = wanted.collect();
        let total = wanted.len();
        let mut resolved: BTreeMap<_, _> = environments
            .iter()
            .map(|environment| (environment.name.clone(), ClosuresOfEnvironment::new()))
            .collect();
        let mut missing = Vec::new();
        // The caches limit how much they are asked at once.
        let mut found = futures::stream::iter(wanted)
            .map(|(environment, id, roots)| {
                let (caches, roots) = (Arc::clone(caches), roots.to_vec());
                let found = tokio::spawn(async move { caches.closure(&roots).await });
                async move { (environment, id, found.await) }
            })
            .buffered(CLOSURES_AT_ONCE)
            .enumerate();
        while let Some((index, (environment, id, closure))) = found.next().await {
            progress.say(&format!(
                "resolved closure {} of {total}: {} on {}",
                index + 1,
                id.workload,
                id.system
            ));
            match closure? {
                Ok(closure) => {
                    let lines = closure.paths.iter();
                    let lines = lines.map(|path| ClosureLine::from(&*path.info));
                    let lines = ClosureLines::new(lines.collect()).with_context(|| {
                        format!("the closure of workload '{}' on {}", id.workload, id.system)
                    })?;
                    resolved
                        .entry(environment.to_owned())
                        .or_default()
                        .insert(id, lines);
                }
                Err(error) => missing.push((environment.to_owned(), id, error)),
            }
        }
        if missing.is_empty() {
            Ok(resolved)
        } else {
            Err(Failure::closures(&missing))
        }
    })
}
