//! `niphas build`

mod evaluate;
mod push;
pub(crate) mod results;
mod run;
mod source_folder;
mod targets;
mod waiting;
mod watch;

use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use niphas_cache_args::CacheArgs;
use niphas_store::Store;
use niphas_terminal::print_line;
use nix_builder::engine::{Failure as Failed, Reason, Report};
use nix_builder::plan::Wanted;
use nix_formats::StoreDir;

use crate::build_options::{self, BuildOptions};
use crate::build_store::BuildStoreArgs;
use crate::failure::Failure;
use crate::imports::How;
use crate::json::JsonArgs;
use crate::out_links;
pub(crate) use evaluate::{Beginnings, GoalArgs, GoalEvaluationArgs, Goals};
pub(crate) use push::{Destination, PushArgs};
use results::Outcome;
pub(crate) use run::Run;
pub(crate) use watch::Watch;

/// Build derivations without Nix, in the sandbox that Nix has
///
/// What binary caches have is fetched; the rest is built here, and kept in a store of its own (see --store). All outputs are built
/// unless some are named: `.#hello^out,dev`.
///
/// Builders see their inputs at /nix/store, and nothing else of this machine; those whose outputs have fixed hashes have network.
/// Without root this takes user namespaces.
#[derive(Debug, clap::Args)]
#[command(
    args_override_self = true,
    after_long_help = "Examples:
  niphas build .#hello
  niphas build .#niphasConfigurations.production --no-link --push https://cache.example.org --sign-key cache.secret
  niphas build --file default.nix hello --dry-run
  niphas build ./derivations/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-hello.drv^out --print-out-paths
What result leads to is an export: files of the whole closure, as they would lie in /nix/store. Programs there find each other only
at /nix/store.
Exit codes: 0 everything is built; 1 something went wrong; 100 a build failed, 101 it took too long, 102 what was fetched or built
has another hash than asked for, 104 it gave something else than before (--check); 2 wrong usage."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of nix build")]
pub(crate) struct Args {
    #[command(flatten)]
    goals: GoalArgs,
    /// Print what would be built and fetched, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Link PATH to an export of what is built
    ///
    /// Further outputs and goals get links PATH-dev and PATH-1. An export is files: the whole closure, as it would lie in /nix/store.
    /// A link keeps what it leads to from being collected.
    #[arg(
        short,
        long,
        value_name = "PATH",
        default_value = "result",
        conflicts_with = "no_link"
    )]
    out_link: PathBuf,
    /// Make no links
    #[arg(long, alias = "no-out-link")]
    no_link: bool,
    /// Print the store paths of what was built
    #[arg(long)]
    print_out_paths: bool,
    /// Print derivations and their outputs as JSON
    ///
    /// A list with an object for each goal: `drvPath`, and for each of `outputs` its `path`, `narHash`, `narSize` and `references`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layout: JsonArgs,
    /// Build again what is there, and fail unless it is the same
    #[arg(long, alias = "rebuild")]
    check: bool,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    store: BuildStoreArgs,
    #[command(flatten)]
    caches: CacheArgs,
    #[command(flatten)]
    evaluation: GoalEvaluationArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let destination = self.push.destination(&self.caches)?;
        let has_shell = self.options.settings()?.shell.is_some();
        if !self.no_link && !self.dry_run {
            out_links::check(&self.out_link)?;
        }
        let how = How {
            store: &self.store,
            caches: &self.caches,
            options: &self.options,
        };
        let Goals { wanted, builds } = self.goals.goals(&self.evaluation, how)?;
        let run = builds.run()?;
        if self.dry_run {
            return self.dry_run(&run, &wanted);
        }
        let report = run.build(&wanted, self.check)?;
        let outcomes = results::of_report(&wanted, &report);
        if report.is_success() {
            if !self.no_link {
                let links = results::links(&self.out_link, &outcomes);
                results::make_links(run.store(), &links)?;
            }
            self.print(&outcomes, Some(run.store()));
        } else {
            tell_hints(&report, has_shell || run.told_of_shell());
        }
        if let Some(destination) = destination {
            run.push(&destination, &outcomes, &report)?;
        }
        run.finish(&report)
    }

    fn dry_run(&self, run: &Run, wanted: &[Wanted]) -> Result<ExitCode, Failure> {
        let plan = run.plan(wanted)?;
        // As Nix does, and with --quiet, too: it is what was asked for.
        let _ = stderr().write_all(plan.lines(&StoreDir::default()).as_bytes());
        self.print(&results::of_plan(wanted, &plan), None);
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, outcomes: &[Outcome], store: Option<&Store>) {
        if self.json {
            let json = results::json(outcomes, store).to_string();
            print_line(self.layout.lay_out(json.as_bytes()));
        } else if self.print_out_paths {
            for (_, path) in outcomes.iter().flat_map(Outcome::paths) {
                print_line(StoreDir::default().print(path));
            }
        }
    }
}

/// What can be done about builds that failed, beside what their messages say.
pub(crate) fn tell_hints(report: &Report, has_shell: bool) {
    let mut hints = Vec::new();
    let foreign = report
        .failures
        .iter()
        .find_map(|failure| match &failure.reason {
            Reason::Refused(refusal) => refusal.platform.as_ref(),
            _ => None,
        });
    if let Some((required, _)) = foreign {
        hints.push(format!(
            "builds for {required} need a machine of that system, or an emulator that binfmt_misc knows with the flag F (Debian and \
             Ubuntu: apt-get install qemu-user-static); or take them from a cache"
        ));
    }
    let is_of_builder = |failure: &Arc<Failed>| matches!(failure.reason, Reason::Builder { .. });
    if !has_shell && report.failures.iter().any(is_of_builder) {
        hints.push(build_options::shell_hint());
    }
    for hint in hints {
        let _ = stderr().write_all(format!("hint: {hint}\n").as_bytes());
    }
}
