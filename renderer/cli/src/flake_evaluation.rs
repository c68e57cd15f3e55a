//! How outputs of flakes are evaluated that a command line names.

use niphas_environments::Evaluation;

use crate::evaluation_args::{EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Installable, LockFileArgs};

/// Options of commands that evaluate outputs of flakes.
#[derive(Debug, clap::Args)]
pub(crate) struct FlakeEvaluationArgs {
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
}

impl FlakeEvaluationArgs {
    /// How to evaluate, pure unless that was loosened.
    pub(crate) fn evaluation(&self) -> Result<Evaluation, Failure> {
        self.evaluation.evaluation(self.purity.is_pure())
    }

    /// The options of evaluations.
    pub(crate) fn options(&self) -> &EvaluationArgs {
        &self.evaluation
    }

    /// How to evaluate files of this machine.
    pub(crate) fn impure_evaluation(&self) -> Result<Evaluation, Failure> {
        self.evaluation.evaluation(false)
    }

    /// The system, if one is named.
    pub(crate) fn system(&self) -> Option<&str> {
        self.evaluation.system()
    }

    /// The flake that a word names, and what of it.
    pub(crate) fn open(&self, installable: &str) -> Result<Installable, Failure> {
        self.flakes.open_with(installable, self.lock_file)
    }

    /// What fetches sources.
    pub(crate) fn fetcher(&self) -> Result<nix_flake::Fetcher, Failure> {
        self.flakes.fetcher()
    }
}
