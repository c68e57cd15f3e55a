//! What is wrong with what a derivation asks of its builder, in Nix's words.

use nix_formats::store_path::StorePathError;
use thiserror::Error;

use crate::json::JsonError;

/// An attribute that cannot be understood. Where Nix tells in which one, that is an error with the fault as its source: Nix
/// prints such a chain as a trace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// An attribute is wrong.
    #[error("while parsing attribute \"{name}\"")]
    Attribute {
        /// Its name.
        name: &'static str,
        /// The fault.
        #[source]
        source: Box<OptionsError>,
    },
    /// The check of an output is wrong.
    #[error("while parsing attribute 'outputChecks.\"{output}\".{name}'")]
    OutputCheck {
        /// The output.
        output: String,
        /// The check.
        name: &'static str,
        /// The fault.
        #[source]
        source: Box<OptionsError>,
    },
    /// What says whose references are not looked for is wrong.
    #[error("while parsing attribute 'unsafeDiscardReferences'")]
    DiscardReferences {
        /// The fault.
        #[source]
        source: Box<OptionsError>,
    },
    /// A value of another type.
    #[error("Expected JSON value to be of type '{expected}' but it is of type '{found}': {value}")]
    Type {
        /// The type that it should have.
        expected: &'static str,
        /// The type that it has.
        found: &'static str,
        /// The value.
        value: String,
    },
    /// A size that is no number.
    #[error("[json.exception.type_error.302] type must be number, but is {0}")]
    NotANumber(&'static str),
    /// A graph is asked for by something that is no path.
    #[error("'exportReferencesGraph' value is not an array or a string")]
    GraphValue,
    /// A file name without a path.
    #[error("odd number of tokens in 'exportReferencesGraph': '{0}'")]
    GraphTokens(String),
    /// A file name with strange characters.
    #[error("invalid file name '{0}' in 'exportReferencesGraph'")]
    GraphFileName(String),
    /// A store path that is none.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// The structured attributes are no JSON object.
    #[error("cannot process __json attribute: {0}")]
    Json(#[from] JsonError),
}
