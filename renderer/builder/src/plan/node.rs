//! A derivation that the planner looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, Hash, StorePath};

use super::PlanError;

/// A derivation that the planner looks at.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) derivation: Arc<Derivation>,
    pub(super) kind: DerivationKind,
    /// Whether caches may stand in for building it.
    pub(super) may_substitute: bool,
    /// `requiredSystemFeatures`
    pub(super) features: Vec<String>,
    /// The outputs that are wanted, and their paths as far as they are known.
    pub(super) wanted: BTreeMap<String, Option<StorePath>>,
    /// What build traces know its outputs by; none if their paths are known without building.
    pub(super) trace: Option<Hash>,
    /// Whether it is built. Once that is so it stays so.
    pub(super) is_built: bool,
}

impl Node {
    pub(super) fn new(path: &StorePath, derivation: Arc<Derivation>) -> Result<Self, PlanError> {
        let kind = derivation.kind().map_err(|source| PlanError::Invalid {
            path: path.clone(),
            source,
        })?;
        let asked = Asked::of(&derivation);
        Ok(Self {
            kind,
            may_substitute: asked.allow_substitutes,
            features: asked.features,
            derivation,
            wanted: BTreeMap::new(),
            trace: None,
            is_built: false,
        })
    }

    /// Whether outputs have paths only once they are built.
    pub(super) fn has_unknown_paths(&self) -> bool {
        matches!(
            self.kind,
            DerivationKind::Deferred | DerivationKind::Floating | DerivationKind::Impure
        )
    }
}

/// What a derivation's attributes say that matters to a plan.
struct Asked {
    allow_substitutes: bool,
    features: Vec<String>,
}

impl Asked {
    fn of(derivation: &Derivation) -> Self {
        if let Some(json) = &derivation.structured_attrs {
            let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
            let features = json["requiredSystemFeatures"].as_array();
            let features = features.into_iter().flatten().filter_map(|it| it.as_str());
            return Self {
                allow_substitutes: json["allowSubstitutes"].as_bool().unwrap_or(true),
                features: features.map(str::to_owned).collect(),
            };
        }
        let variable = |name: &str| derivation.env.get(name.as_bytes());
        let features = variable("requiredSystemFeatures").map_or(&[][..], Vec::as_slice);
        let features = String::from_utf8_lossy(features);
        Self {
            allow_substitutes: variable("allowSubstitutes").is_none_or(|value| value == b"1"),
            features: features.split_whitespace().map(str::to_owned).collect(),
        }
    }
}
