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
    /// Give what builds the environments, rather than the environments.
    pub(crate) graph: Option<GraphLimits>,
}

/// What a graph of derivations may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GraphLimits {
    /// Derivations, and sources.
    pub(crate) count: usize,
    /// Bytes of both.
    pub(crate) bytes: u64,
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
    /// What builds the environments follows: a [`Piece`] in a line of its own, and the bytes that it announces; at last
    /// [`Piece::End`].
    Graph,
    /// The flake is not one that can be evaluated.
    Failed(String),
    /// The process could not be isolated, so nothing was evaluated.
    NotIsolated(String),
}

/// Something that is needed to build.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    /// A derivation. Its text follows.
    Derivation {
        /// The base name of its path.
        path: String,
        /// The length of the text.
        size: u64,
    },
    /// What an evaluation adds to the store: a source or a text. Its NAR follows.
    Source {
        /// The base name of its path.
        path: String,
        /// The base names of what it refers to.
        references: Vec<String>,
        /// What its path is made of.
        content_address: String,
        /// The length of the NAR.
        size: u64,
    },
    /// There is nothing more.
    End,
}
