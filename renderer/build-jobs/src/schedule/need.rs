//! What a run needs built, as a plan has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use nix_builder::plan::{Build, Plan};
use nix_formats::StorePath;
use nix_formats::derivation::DerivationKind;

use crate::job::system;

/// A derivation that a run needs built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The derivation.
    pub derivation: StorePath,
    /// What must be built before, by places in the run's list: all before its own.
    pub needs: Vec<usize>,
    /// Its system.
    pub system: Arc<str>,
    /// What it requires of machines.
    pub features: BTreeSet<String>,
    /// Whether it is not worth a pod.
    pub is_local: bool,
}

impl Need {
    /// What a plan has built, in its order.
    pub fn of_plan(plan: &Plan) -> Vec<Self> {
        plan.builds.iter().map(Self::of_build).collect()
    }

    fn of_build(build: &Build) -> Self {
        Self {
            derivation: build.path.clone(),
            needs: build.needs.clone(),
            system: system(build).into(),
            features: build.options.required_system_features.clone(),
            // What others would have to hear of first: what the paths of its outputs are.
            is_local: build.options.prefer_local_build && are_outputs_known(build),
        }
    }
}

fn are_outputs_known(build: &Build) -> bool {
    matches!(
        build.derivation.kind(),
        Ok(DerivationKind::InputAddressed | DerivationKind::FixedOutput)
    )
}
