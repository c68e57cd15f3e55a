//! What the service and the process that evaluates say to each other.

use std::path::PathBuf;
use std::time::Duration;

use niphas_environments::EnvironmentData;
use nix_flake::Attrs;
use serde::{Deserialize, Serialize};

/// The hidden command of the process that evaluates.
pub(crate) const COMMAND: &str = "evaluate";

/// What is evaluated: all that the process is given. It holds no login.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The flake: a commit, with the hash of its files.
    pub(crate) flake: Attrs,
    /// The environments; none for all.
    pub(crate) environments: Vec<String>,
    /// Where fetches were put.
    pub(crate) cache: PathBuf,
    /// What may be read of it: the trees of the flake and of its inputs.
    pub(crate) trees: Vec<PathBuf>,
    /// Where what an evaluation found may be kept for the next of the same source.
    pub(crate) answers: PathBuf,
    /// What the process may take.
    pub(crate) limits: Limits,
}

/// What an evaluation may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// Time by the clock; the processors' time may be four times as long.
    pub(crate) time: Duration,
    /// Open files.
    pub(crate) files: u64,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The environments.
    Evaluated(Vec<EnvironmentData>),
    /// The flake is not one that can be evaluated.
    Failed(String),
    /// The process could not be isolated, so nothing was evaluated.
    NotIsolated(String),
}
