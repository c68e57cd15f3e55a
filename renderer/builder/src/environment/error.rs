//! Why a builder cannot be started.

use nix_formats::derivation::DerivationError;
use thiserror::Error;

use crate::derivations::UnreadDerivation;
use crate::options::OptionsError;

/// Why a derivation gives no process. Where Nix has a message, it is Nix's own.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// The derivation itself is wrong.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    /// Its structured attributes are.
    #[error(transparent)]
    Attributes(#[from] OptionsError),
    /// It asks for the references of a path that it does not depend on.
    #[error(
        "cannot export references of path '{0}' because it is not in the input closure of the derivation"
    )]
    NotAnInput(String),
    /// It asks for the outputs of a derivation whose paths are known after building only.
    #[error("exportReferences on CA derivations is not yet implemented")]
    ContentAddressedGraph,
    /// A path of a graph is not there.
    #[error("path '{0}' is not valid")]
    NotValid(String),
    /// A path of a graph cannot be looked up.
    #[error("failed to look up path '{path}'")]
    PathInfo {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A derivation of a graph cannot be read.
    #[error(transparent)]
    UnreadDerivation(#[from] UnreadDerivation),
    /// The derivation is not resolved.
    #[error(
        "placeholder '{0}' of an input stands where a store path is needed: resolve the derivation first"
    )]
    Unresolved(String),
    /// No path to build an output at was given.
    #[error("output '{0}' has no scratch path")]
    NoScratchPath(String),
    /// A variable that no program can be given.
    #[error("environment variable '{0}' has a null byte in its name")]
    NulInName(String),
}
