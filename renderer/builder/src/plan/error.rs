//! Why there is no plan.

use nix_formats::StorePath;
use nix_formats::derivation::DerivationError;
use thiserror::Error;

use crate::UnreadDerivation;

/// There is no plan for what is wanted. Where Nix has a message, it is Nix's own, with `/nix/store/` left out of paths.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A derivation cannot be read.
    #[error(transparent)]
    Unread(#[from] UnreadDerivation),
    /// A derivation is none that can be built.
    #[error("derivation '{path}' is not valid")]
    Invalid {
        /// The derivation.
        path: StorePath,
        /// Why.
        #[source]
        source: DerivationError,
    },
    /// A derivation has no output of a name.
    #[error("derivation '{path}' does not have output '{output}'")]
    NoSuchOutput {
        /// The derivation.
        path: StorePath,
        /// The name.
        output: String,
    },
    /// A derivation needs outputs of derivations that are built first.
    #[error(
        "derivation '{0}' depends on outputs of a derivation that is itself built (dynamic derivations), which cannot be built yet"
    )]
    Dynamic(StorePath),
    /// What is pure would depend on what is not.
    #[error("pure derivation '{path}' depends on impure derivation '{input}'")]
    ImpureInput {
        /// The pure one.
        path: StorePath,
        /// The impure one.
        input: StorePath,
    },
    /// The inputs of a content-addressed derivation are not all known, and without them it has no name in build traces.
    #[error("derivation '{0}' is an input of a content-addressed derivation, and is not known")]
    UnknownInput(StorePath),
    /// Derivations need each other.
    #[error("derivation '{0}' depends on itself")]
    Cycle(StorePath),
}
