//! Derivations: what a `.drv` file says.
//!
//! The text form is an ATerm (`aterm`); what other derivations are identified
//! by when output paths are computed is the hash modulo (`modulo`).

mod aterm;
mod json;
mod modulo;
mod parse;
mod placeholder;

pub use modulo::{HashModulo, Instantiated, TraceHash};
pub use placeholder::{Placeholder, hash_placeholder};

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::content_address::{ContentAddress, ContentAddressError, ContentAddressMethod};
use crate::hash::{HashAlgorithm, HashError};
use crate::store_path::{StoreDir, StorePath, StorePathError, output_path_name};

/// The environment variable that structured attributes are written as.
pub const STRUCTURED_ATTRS_VARIABLE: &[u8] = b"__json";

/// A derivation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Derivation {
    /// The name, without `.drv`. Not in the text form: the path has it.
    pub name: String,
    /// The outputs by name.
    pub outputs: BTreeMap<String, DerivationOutput>,
    /// Sources: store paths that are there before the build.
    pub input_sources: BTreeSet<StorePath>,
    /// Derivations whose outputs are needed.
    pub input_derivations: BTreeMap<StorePath, InputOutputs>,
    /// The system, `x86_64-linux` and the like.
    pub platform: Vec<u8>,
    /// The program that builds.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment.
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Structured attributes: the JSON text of an object.
    pub structured_attrs: Option<String>,
}

/// How an output's path comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DerivationOutput {
    /// From the inputs.
    InputAddressed(StorePath),
    /// From contents that are known beforehand.
    FixedOutput(ContentAddress),
    /// From contents that the build makes.
    Floating {
        /// What is hashed.
        method: ContentAddressMethod,
        /// How.
        algorithm: HashAlgorithm,
    },
    /// From the inputs, once the inputs' own paths are known.
    Deferred,
    /// From contents, new with every build.
    Impure {
        /// What is hashed.
        method: ContentAddressMethod,
        /// How.
        algorithm: HashAlgorithm,
    },
}

impl DerivationOutput {
    /// The output's path if it is known without building.
    pub fn path(
        &self,
        store_dir: &StoreDir,
        derivation_name: &str,
        output: &str,
    ) -> Result<Option<StorePath>, StorePathError> {
        match self {
            Self::InputAddressed(path) => Ok(Some(path.clone())),
            Self::FixedOutput(ca) => {
                let name = output_path_name(derivation_name, output);
                store_dir
                    .make_fixed_output_path(&(*ca).into(), &name)
                    .map(Some)
            }
            Self::Floating { .. } | Self::Deferred | Self::Impure { .. } => Ok(None),
        }
    }
}

/// Outputs of an input derivation that are needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InputOutputs {
    /// Its own outputs.
    pub names: BTreeSet<String>,
    /// Outputs that are derivations themselves, and what is needed of those.
    pub dynamic: BTreeMap<String, InputOutputs>,
}

impl From<BTreeSet<String>> for InputOutputs {
    fn from(names: BTreeSet<String>) -> Self {
        Self {
            names,
            dynamic: BTreeMap::new(),
        }
    }
}

/// The kind of a derivation, which all its outputs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivationKind {
    /// Paths from inputs.
    InputAddressed,
    /// Paths from inputs that are not known yet.
    Deferred,
    /// One output with known contents.
    FixedOutput,
    /// Paths from contents.
    Floating,
    /// Paths from contents that are never reused.
    Impure,
}

/// What is wrong with a derivation. Where Nix has a message, it is Nix's own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DerivationError {
    /// Outputs of two kinds.
    #[error("can't mix derivation output types")]
    MixedOutputs,
    /// More than one fixed output.
    #[error("only one fixed output is allowed for now")]
    SeveralFixedOutputs,
    /// A fixed output by another name than `out`.
    #[error("single fixed output must be named \"out\"")]
    FixedOutputName,
    /// Floating outputs with different algorithms.
    #[error("all floating outputs must use the same hash algorithm")]
    MixedAlgorithms,
    /// No output at all.
    #[error("must have at least one output")]
    NoOutput,
    /// An input derivation has no such output.
    #[error("no hash for output '{output}' of derivation '{derivation}'")]
    NoSuchOutput {
        /// The output.
        output: String,
        /// The derivation that was to have it.
        derivation: StorePath,
    },
    /// The text is not a derivation.
    #[error("expected {expected} at byte {offset}")]
    Syntax {
        /// What was to come.
        expected: &'static str,
        /// Where, counted from 0.
        offset: usize,
    },
    /// A version of the format that is not known.
    #[error("Unknown derivation ATerm format version '{0}'")]
    UnknownVersion(String),
    /// A key stands there twice.
    #[error("'{0}' is given twice")]
    Duplicate(String),
    /// Dynamic outputs are nested beyond all reason.
    #[error("dynamic outputs are nested too deeply")]
    TooDeep,
    /// An input derivation of which nothing is needed.
    #[error("inputDrvs entry for '{0}' specifies no outputs")]
    NoInputOutputs(StorePath),
    /// A name that must be text is not UTF-8.
    #[error("'{0}' is not valid UTF-8")]
    NotUtf8(String),
    /// An output that must not name its path does.
    #[error("{0} derivation output should not specify output path")]
    UnexpectedPath(&'static str),
    /// A fixed output's path is not the one its hash gives.
    #[error(
        "derivation output '{output}' has path '{path}', which does not match its content address"
    )]
    WrongFixedPath {
        /// The output.
        output: String,
        /// The path it says.
        path: String,
    },
    /// The JSON form is not as it should be.
    #[error("invalid JSON for a derivation: {0}")]
    Json(String),
    /// The structured attributes are not JSON.
    #[error("cannot process __json attribute: {0}")]
    StructuredAttrs(String),
    /// The version of the JSON form is another one.
    #[error(
        "Unsupported derivation JSON format version {0}, only format version {JSON_VERSION} is currently supported."
    )]
    JsonVersion(u64),
    /// A store path in it.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// A hash in it.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A content address in it.
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
}

/// The version of the JSON form that is read and written: Nix 2.34's.
pub const JSON_VERSION: u64 = 4;

impl Derivation {
    /// The kind, checked to be the same for all outputs.
    pub fn kind(&self) -> Result<DerivationKind, DerivationError> {
        let mut kind = None;
        let mut floating = None;
        for (name, output) in &self.outputs {
            let this = match output {
                DerivationOutput::InputAddressed(_) => DerivationKind::InputAddressed,
                DerivationOutput::Deferred => DerivationKind::Deferred,
                DerivationOutput::FixedOutput(_) => DerivationKind::FixedOutput,
                DerivationOutput::Floating { .. } => DerivationKind::Floating,
                DerivationOutput::Impure { .. } => DerivationKind::Impure,
            };
            match kind {
                None => kind = Some(this),
                Some(kind) if kind != this => return Err(DerivationError::MixedOutputs),
                Some(DerivationKind::FixedOutput) => {
                    return Err(DerivationError::SeveralFixedOutputs);
                }
                Some(_) => {}
            }
            match output {
                DerivationOutput::FixedOutput(_) if name != "out" => {
                    return Err(DerivationError::FixedOutputName);
                }
                DerivationOutput::Floating { algorithm, .. }
                    if *floating.get_or_insert(*algorithm) != *algorithm =>
                {
                    return Err(DerivationError::MixedAlgorithms);
                }
                _ => {}
            }
        }
        kind.ok_or(DerivationError::NoOutput)
    }

    /// The store paths that the `.drv` file refers to.
    pub fn references(&self) -> BTreeSet<StorePath> {
        self.input_sources
            .iter()
            .chain(self.input_derivations.keys())
            .cloned()
            .collect()
    }

    /// The path of the `.drv` file with these contents, which
    /// [`Derivation::to_aterm`] gave.
    pub fn store_path(
        &self,
        store_dir: &StoreDir,
        aterm: &[u8],
    ) -> Result<StorePath, StorePathError> {
        store_dir.make_text_path(&format!("{}.drv", self.name), aterm, &self.references())
    }

    /// Whether an input is an output of a derivation that is itself built.
    pub fn has_dynamic_inputs(&self) -> bool {
        self.input_derivations
            .values()
            .any(|outputs| !outputs.dynamic.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structured_derivation_is_instantiated_as_nix_does() {
        let mut drv = Derivation {
            name: "x".to_owned(),
            outputs: ["out", "dev"]
                .map(|name| (name.to_owned(), DerivationOutput::Deferred))
                .into(),
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            args: vec![b"-c".to_vec(), b"a\nb\"\\\t\r$".to_vec()],
            structured_attrs: Some(
                r#"{"a":1.5,"b":[1,{"z":null}],"builder":"/bin/sh","name":"x","outputs":["out","dev"],"system":"x86_64-linux"}"#.to_owned(),
            ),
            ..Derivation::default()
        };
        let done = drv
            .instantiate(&StoreDir::default(), |_| Err(DerivationError::NoOutput))
            .unwrap();
        assert_eq!(
            done.path.base_name(),
            "34qi106x7c5vsdd39nmn8wp086l2w7ny-x.drv"
        );
        let read = Derivation::parse_aterm(&StoreDir::default(), "x", &done.aterm).unwrap();
        assert_eq!(read, drv);
    }
}
