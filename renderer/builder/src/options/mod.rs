//! What a derivation asks of its builder and of those who run it, read from its environment or its structured attributes.

mod error;
mod machine;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use nix_formats::StorePath;
use nix_formats::derivation::DerivationKind;

pub use error::OptionsError;
pub use machine::{Machine, Refusal};
pub(crate) use read::structured;

/// Nix's derivation options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the outputs must hold to.
    pub output_checks: OutputChecks,
    /// Outputs (structured attributes only) whose references are not looked for.
    pub unsafe_discard_references: BTreeMap<String, bool>,
    /// Variables that are handed over in files.
    pub pass_as_file: BTreeSet<Vec<u8>>,
    /// Closures that the builder gets to see, by file name or, with structured attributes, by attribute.
    pub export_references_graph: BTreeMap<String, BTreeSet<GraphRoot>>,
    /// Build without a sandbox.
    pub no_chroot: bool,
    /// Paths of the machine that the builder needs.
    pub impure_host_deps: BTreeSet<Vec<u8>>,
    /// Variables that fixed-output and impure derivations take from their caller.
    pub impure_env_vars: BTreeSet<Vec<u8>>,
    /// What the machine must have. See [`Options::required_features`].
    pub required_system_features: BTreeSet<String>,
    /// Building is cheaper than sending the inputs to another machine.
    pub prefer_local_build: bool,
    /// Caches may have the outputs. See [`Options::substitutes_allowed`].
    pub allow_substitutes: bool,
    /// What Nix warns of.
    pub warnings: Vec<&'static str>,
}

/// What outputs must hold to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputChecks {
    /// Every output, the same.
    All(OutputCheck),
    /// Only those that are named, with structured attributes.
    ByOutput(BTreeMap<String, OutputCheck>),
}

impl OutputChecks {
    /// What an output must hold to.
    pub fn of(&self, output: &str) -> Option<&OutputCheck> {
        match self {
            Self::All(check) => Some(check),
            Self::ByOutput(checks) => checks.get(output),
        }
    }
}

/// What an output must hold to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputCheck {
    /// In its closure, the output itself does not count (without structured attributes).
    pub ignore_self_refs: bool,
    /// The largest NAR, in bytes.
    pub max_size: Option<u64>,
    /// The largest sum of NARs of its closure, in bytes.
    pub max_closure_size: Option<u64>,
    /// All that it may refer to.
    pub allowed_references: Option<BTreeSet<Reference>>,
    /// What it must not refer to.
    pub disallowed_references: BTreeSet<Reference>,
    /// All that its closure may have.
    pub allowed_requisites: Option<BTreeSet<Reference>>,
    /// What its closure must not have.
    pub disallowed_requisites: BTreeSet<Reference>,
}

/// What a check names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// An output of the derivation. It may have none of that name.
    Output(String),
    /// A store path.
    Path(StorePath),
    /// A placeholder of an output of an input, in derivations that are not resolved yet.
    Placeholder(String),
}

/// What a closure is asked of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GraphRoot {
    /// A store path.
    Path(StorePath),
    /// A placeholder of an output of an input, in derivations that are not resolved yet.
    Placeholder(String),
}

/// The feature of machines that can build content-addressed derivations.
pub const CA_DERIVATIONS: &str = "ca-derivations";

impl Options {
    /// What the machine must have to build a derivation of this kind.
    pub fn required_features(&self, kind: DerivationKind) -> BTreeSet<String> {
        let mut features = self.required_system_features.clone();
        if !matches!(
            kind,
            DerivationKind::InputAddressed | DerivationKind::FixedOutput
        ) {
            features.insert(CA_DERIVATIONS.to_owned());
        }
        features
    }

    /// Whether caches may have the outputs, given the setting `always-allow-substitutes`.
    pub fn substitutes_allowed(&self, always: bool) -> bool {
        always || self.allow_substitutes
    }

    /// Whether the builder gets 65,536 user ids, and is root among them.
    pub fn uses_uid_range(&self) -> bool {
        self.required_system_features.contains("uid-range")
    }
}
