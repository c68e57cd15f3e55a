//! Which paths were found to satisfy which policy, so that signatures are checked once.

use std::sync::Mutex;

use binary_cache::PolicyId;
use hashbrown::{HashMap, HashSet};

use crate::layout::PackId;
use crate::store::lock;

/// Policies to remember. A node has a few: one for each set of keys that tenants configured.
const MAX_POLICIES: usize = 256;

/// Verdicts by policy. Only good ones are kept: what was found once is true of these bytes for ever.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<HashMap<PolicyId, HashSet<PackId>>>);

impl Verdicts {
    /// Whether the policy is known to take what is in a pack.
    pub(crate) fn is_taken(&self, policy: PolicyId, pack: PackId) -> bool {
        self.are_taken(policy, &[pack])
    }

    /// Whether the policy is known to take what is in all of these packs.
    pub(crate) fn are_taken(&self, policy: PolicyId, packs: &[PackId]) -> bool {
        lock(&self.0)
            .get(&policy)
            .is_some_and(|taken| packs.iter().all(|pack| taken.contains(pack)))
    }

    /// Remembers that it does.
    pub(crate) fn add(&self, policy: PolicyId, pack: PackId) {
        let mut verdicts = lock(&self.0);
        if verdicts.len() >= MAX_POLICIES && !verdicts.contains_key(&policy) {
            verdicts.clear();
        }
        verdicts.entry(policy).or_default().insert(pack);
    }

    /// Forgets a pack.
    pub(crate) fn forget(&self, pack: PackId) {
        for taken in lock(&self.0).values_mut() {
            taken.remove(&pack);
        }
    }
}
