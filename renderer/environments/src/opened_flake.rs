//! A flake that can be evaluated.

use nix_evaluator::{EvalError, Evaluator, Value};
use nix_flake::{
    Fetcher, FlakeError, FlakeRef, LockOptions, LockedFlake, Place, lock, read_flake_nix,
};

use crate::error::EvaluationError;
use crate::evaluation::Evaluation;
use crate::evaluators::CachedEvaluation;

/// A flake with its lock file, and what fetches its inputs.
#[derive(Debug)]
pub struct OpenedFlake {
    /// What the flake was fetched with.
    pub fetcher: Fetcher,
    /// The flake.
    pub locked: LockedFlake,
}

impl OpenedFlake {
    /// Fetches and locks a flake; its lock file is not written.
    pub fn open(
        fetcher: Fetcher,
        reference: &FlakeRef,
        options: &LockOptions,
    ) -> Result<Self, FlakeError> {
        let store_dir = &fetcher.settings().store_dir;
        let read = |place: &Place| read_flake_nix(place, store_dir);
        let locked = lock(&fetcher, &read, reference, options)?.unwritten();
        Ok(Self { fetcher, locked })
    }

    /// The flake's value: its outputs, and `inputs`, `sourceInfo` and the like. The evaluator is one of [`Evaluation::run`] with
    /// the flake's fetcher.
    pub fn value<'a>(&self, evaluator: &mut Evaluator<'a>) -> Result<Value<'a>, Box<EvalError>> {
        let store_dir = &self.fetcher.settings().store_dir;
        self.locked.evaluate(evaluator, store_dir)
    }

    /// What `work` makes of the flake's value, or made of it in an earlier run if it still counts. `about` names the work, and
    /// what it depends on beside the flake and the evaluation.
    pub fn answer(
        &self,
        evaluation: &Evaluation,
        about: &str,
        work: impl for<'a> FnOnce(&mut Evaluator<'a>, Value<'a>) -> Result<Vec<u8>, Box<EvalError>>,
    ) -> Result<Vec<u8>, EvaluationError> {
        /// There is one answer.
        const NAME: &str = "answer";
        let cached = CachedEvaluation::open(self, evaluation, about)?;
        if let Some(answer) = cached.answers().known(NAME) {
            let answer = answer.to_vec();
            cached.all_is_known();
            return Ok(answer);
        }
        cached.run(None, |evaluator, flake, answers| {
            let answer = work(evaluator, flake)?;
            answers.add(NAME.to_owned(), answers.mark(), answer.clone());
            Ok(answer)
        })
    }
}
