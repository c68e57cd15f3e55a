//! What earlier runs found about a flake, and what this one finds.

use std::collections::HashMap;

use nix_flake::{EvaluationCache, Found};
use serde::{Deserialize, Serialize};

/// What earlier runs found, and what this one finds, by name.
pub(crate) struct Answers<'c> {
    cache: Option<&'c EvaluationCache>,
    /// The number of the evaluation that these are of.
    evaluation: usize,
    /// How much it has read.
    count: &'c dyn Fn() -> usize,
    /// By evaluation.
    found: Vec<Vec<Found>>,
}

/// What an evaluation had read at some time. What it found until then depends on no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    evaluation: usize,
    reads: usize,
}

impl<'c> Answers<'c> {
    /// What earlier runs found.
    pub(crate) fn known_in(cache: Option<&'c EvaluationCache>) -> Self {
        Self::of(cache, 0, &|| 0, 0)
    }

    /// The answers of one of several evaluations, which has read as much as `count` says.
    pub(crate) fn of(
        cache: Option<&'c EvaluationCache>,
        evaluation: usize,
        count: &'c dyn Fn() -> usize,
        evaluations: usize,
    ) -> Self {
        Self {
            cache,
            evaluation,
            count,
            found: (0..evaluations).map(|_| Vec::new()).collect(),
        }
    }

    /// What is known.
    pub(crate) fn known(&self, name: &str) -> Option<&[u8]> {
        self.cache?.answer(name)
    }

    /// What is known, or has been found in this run.
    pub(crate) fn data<'s>(&'s self) -> impl Fn(&str) -> Option<&'s [u8]> {
        let found: HashMap<&str, &[u8]> = self
            .found
            .iter()
            .flatten()
            .map(|found| (found.name.as_str(), found.data.as_slice()))
            .collect();
        move |name| self.known(name).or_else(|| found.get(name).copied())
    }

    /// Whether what it depends on has changed before: then it is best found last.
    pub(crate) fn has_changed(&self, name: &str) -> bool {
        self.cache.is_some_and(|cache| cache.has_changed(name))
    }

    /// What was evaluated up to now depends on what was read up to now: for [`Answers::add`].
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            evaluation: self.evaluation,
            reads: (self.count)(),
        }
    }

    /// This very evaluation made the mark.
    pub(crate) fn is_own(&self, mark: Mark) -> bool {
        mark.evaluation == self.evaluation
    }

    /// Adds what is known from now on, each evaluation's in the order of its marks.
    pub(crate) fn add(&mut self, name: String, mark: Mark, data: Vec<u8>) {
        let reads = mark.reads;
        self.found[mark.evaluation].push(Found { name, reads, data });
    }

    /// What is known, as plain data.
    pub(crate) fn decode<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(self.known(name)?).ok()
    }

    /// Adds plain data, unless it is known already.
    pub(crate) fn keep(&mut self, name: String, mark: Mark, data: &impl Serialize) {
        if self.known(&name).is_some() {
            return;
        }
        // Plain data is written without fail.
        if let Ok(data) = serde_json::to_vec(data) {
            self.add(name, mark, data);
        }
    }

    /// The flake's own tree, whose name in the store changes.
    pub(crate) fn root(&self) -> Option<&'c EvaluationCache> {
        self.cache
    }

    /// What was found, by evaluation.
    pub(crate) fn into_found(self) -> Vec<Vec<Found>> {
        self.found
    }
}
