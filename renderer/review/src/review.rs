//! What a change of rendered files means: plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::package::PackageChange;

/// What changes in all environments of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// The names of all environments that were rendered, or that are removed.
    pub environments: BTreeSet<String>,
    /// The workloads whose files change, sorted by name, then by environment.
    pub workloads: Vec<WorkloadChange>,
    /// By system: the store paths in the changed closures that none of them had before. At most these are fetched.
    pub new_paths: BTreeMap<String, NewPaths>,
}

/// Store paths that come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPaths {
    /// How many.
    pub paths: u64,
    /// The sum of their NAR sizes in bytes.
    pub nar_size: u64,
}

/// What happens to a workload or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is there no more.
    Removed,
}

/// A workload of one environment whose files change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadChange {
    /// The workload's name.
    pub name: String,
    /// The environment's name.
    pub environment: String,
    /// What happens to it.
    pub change: ChangeKind,
    /// The name of the closure's first root before, as in `api-4.0.0`.
    pub program_before: Option<String>,
    /// The name of the closure's first root after.
    pub program_after: Option<String>,
    /// The closures that change, by system.
    pub closures: BTreeMap<String, ClosureChange>,
    /// What becomes of the pods.
    pub effect: Effect,
    /// Why, if something becomes of running pods.
    pub reasons: Vec<Reason>,
    /// Other objects that change, and the fields of the one with the pods that do not concern them.
    pub objects: Vec<ObjectChange>,
}

/// A closure for one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosureChange {
    /// Before; none if there was no such closure, or it cannot be read.
    pub before: Option<ClosureSize>,
    /// After; none if there is no such closure any more.
    pub after: Option<ClosureSize>,
    /// The packages that differ, sorted by name; none if there is a closure on one side only.
    pub packages: Vec<PackageChange>,
}

/// How large a closure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosureSize {
    /// The number of store paths.
    pub paths: u64,
    /// The sum of their NAR sizes in bytes.
    pub nar_size: u64,
}

/// What becomes of a workload's pods when the change is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// They run on.
    None,
    /// They start: the workload is new.
    Starts,
    /// They end: the workload is removed.
    Ends,
    /// They are replaced.
    Restarts,
    /// The Job runs again.
    RunsAgain,
    /// The CronJob's next run has the change.
    NextRun,
    /// What was there cannot be read.
    Unknown,
}

/// Why pods are replaced: a part of the pod template that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// `closure`, `files`, `kind`, or the name of a field of the pod or of a container, such as `env`.
    pub part: String,
    /// The container, if it is not the one with the workload's program.
    pub container: Option<String>,
    /// What differs in it, such as the names of variables; for `kind` the one before and the one after.
    pub names: Vec<String>,
}

/// An object that changes beside the pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// The object's kind.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// What happens to it.
    pub change: ChangeKind,
    /// The fields that differ if it changes; numbers with their values, as in `replicas 1 → 3`.
    pub fields: Vec<String>,
}

impl Review {
    /// Of a run that changes nothing in these environments.
    pub fn unchanged(environments: impl IntoIterator<Item = String>) -> Self {
        Self {
            environments: environments.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether no workload changes.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
    }
}
