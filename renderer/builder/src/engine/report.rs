//! What came of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use niphas_store::{RealiseError, RealisedClosure};
use nix_formats::StorePath;
use thiserror::Error;

use super::{AskError, ExitStatus, Failure, FetchProgress, InputError};

/// What came of a request.
#[derive(Debug, Default)]
pub struct Report {
    /// The paths of outputs that were asked for, by derivation and name, as far as they are there.
    pub outputs: BTreeMap<StorePath, BTreeMap<String, StorePath>>,
    /// What was built, in the order in which it was done.
    pub built: Vec<Built>,
    /// What failed, in the order in which it did.
    pub failures: Vec<Arc<Failure>>,
    /// Those of what was asked for that are not there.
    pub failed: BTreeSet<StorePath>,
    /// What was fetched.
    pub fetched: FetchProgress,
    /// Keeps what was asked for in the store.
    pub held: Vec<Arc<RealisedClosure>>,
}

/// A derivation that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The derivation: the resolved one, where one was built in place of another.
    pub derivation: StorePath,
    /// The paths of its outputs, by name.
    pub outputs: BTreeMap<String, StorePath>,
    /// How long its builder took.
    pub duration: Duration,
}

impl Report {
    /// Whether all that was asked for is there.
    pub fn is_success(&self) -> bool {
        self.failures.is_empty()
    }

    /// The kinds of failures.
    pub fn status(&self) -> ExitStatus {
        ExitStatus::of(self.failures.iter().map(AsRef::as_ref))
    }
}

/// A request that nothing came of.
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is no plan for it.
    #[error(transparent)]
    Plan(#[from] AskError),
    /// Paths that are neither here nor in a cache, and that nothing builds.
    #[error("don't know how to build these paths:{}", list(.0))]
    Unknown(Vec<String>),
    /// What was asked for is there, and cannot be held.
    #[error("failed to keep what was asked for")]
    Hold(#[source] Box<InputError>),
    /// Paths that were asked for did not come.
    #[error("failed to fetch what was asked for")]
    Fetch(#[source] Arc<RealiseError>),
    /// The machine gives no descriptor by which builders are ended.
    #[error("failed to prepare the end of builders")]
    Cancel(#[source] std::io::Error),
    /// It was cancelled.
    #[error("the build was cancelled")]
    Cancelled,
}

fn list(paths: &[String]) -> String {
    paths.iter().map(|path| ["\n  ", path].concat()).collect()
}
