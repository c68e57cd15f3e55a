//! `niphas render`

mod build;
mod documents;
mod patch;
mod report;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use binary_cache::Caches;
use niphas_api::BASE_IMAGE;
use niphas_cache_args::CacheArgs;
use niphas_environments::{
    BranchObjects, Closures, Environments, Evaluation, KnownEnvironments, LastRendering,
    OpenedFlake, Origin, RenderKey, ResolveError, render, resolve,
};
use niphas_gitops::{GitOpsRepository, Oid, Outcome, Provenance, Request, SigningKey};
use niphas_render::{CheckedEnvironment, Form, RenderedEnvironment};

use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{Installable, RenderedFlakeArgs};
use crate::progress::{Phases, Progress};
use crate::selection::SelectionArgs;
use build::BuildArgs;
use documents::{Output, ReportFile};
use report::{Branches, Mode, Report};
use repository::RepositoryArgs;

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
  niphas render . --to ../gitops --build --push https://cache.example.org --sign-key cache.secret
  niphas render github:example/shop --environment production --to git@github.com:example/gitops.git --diff
Exit codes: 0 done, or nothing to do; 1 something went wrong.
With --check or --diff: 0 nothing would change; 1 something would; 2 something went wrong.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Print the planned changes without committing
    #[arg(long, conflicts_with_all = ["diff", "check"])]
    dry_run: bool,
    /// Print the planned changes as a patch
    ///
    /// The exit code says whether there are any.
    #[arg(long, conflicts_with = "check")]
    diff: bool,
    /// Print the planned changes; the exit code says whether there are any
    ///
    /// Nothing is committed, as with --dry-run.
    #[arg(long)]
    check: bool,
    /// Print the patch of --diff without a pager
    ///
    /// On a terminal a patch goes through the pager that git would use: `GIT_PAGER`, core.pager, `PAGER`, or less.
    #[arg(long, hide_short_help = true)]
    no_pager: bool,
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
    output: Output,
    /// Write the result to a file, too: .md, .html or .json; repeatable
    #[arg(long, value_name = "FILE", value_parser = ReportFile::parse)]
    report: Vec<ReportFile>,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    builds: BuildArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    locking: RenderedFlakeArgs,
}

impl Args {
    /// The exit code of a run that failed.
    pub(crate) fn failure_code(&self) -> ExitCode {
        ExitCode::from(if self.diff || self.check { 2 } else { 1 })
    }

    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let caches = Arc::new(self.caches.open()?);
        let mut repository = self.repository.local()?;
        let signing_key = self.repository.signing_key()?;
        let progress = Progress::new();
        let mut phases = Phases::new();
        progress.say("fetching the flake");
        let (flake, selected) = self.open()?;
        phases.end("fetching");
        progress.say("evaluating");
        let mut evaluation = self.evaluation()?;
        let (options, caches_read) = (&self.evaluation, &self.caches);
        let builds = self.builds.prepare(caches_read, options, &mut evaluation)?;
        let last = self.last_rendering(&flake, &selected, &caches)?;
        let environments = Environments::open(&flake, &evaluation, &selected)?;
        if let Some(known) = environments.known()
            && let Some((repository, tip)) = self.unchanged_tip(&last, known, &mut repository)
        {
            let gone = if selected.is_empty() {
                Self::gone(&flake, repository, tip, &known.names)?
            } else {
                Vec::new()
            };
            if gone.is_empty() || !self.repository.prune_environments {
                phases.end("evaluation");
                progress.clear();
                let report = self.report(&known.names, None);
                report.unchanged(Branches::of(repository), tip, gone)?;
                return Ok(ExitCode::SUCCESS);
            }
        }
        let evaluated = environments.evaluate(&|step| progress.step(step))?;
        phases.end("evaluation");
        let asked = SystemTime::now();
        let of = (&flake, &selected[..]);
        let caches = builds.build(of, &evaluation, &evaluated, &caches, &progress)?;
        phases.end("builds");
        let closures = self.resolve(&caches, &evaluated.environments, &progress)?;
        phases.end("closures");
        let folder = &self.repository.dir;
        let files = render(&evaluated.environments, &closures, folder, &self.form())?;
        phases.end("files");
        let mode = self.mode();
        progress.say(if mode.only_reports() {
            "comparing with the repository"
        } else {
            "writing to the repository"
        });
        let (repository, _stand_in) = match repository {
            Some(repository) => (repository, None),
            None => self.repository.open_or_make(mode.only_reports())?,
        };
        let names: Vec<String> = files.keys().cloned().collect();
        let all = selected.is_empty().then(|| names.iter().cloned().collect());
        let origin = Origin::of(&flake)?;
        let key = signing_key.as_ref();
        let (code, commit) = self.write(&repository, origin, (files, all), key, &progress)?;
        if self.repository.create_branch.is_none()
            && let (Some(digest), Some(commit)) = (evaluated.digest, commit)
            && let Ok(objects) = BranchObjects::read(&repository, commit, folder, &names)
        {
            last.note(digest, asked, objects);
        }
        phases.end("repository");
        Ok(code)
    }

    /// The flake, and the names of the environments to render: none for all.
    fn open(&self) -> Result<(OpenedFlake, Vec<String>), Failure> {
        let Installable { flake, fragment } = self.locking.open(&self.selection.flake)?;
        let selected = self.selection.names(&fragment)?;
        Ok((flake, selected))
    }

    /// How the flake is evaluated.
    fn evaluation(&self) -> Result<Evaluation, Failure> {
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        Ok(evaluation)
    }

    /// What the files hold.
    fn form(&self) -> Form {
        if self.expand {
            Form::Expanded {
                base_image: self.base_image.clone(),
            }
        } else {
            Form::Workloads
        }
    }

    /// What is noted about runs with the same arguments.
    fn last_rendering(
        &self,
        flake: &OpenedFlake,
        selected: &[String],
        caches: &Caches,
    ) -> Result<LastRendering, Failure> {
        // Every option is named: a new one is in the key, or is seen not to be.
        let Self {
            selection: _,
            dry_run: _,
            diff: _,
            check: _,
            no_pager: _,
            expand,
            base_image,
            output: _,
            report: _,
            repository,
            caches: cache_args,
            // What is built is in the caches by then, as if it had been before.
            builds: _,
            // What the flake evaluates to is compared itself.
            purity: _,
            answers: _,
            evaluation: _,
            locking: _,
        } = self;
        let key = RenderKey {
            program: &nix_flake::program(),
            flake: &flake.locked.flake.resolved.expose(),
            repository: repository.key()?,
            environments: selected,
            base_image: expand.then_some(base_image),
            caches: &cache_args.urls(),
            trust: &caches.policy_id().to_string(),
        };
        let settings = flake.fetcher.settings();
        let (folder, counts_for) = (&settings.cache_dir, settings.ttl);
        Ok(LastRendering::new(folder, counts_for, &key))
    }

    /// The tip of the branch, if it still has in the environments' places what the last run left there, and they evaluate to
    /// the same as then. A repository that has to be opened for it is left in `repository`.
    fn unchanged_tip<'r>(
        &self,
        last: &LastRendering,
        known: &KnownEnvironments,
        repository: &'r mut Option<GitOpsRepository>,
    ) -> Option<(&'r GitOpsRepository, Oid)> {
        // Of a branch of its own it also counts where it was made from.
        if self.repository.create_branch.is_some() {
            return None;
        }
        let noted = last.objects(&known.digest)?;
        // Problems of the repository are reported when it is written to.
        if repository.is_none() {
            *repository = Some(self.repository.open(&self.repository.to).ok()?);
        }
        let repository = repository.as_ref()?;
        let tip = repository.tip().ok()??;
        let folder = &self.repository.dir;
        let objects = BranchObjects::read(repository, tip, folder, &known.names).ok()?;
        (objects == noted).then_some((repository, tip))
    }

    /// The environments that the branch has of the flake, and that are no longer among its own, `names`.
    fn gone(
        flake: &OpenedFlake,
        repository: &GitOpsRepository,
        tip: Oid,
        names: &BTreeSet<String>,
    ) -> Result<Vec<String>, Failure> {
        let there = repository.environments(tip)?;
        // Most repositories have no others, and whose they are takes a look into the flake's repository.
        if there.iter().all(|name| names.contains(name)) {
            return Ok(Vec::new());
        }
        Ok(repository.gone(tip, &Origin::of(flake)?.owner, names)?)
    }

    /// Finds the closures of all workloads in the caches.
    fn resolve(
        &self,
        caches: &Arc<Caches>,
        environments: &[CheckedEnvironment],
        progress: &Progress,
    ) -> Result<Closures, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let found = runtime.block_on(resolve(caches, environments, &|step| progress.step(step)));
        found.map_err(|error| match error {
            ResolveError::Unresolved(closures) => Failure::closures(&closures, &self.selection),
            error => error.into(),
        })
    }

    /// Writes the environments to the repository, or reports what would be written. With the exit code comes the commit that
    /// has them, if one does.
    fn write(
        &self,
        repository: &GitOpsRepository,
        origin: Origin,
        (environments, all_environments): (
            BTreeMap<String, RenderedEnvironment>,
            Option<BTreeSet<String>>,
        ),
        signing_key: Option<&SigningKey>,
        progress: &Progress,
    ) -> Result<(ExitCode, Option<Oid>), Failure> {
        let history = origin.history();
        let request = Request {
            environments,
            provenance: Provenance {
                owner: origin.owner,
                repository: origin.repository,
                revision: origin.revision,
                flake_lock: Some(origin.flake_lock),
                renderer: concat!("niphas ", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            history: &history,
            author: self.repository.author.clone(),
            subject: self.repository.message.clone(),
            signing_key,
            allow: self.repository.allowed(),
            all_environments,
            prune: self.repository.prune_environments,
        };
        let names = request.environments.keys().cloned().collect();
        let report = self.report(&names, Some(&request));
        let branches = Branches::of(repository);
        if report.mode.only_reports() {
            let plan = repository.plan(&request)?;
            progress.clear();
            let code = report.plan(branches, &plan)?;
            return Ok((code, plan.tip.filter(|_| plan.changes.is_empty())));
        }
        let outcome = repository.commit(&request)?;
        progress.clear();
        report.outcome(branches, &outcome)?;
        let tip = match outcome {
            Outcome::Unchanged { tip, .. } => tip,
            Outcome::NotNeeded { base, .. } => Some(base),
            Outcome::Committed { commit, .. } => Some(commit),
        };
        Ok((ExitCode::SUCCESS, tip))
    }

    /// How the result is reported.
    fn report<'a>(
        &'a self,
        environments: &'a BTreeSet<String>,
        rendered: Option<&'a Request<'a>>,
    ) -> Report<'a> {
        Report {
            output: self.output,
            files: &self.report,
            prunes: self.repository.prune_environments,
            uses_pager: !self.no_pager,
            mode: self.mode(),
            environments,
            rendered,
        }
    }

    /// What becomes of the files.
    fn mode(&self) -> Mode {
        if self.diff {
            Mode::Diff
        } else if self.check {
            Mode::Check
        } else if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Commit
        }
    }
}
