use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EnvironmentVariable, Port, Probes};

/// A further program in the pods of a workload. It sees the same files, volume claims and `/tmp` as the workload's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FurtherContainer {
    /// The program and its first arguments; its closure is at `/nix/roots/<name>`.
    #[schemars(length(min = 1, max = 1024), inner(length(max = 131_072)))]
    pub command: Vec<String>,
    /// Further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(max = 131_072)))]
    pub args: Vec<String>,
    /// Environment variables by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub env: BTreeMap<String, EnvironmentVariable>,
    /// Ports that the program listens on, by name. A Service has those that it gives a number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub ports: BTreeMap<String, Port>,
    /// When the program is alive, and ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Processor time and memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// `Always` makes an init container run on, as long as the pod does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Init containers start by this number, the lowest first, and by name; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub order: Option<i32>,
}

/// Whether an init container runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum RestartPolicy {
    Always,
}
