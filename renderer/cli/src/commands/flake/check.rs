//! `niphas flake check`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use niphas_cache_args::CacheArgs;
use niphas_environments::{Environments, Evaluation, EvaluationError, OpenedFlake, attribute};
use niphas_terminal::say;
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_evaluator::Evaluator;
use nix_evaluator::io::LocalIo;
use nix_formats::{StoreDir, StorePath};

use super::checks::Checks;
use crate::build_options::BuildOptions;
use crate::build_store::BuildStoreArgs;
use crate::commands::build::Beginnings;
use crate::evaluation_args::{EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};
use crate::imports::{How, ImportArgs, ImportBuilds, ImportDefault, record};

/// Check a flake's outputs and environments, and build its checks
///
/// The outputs that Nix knows are evaluated and have to be what `nix flake check` wants them to be; environments are checked
/// as `niphas render` checks them, without asking binary caches. Derivations in `checks` for this system are built as `niphas build`
/// builds them; what binary caches have of them is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flake: a folder or a flake reference
    #[arg(value_name = "FLAKE", default_value = ".")]
    flake: String,
    /// Check the outputs for all systems, not for this one alone
    #[arg(long)]
    all_systems: bool,
    /// Evaluate what is in `checks`, and do not build it
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
    #[command(flatten)]
    imports: ImportArgs,
    #[command(flatten)]
    options: BuildOptions,
    #[command(flatten)]
    store: BuildStoreArgs,
    #[command(flatten)]
    caches: CacheArgs,
}

/// What came of checking the outputs.
struct Outcome {
    has_failed: bool,
    has_environments: bool,
    derivations: usize,
    /// Those in `checks`, with their attributes.
    builds: BTreeMap<String, String>,
    omitted: BTreeSet<String>,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let flake = self.flakes.open_whole(&self.flake, self.lock_file)?;
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        let builds = self.equip(&mut evaluation);
        let mut outcome = evaluation.run(&flake.fetcher, LocalIo::default(), |evaluator| {
            self.check_outputs(evaluator, &flake, &evaluation)
        })?;
        let mut has_failed = outcome.has_failed;
        let mut environments = 0;
        if outcome.has_environments {
            match check_environments(&flake, &evaluation) {
                Ok(count) => environments = count,
                Err(error) if self.options.keep_going() => {
                    Failure::from(error).report();
                    has_failed = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !outcome.omitted.is_empty() {
            let systems: Vec<String> = outcome.omitted.into_iter().collect();
            tracing::warn!(
                "The check omitted these incompatible systems: {}\nUse '--all-systems' to check all.",
                systems.join(", ")
            );
        }
        let this_system = format!("checks.{}.", evaluation.settings.system);
        outcome
            .builds
            .retain(|_, path| path.starts_with(&this_system));
        let built = if self.no_build {
            "nothing".to_owned()
        } else {
            has_failed |= !self.build(&builds, &outcome.builds)?;
            match outcome.builds.len() {
                1 => "1 check".to_owned(),
                count => format!("{count} checks"),
            }
        };
        if has_failed {
            return Err(anyhow!("some errors were encountered during the evaluation").into());
        }
        say!(
            "all checks passed: {} derivations and {environments} environments evaluated, {built} built",
            outcome.derivations
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Lets the evaluation keep what it makes, and build what it imports.
    fn equip(&self, evaluation: &mut Evaluation) -> Arc<ImportBuilds> {
        let record = record();
        let how = How {
            store: &self.store,
            caches: &self.caches,
            options: &self.options,
        };
        let builds = ImportBuilds::of(Beginnings::of(&record), how);
        if self
            .imports
            .allows(ImportDefault::Allowed, &self.evaluation)
        {
            builds.equip(evaluation, &record, self.options.prints_logs());
        } else {
            evaluation.record = Some(record);
        }
        builds
    }

    /// Builds checks. Whether all succeed; without `--keep-going` the first that does not is the error.
    fn build(
        &self,
        builds: &ImportBuilds,
        checks: &BTreeMap<String, String>,
    ) -> Result<bool, Failure> {
        if checks.is_empty() {
            return Ok(true);
        }
        tracing::info!("running {} flake checks...", checks.len());
        let store_dir = StoreDir::default();
        let paths = checks.keys().map(|path| store_dir.parse(path));
        let paths = paths.collect::<Result<Vec<StorePath>, _>>()?;
        let wanted = paths.iter().map(|path| Wanted::Outputs {
            derivation: path.clone(),
            outputs: WantedOutputs::All,
        });
        let run = builds.run()?;
        let report = run.build(&wanted.collect::<Vec<_>>(), false)?;
        run.finish(&report)?;
        let checks = paths.iter().zip(checks.values());
        let failed: Vec<&str> = checks
            .filter(|(path, _)| report.failures.iter().any(|it| it.derivation == **path))
            .map(|(_, attribute)| attribute.as_str())
            .collect();
        if report.is_success() {
            return Ok(true);
        }
        let error = anyhow!("failed to build {}", failed.join(", "));
        if !self.options.keep_going() {
            return Err(error.into());
        }
        Failure::from(error).report();
        Ok(false)
    }

    fn check_outputs(
        &self,
        evaluator: &mut Evaluator<'_>,
        flake: &OpenedFlake,
        evaluation: &Evaluation,
    ) -> nix_evaluator::Result<Outcome> {
        let value = flake.value(evaluator)?;
        let outputs = attribute(evaluator, value, "outputs")?.unwrap_or(value);
        let system = &evaluation.settings.system;
        let mut checks = Checks::new(
            evaluator,
            (!self.all_systems).then_some(system),
            self.options.keep_going(),
        );
        let has_environments = checks.check(outputs)?;
        Ok(Outcome {
            has_failed: checks.has_failed,
            has_environments,
            derivations: checks.derivations,
            builds: checks.builds,
            omitted: checks.omitted,
        })
    }
}

/// Evaluates and checks all environments; how many there are.
fn check_environments(
    flake: &OpenedFlake,
    evaluation: &Evaluation,
) -> Result<usize, EvaluationError> {
    let environments = Environments::open(flake, evaluation, &[])?;
    let evaluated = environments.evaluate(&|_| ())?;
    Ok(evaluated.environments.len())
}
