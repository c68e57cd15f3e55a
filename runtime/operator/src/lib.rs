//! The plan of a reconciliation: which children of a workload to apply, to prune, and to leave alone.
//!
//! Pure, and all that there is so far: no controller runs it yet.

mod plan;

pub use plan::{Applied, ChildKey, Plan, fingerprint, is_controlled_by, plan};
