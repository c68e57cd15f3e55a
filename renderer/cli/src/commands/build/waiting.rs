//! Which builds of a plan wait for which.

use std::collections::HashMap;

use nix_builder::plan::Plan;
use nix_formats::StorePath;

/// Who waits for a build.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    places: HashMap<StorePath, usize>,
    /// The builds that need each, by place.
    needed_by: Vec<Vec<usize>>,
}

impl Waiting {
    /// The builds of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut needed_by = vec![Vec::new(); plan.builds.len()];
        for (place, build) in plan.builds.iter().enumerate() {
            for &need in &build.needs {
                needed_by[need].push(place);
            }
        }
        let paths = plan.builds.iter().map(|build| build.path.clone());
        Self {
            places: paths.zip(0..).collect(),
            needed_by,
        }
    }

    /// Another derivation is built in the place of one.
    pub(super) fn replace(&mut self, derivation: &StorePath, resolved: &StorePath) {
        if let Some(&place) = self.places.get(derivation) {
            self.places.insert(resolved.clone(), place);
        }
    }

    /// How many builds cannot begin before this one has ended.
    pub(super) fn count(&self, derivation: &StorePath) -> usize {
        let Some(&place) = self.places.get(derivation) else {
            return 0;
        };
        let mut seen = vec![false; self.needed_by.len()];
        let (mut left, mut count) = (vec![place], 0);
        while let Some(place) = left.pop() {
            for &next in &self.needed_by[place] {
                if !std::mem::replace(&mut seen[next], true) {
                    count += 1;
                    left.push(next);
                }
            }
        }
        count
    }
}
