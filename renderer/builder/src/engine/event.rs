//! What a run tells while it goes on.

use std::sync::Arc;
use std::time::Duration;

use nix_formats::StorePath;

use super::{Failure, Said};
use crate::plan::Plan;

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// What has to be done is known.
    Planned(Arc<Plan>),
    /// Something was fetched.
    Fetched(FetchProgress),
    /// A builder was started.
    Started {
        /// The derivation: the resolved one, where one is built in place of another.
        derivation: StorePath,
        /// Whether the outputs are there, and are compared.
        is_check: bool,
    },
    /// A builder wrote something.
    Said {
        /// The derivation.
        derivation: StorePath,
        /// What it said.
        said: Said,
    },
    /// A derivation was built.
    Built {
        /// The derivation.
        derivation: StorePath,
        /// How long its builder took.
        duration: Duration,
    },
    /// The inputs of a derivation are known, and another is built in its place.
    Resolved {
        /// The derivation.
        derivation: StorePath,
        /// The other.
        resolved: StorePath,
    },
    /// A derivation is not built. Those that need it follow.
    Failed(Arc<Failure>),
    /// The folder of a build that failed was kept.
    Kept {
        /// The derivation.
        derivation: StorePath,
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// Something that the user should know of.
    Warning(String),
}

/// How far the fetches of a run are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Paths that were fetched.
    pub paths: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
}
