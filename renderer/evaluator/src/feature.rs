//! Experimental features: parts of the language that are off unless asked for.

use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};

/// An experimental feature that changes what an evaluation accepts. Those of flakes and of the `nix` command are always
/// on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Hashing with BLAKE3.
    Blake3Hashes,
    /// Derivations whose outputs are named by their contents.
    CaDerivations,
    /// Derivations that make derivations.
    DynamicDerivations,
    /// Hashing as git does.
    GitHashing,
    /// Derivations that are built again every time.
    ImpureDerivations,
    /// Dates and times in TOML.
    ParseTomlTimestamps,
    /// `|>` and `<|`.
    PipeOperators,
    /// Checking the signatures of commits.
    VerifiedFetches,
}

impl Feature {
    const ALL: [Self; 8] = [
        Self::Blake3Hashes,
        Self::CaDerivations,
        Self::DynamicDerivations,
        Self::GitHashing,
        Self::ImpureDerivations,
        Self::ParseTomlTimestamps,
        Self::PipeOperators,
        Self::VerifiedFetches,
    ];

    /// The name in `experimental-features`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blake3Hashes => "blake3-hashes",
            Self::CaDerivations => "ca-derivations",
            Self::DynamicDerivations => "dynamic-derivations",
            Self::GitHashing => "git-hashing",
            Self::ImpureDerivations => "impure-derivations",
            Self::ParseTomlTimestamps => "parse-toml-timestamps",
            Self::PipeOperators => "pipe-operators",
            Self::VerifiedFetches => "verified-fetches",
        }
    }

    /// The feature of that name, if it is one that an evaluation knows of.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

impl Evaluator<'_> {
    /// An error unless `feature` is on.
    pub(crate) fn require(&self, feature: Feature) -> Result<()> {
        self.require_for(feature, "")
    }

    /// [`Evaluator::require`]; the message names what needs the feature.
    pub(crate) fn require_for(&self, feature: Feature, what: &str) -> Result<()> {
        if self.settings.features.contains(&feature) {
            return Ok(());
        }
        let name = feature.name();
        let what = if what.is_empty() {
            String::new()
        } else {
            format!(" ({what})")
        };
        let message = format!(
            "experimental Nix feature '{name}' is disabled{what}; add '--extra-experimental-features {name}' to enable it"
        );
        Err(EvalError::new(ErrorKind::Eval, message))
    }
}
