//! A derivation that the planner looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use nix_formats::derivation::DerivationKind;
use nix_formats::{Derivation, Hash, StoreDir, StorePath};

use super::PlanError;
use crate::options::Options;

/// A derivation that the planner looks at.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) derivation: Arc<Derivation>,
    pub(super) kind: DerivationKind,
    pub(super) options: Arc<Options>,
    /// The outputs that are wanted, and their paths as far as they are known.
    pub(super) wanted: BTreeMap<String, Option<StorePath>>,
    /// What build traces know its outputs by; none if their paths are known without building.
    pub(super) trace: Option<Hash>,
    /// Whether it is built. Once that is so it stays so.
    pub(super) is_built: bool,
}

impl Node {
    pub(super) fn new(
        path: &StorePath,
        derivation: Arc<Derivation>,
        store_dir: &StoreDir,
    ) -> Result<Self, PlanError> {
        let kind = derivation.kind().map_err(|source| PlanError::Invalid {
            path: store_dir.print(path),
            source,
        })?;
        let options = Options::of(&derivation, store_dir).map_err(|source| PlanError::Options {
            path: store_dir.print(path),
            source,
        })?;
        Ok(Self {
            kind,
            options: Arc::new(options),
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
