//! `niphas flake check`

use std::collections::BTreeSet;
use std::process::ExitCode;

use niphas_environments::{Environments, Evaluation, EvaluationError, OpenedFlake, attribute};
use niphas_terminal::say;
use nix_evaluator::Evaluator;
use nix_evaluator::io::LocalIo;

use super::checks::Checks;
use crate::evaluation_args::{EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};

/// Check a flake's outputs and environments without building anything
///
/// The outputs that Nix knows are evaluated and have to be what `nix flake check` wants them to be; environments are checked
/// as `niphas render` checks them, without asking binary caches. Derivations in `checks` are evaluated, not built.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flake: a folder or a flake reference
    #[arg(value_name = "FLAKE", default_value = ".")]
    flake: String,
    /// Check the outputs for all systems, not for this one alone
    #[arg(long)]
    all_systems: bool,
    /// Report all that is wrong, not only what is found first
    #[arg(short, long)]
    keep_going: bool,
    /// Do not mention that derivations in `checks` are not built
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
}

/// What came of checking the outputs.
struct Outcome {
    has_failed: bool,
    has_environments: bool,
    derivations: usize,
    /// How many of them are in `checks`.
    unbuilt: usize,
    omitted: BTreeSet<String>,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let flake = self.flakes.open_whole(&self.flake, self.lock_file)?;
        let evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        let outcome = evaluation.run(&flake.fetcher, LocalIo::default(), |evaluator| {
            self.check_outputs(evaluator, &flake, &evaluation)
        })?;
        let mut has_failed = outcome.has_failed;
        let mut environments = 0;
        if outcome.has_environments {
            match check_environments(&flake, &evaluation) {
                Ok(count) => environments = count,
                Err(error) if self.keep_going => {
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
        if outcome.unbuilt > 0 && !self.no_build {
            tracing::warn!(
                "derivations in 'checks' were evaluated, not built: build them with 'nix flake check'"
            );
        }
        if has_failed {
            return Err(
                anyhow::anyhow!("some errors were encountered during the evaluation").into(),
            );
        }
        say!(
            "all checks passed: {} derivations and {environments} environments evaluated, nothing built",
            outcome.derivations
        );
        Ok(ExitCode::SUCCESS)
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
            self.keep_going,
        );
        let has_environments = checks.check(outputs)?;
        Ok(Outcome {
            has_failed: checks.has_failed,
            has_environments,
            derivations: checks.derivations,
            unbuilt: checks.unbuilt,
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
