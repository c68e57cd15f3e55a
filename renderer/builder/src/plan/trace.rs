//! What build traces know outputs by.

use std::collections::{HashMap, HashSet};
use std::fmt;

use nix_formats::derivation::DerivationError;
use nix_formats::{Hash, HashFormat, StoreDir, StorePath};

use super::PlanError;
use crate::Derivations;

/// An output of a derivation as build traces of Nix 2.34 name it: `sha256:<hex>!<output>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputId {
    /// The derivation, as [`Derivation::trace_hash`](nix_formats::Derivation::trace_hash) has it.
    pub hash: Hash,
    /// The output's name.
    pub output: String,
}

impl fmt::Display for OutputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.to_string(HashFormat::Base16, true);
        write!(f, "{hash}!{}", self.output)
    }
}

/// The hashes that were computed.
#[derive(Debug, Default)]
pub(super) struct Traces(HashMap<StorePath, nix_formats::derivation::TraceHash>);

impl Traces {
    /// What a derivation's outputs are known by. Its inputs are looked at first, however deep they are nested.
    pub(super) fn of(
        &mut self,
        path: &StorePath,
        derivations: &dyn Derivations,
        store_dir: &StoreDir,
    ) -> Result<Hash, PlanError> {
        let mut stack = vec![(path.clone(), false)];
        let mut opened = HashSet::new();
        while let Some((path, inputs_are_done)) = stack.pop() {
            let is_open = !inputs_are_done && !opened.insert(path.clone());
            if is_open || self.0.contains_key(&path) {
                continue;
            }
            let found = derivations.derivation(&path)?;
            let invalid = |source| PlanError::Invalid {
                path: store_dir.print(&path),
                source,
            };
            let unknown = || PlanError::UnknownInput(store_dir.print(&path));
            let derivation = found.ok_or_else(unknown)?;
            if !inputs_are_done {
                stack.push((path.clone(), true));
                let inputs = derivation.input_derivations.keys();
                let new = inputs.filter(|input| !self.0.contains_key(*input));
                stack.extend(new.map(|input| (input.clone(), false)));
                continue;
            }
            let hash = derivation.trace_hash(store_dir, |input| {
                let hash = self.0.get(input).map(|hash| hash.as_input);
                // Nothing is missing but in derivations that need each other.
                hash.ok_or(DerivationError::NoOutput)
            });
            self.0.insert(path.clone(), hash.map_err(invalid)?);
        }
        let done = self.0.get(path).map(|hash| hash.outputs);
        done.ok_or_else(|| PlanError::UnknownInput(store_dir.print(path)))
    }
}
