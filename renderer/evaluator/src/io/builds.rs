//! Import from derivation: outputs that are built, or fetched from a cache, while evaluating.

use std::io;

use super::Files;

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedOutput {
    /// The path of its `.drv` file, in full.
    pub drv_path: String,
    /// The output's name.
    pub output: String,
}

/// Builds what evaluations import. Evaluators on several threads ask at the same time.
pub trait Builds: Send + Sync {
    /// Builds outputs, or fetches them, and gives the path of each, in full. From then on the files of these paths, and of all that they
    /// refer to, can be read as [`Outputs`]. What the embedding program could not build is a [`BuildFailure`].
    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Vec<String>>;
}

/// The files of outputs that were built, or fetched, for evaluations. All paths are in full.
pub trait Outputs: Files + Send + Sync {
    /// A path is in such an output, or in something that one refers to.
    fn holds(&self, path: &[u8]) -> bool;

    /// What the store path refers to that a path is in; none if it is in no such output.
    fn references(&self, path: &[u8]) -> Option<Vec<String>>;
}

/// The inner error of a build that failed: the message and the exit status are Nix's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildFailure {
    /// What failed.
    pub message: String,
    /// The status that Nix's programs exit with, such as 100.
    pub status: u8,
}
