//! Why there is no plan.

use nix_formats::derivation::DerivationError;
use thiserror::Error;

use crate::UnreadDerivation;
use crate::options::OptionsError;

/// There is no plan for a request. Where Nix has a message, it is Nix's own.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A derivation cannot be read.
    #[error(transparent)]
    Unread(#[from] UnreadDerivation),
    /// A derivation is none that can be built.
    #[error("derivation '{path}' is not valid")]
    Invalid {
        /// The derivation.
        path: String,
        /// Why.
        #[source]
        source: DerivationError,
    },
    /// What a derivation asks for cannot be understood. Nix prints this as a trace of the fault.
    #[error("while parsing derivation '{path}'")]
    Options {
        /// The derivation.
        path: String,
        /// The fault.
        #[source]
        source: OptionsError,
    },
    /// A derivation has no output of a name.
    #[error("derivation '{path}' does not have output '{output}'")]
    NoSuchOutput {
        /// The derivation.
        path: String,
        /// The name.
        output: String,
    },
    /// A derivation needs outputs of derivations that are built first.
    #[error(
        "derivation '{0}' depends on outputs of a derivation that is itself built (dynamic derivations), which cannot be built yet"
    )]
    Dynamic(String),
    /// What is pure would depend on what is not.
    #[error("pure derivation '{path}' depends on impure derivation '{input}'")]
    ImpureInput {
        /// The pure one.
        path: String,
        /// The impure one.
        input: String,
    },
    /// The inputs of a content-addressed derivation are not all known, and without them it has no name in build traces.
    #[error("derivation '{0}' is an input of a content-addressed derivation, and is not known")]
    UnknownInput(String),
    /// Derivations need each other.
    #[error("derivation '{0}' depends on itself")]
    Cycle(String),
}
