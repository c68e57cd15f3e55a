//! `niphas render`

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use binary_cache::Caches;
use futures::StreamExt as _;
use niphas_api::{BASE_IMAGE, ClosureLine, ClosureLines};
use niphas_cache_args::CacheArgs;
use niphas_gitops::{
    Access, Author, ChangeKind, FileChange, GitOpsRepository, Location, Oid, Outcome, Plan,
    Provenance, Relation, Request, Token, history_in,
};
use niphas_render::{
    CheckedEnvironment, ClosureId, DeployFolder, Form, RenderedEnvironment, places,
};
use niphas_terminal::{OutputFormat, print_bytes, say};
use serde_json::json;
use tempfile::TempDir;

use crate::environment::{CheckEnvironments, Environments};
use crate::evaluation::EvaluationArgs;
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Source};
use crate::last_rendering::{LastRendering, RenderKey};
use crate::progress::{Phases, Progress};
use crate::provenance;
use crate::workloads::FindWorkloads;

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
    /// The GitOps repository: a folder, or an https:// or ssh:// URL
    #[arg(long, value_name = "REPOSITORY", env = "NIPHAS_GITOPS_REPOSITORY")]
    to: Location,
    /// The branch to commit to [default: the one that HEAD names there]
    #[arg(long)]
    branch: Option<String>,
    /// Make the repository if there is nothing at its path yet, or an empty folder
    #[arg(long)]
    init: bool,
    /// Only these environments [default: all]
    #[arg(short, long = "environment", value_name = "NAME")]
    environments: Vec<String>,
    /// The folder of the repository that the environments' folders are in
    #[arg(long, value_name = "FOLDER", default_value = "deploy")]
    folder: DeployFolder,
    #[command(flatten)]
    caches: CacheArgs,
    /// Write the plain Kubernetes objects that the operator would make, for clusters without it
    #[arg(long)]
    expand: bool,
    /// The image that pods name, with --expand; the CSI driver puts it on its nodes under this name
    #[arg(long, value_name = "IMAGE", default_value = BASE_IMAGE, requires = "expand")]
    base_image: String,
    /// Only tell what would be committed
    #[arg(long, conflicts_with_all = ["diff", "check"])]
    dry_run: bool,
    /// Only print the change, as a patch; the exit code says whether there is one
    #[arg(long, conflicts_with = "check")]
    diff: bool,
    /// Only say by the exit code whether something would be committed
    #[arg(long)]
    check: bool,
    /// Let an environment lose its last workload
    #[arg(long)]
    allow_empty: bool,
    /// Go on even if it cannot be told whether the repository was rendered from a newer revision
    #[arg(long)]
    allow_unknown_source: bool,
    /// Log in to the repository by the token in a file, over HTTPS
    #[arg(long, value_name = "FILE", conflicts_with = "git_token_env")]
    git_token_file: Option<PathBuf>,
    /// Log in to the repository by the token in an environment variable, over HTTPS
    #[arg(long, value_name = "NAME")]
    git_token_env: Option<String>,
    /// Log in to the repository by a private key, over SSH [default: the SSH agent]
    #[arg(long, value_name = "FILE")]
    git_ssh_key: Option<PathBuf>,
    /// Who commits, as `NAME <ADDRESS>` [default: git's configuration]
    #[arg(long, value_name = "AUTHOR", value_parser = parse_author)]
    author: Option<Author>,
    /// How to print what was done
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    locking: FlakeArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
}

impl Args {
    /// The exit code of a run that failed.
    pub(crate) fn failure_code(&self) -> ExitCode {
        ExitCode::from(if self.diff || self.check { 2 } else { 1 })
    }

    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = Arc::new(self.caches.open()?);
        let opened = self.local_repository()?;
        let opened = opened.map_or_else(OnceCell::new, OnceCell::from);
        let progress = Progress::new();
        progress.say("fetching the flake");
        let mut phases = Phases::new();
        let source = self.locking.open(&self.flake)?;
        phases.end("fetching");
        progress.say("evaluating");
        let last = self.last_rendering(&source, &caches)?;
        let up_to_date = OnceCell::new();
        let work = CheckEnvironments {
            say: &|what| progress.say(what),
            workloads: FindWorkloads::new(&self.environments),
            is_up_to_date: &|names, digest| {
                last.is_of(digest, || {
                    if opened.get().is_none() {
                        // What is wrong with the repository is told when it is written to.
                        let _ = opened.set(self.open(&self.to).ok()?);
                    }
                    let repository = opened.get()?;
                    let tip = repository.tip().ok()??;
                    let objects = self.objects(repository, tip, names).ok()?;
                    let _ = up_to_date.set(tip);
                    Some(objects)
                })
            },
        };
        let checked = source.evaluate_cached(&self.evaluation, "environments", &work)?;
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
            let rendered = environment.render(&self.folder, &form, &closures[&environment.name]);
            let rendered =
                rendered.map_err(|problems| Failure::problems(&environment.name, &problems))?;
            environments.insert(environment.name.clone(), rendered);
        }
        phases.end("files");
        progress.say("writing to the repository");
        let names: BTreeSet<String> = environments.keys().cloned().collect();
        let (repository, _stand_in) = match opened.into_inner() {
            Some(repository) => (repository, None),
            None => self.repository()?,
        };
        let (code, commit) = self.write(&repository, &source, environments)?;
        if self.evaluation.uses_cache()
            && let (Some(digest), Some(commit)) = (digest, commit)
            && let Ok(objects) = self.objects(&repository, commit, &names)
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
            to,
            branch,
            init: _,
            environments,
            folder,
            caches: cache_args,
            expand,
            base_image,
            dry_run: _,
            diff: _,
            check: _,
            allow_empty: _,
            allow_unknown_source: _,
            git_token_file: _,
            git_token_env: _,
            git_ssh_key: _,
            author: _,
            output: _,
            // What the flake evaluates to is compared itself.
            locking: _,
            evaluation: _,
        } = self;
        let key = RenderKey {
            program: nix_flake::program(),
            flake: source.locked.flake.resolved.expose(),
            to: match to {
                Location::Path(path) => std::path::absolute(path)?.display().to_string(),
                Location::Remote(url) => url.clone(),
            },
            branch: branch.as_deref(),
            environments,
            folder: folder.to_string(),
            base_image: expand.then_some(base_image),
            caches: cache_args.urls(),
            trust: caches.policy_id().to_string(),
        };
        let settings = source.fetcher.settings();
        let (folder, counts_for) = (&settings.cache_dir, settings.ttl);
        Ok(LastRendering::new(folder, counts_for, &key))
    }

    /// What a commit has in the places of environments.
    fn objects(
        &self,
        repository: &GitOpsRepository,
        commit: Oid,
        environments: &BTreeSet<String>,
    ) -> Result<Vec<Option<String>>, niphas_gitops::Error> {
        let places: Vec<String> = environments
            .iter()
            .flat_map(|name| places(&self.folder, name))
            .collect();
        let objects = repository.objects(commit, &places)?;
        Ok(objects
            .into_iter()
            .map(|object| Some(object?.to_string()))
            .collect())
    }

    /// The repository, if it is on this machine and not still to be made: what is wrong with it is told before anything is
    /// evaluated for it.
    fn local_repository(&self) -> Result<Option<GitOpsRepository>, Failure> {
        let Location::Path(path) = &self.to else {
            return Ok(None);
        };
        if self.to_make().is_some() {
            return Ok(None);
        }
        match self.open(&self.to) {
            Ok(repository) => Ok(Some(repository)),
            Err(error) if is_free(path) => Err(Failure::with_hint(
                error,
                "make one with --init, or give the path of an existing one",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// The repository to write to. Where it is still to be made and nothing is to be written: an empty one, to compare with,
    /// which is there as long as the folder.
    fn repository(&self) -> Result<(GitOpsRepository, Option<TempDir>), Failure> {
        let branch = self.branch.as_deref().unwrap_or("main");
        let (mut to, mut stand_in) = (self.to.clone(), None);
        if let Some(path) = self.to_make() {
            if self.only_tells() {
                let folder = stand_in.insert(TempDir::new()?);
                to = Location::Path(folder.path().to_owned());
                niphas_gitops::init(folder.path(), branch)?;
            } else {
                niphas_gitops::init(path, branch)?;
            }
        }
        let repository = self.open(&to)?;
        Ok((repository, stand_in))
    }

    /// Where a repository is to be made.
    fn to_make(&self) -> Option<&Path> {
        match &self.to {
            Location::Path(path) if self.init && is_free(path) => Some(path),
            _ => None,
        }
    }

    /// Whether nothing is to be written.
    fn only_tells(&self) -> bool {
        self.dry_run || self.diff || self.check
    }

    fn open(&self, to: &Location) -> Result<GitOpsRepository, niphas_gitops::Error> {
        let access = Access {
            token: match (&self.git_token_file, &self.git_token_env) {
                (Some(file), _) => Some(Token::File(file.clone())),
                (None, Some(name)) => Some(Token::Environment(name.clone())),
                (None, None) => None,
            },
            ssh_key: self.git_ssh_key.clone(),
        };
        GitOpsRepository::open(to, self.branch.as_deref(), access)
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
            author: self.author.clone(),
            allow_empty: self.allow_empty,
            allow_unknown_source: self.allow_unknown_source,
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

    /// What is told of a branch that is as it should be, whatever was asked for.
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

/// Whether there is nothing at a path, or an empty folder.
fn is_free(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
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

fn parse_author(text: &str) -> Result<Author, String> {
    let parts = text.strip_suffix('>').and_then(|text| text.split_once('<'));
    match parts {
        Some((name, email)) if !name.trim().is_empty() && email.contains('@') => Ok(Author {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
        }),
        _ => Err("want \"NAME <ADDRESS>\"".to_owned()),
    }
}

/// Closures that are walked at the same time.
const CLOSURES_AT_ONCE: usize = 64;

type ClosuresOfEnvironment = BTreeMap<ClosureId, ClosureLines>;

/// Finds all closures in the caches; all that are missing are told at once.
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
                    let lines = closure.paths.iter().map(|path| ClosureLine {
                        path: path.info.path.clone(),
                        nar_hash: path.info.nar_hash,
                        nar_size: path.info.nar_size,
                    });
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
