//! What the cluster tells about a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::closure::ClosureDigest;
use crate::workload::System;

/// What the cluster tells about a workload; it follows kstatus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NiphasWorkloadStatus {
    /// The `metadata.generation` that this status is about; -1 before the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many pods there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How many pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// The label selector of the workload's pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The closures that were rolled out last, one for each system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["system"]))]
    #[schemars(length(max = 16))]
    pub closures: Vec<RunningClosure>,
    /// The closures that were rolled out before those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["system"]))]
    #[schemars(length(max = 16))]
    pub previous_closures: Vec<RunningClosure>,
    /// `Ready`, `Reconciling` and `Stalled`, as kstatus has them, and `ClosureDeclared`,
    /// `RolloutComplete` and `Mounted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A closure that nodes of one system run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningClosure {
    /// The system.
    pub system: System,
    /// The closure's digest.
    pub digest: ClosureDigest,
}
