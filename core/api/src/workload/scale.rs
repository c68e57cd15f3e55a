//! How many pods run, and how they are replaced.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Up to all of something.
const PERCENT: &str = "^([0-9]|[1-9][0-9]|100)%$";

/// How pods are replaced when the workload changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.type == 'RollingUpdate' || (!has(self.maxSurge) && !has(self.maxUnavailable) && !has(self.partition))",
    "maxSurge, maxUnavailable and partition are for the type RollingUpdate",
))]
#[x_kube(validation = Rule::new(
    "!has(self.maxSurge) || !has(self.maxUnavailable) || !(self.maxSurge == 0 || self.maxSurge == '0%') || !(self.maxUnavailable == 0 || self.maxUnavailable == '0%')"
).message("maxSurge and maxUnavailable cannot both be 0: no pod could be replaced").field_path(".maxUnavailable"))]
pub struct Strategy {
    /// Which way.
    #[serde(default, rename = "type")]
    pub strategy_type: StrategyType,
    /// How many pods more than wanted there may be meanwhile: a number or percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[0-9]+%$", "minimum" = 0))]
    pub max_surge: Option<IntOrString>,
    /// How many pods fewer than wanted there may be meanwhile: a number or percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = PERCENT, "minimum" = 0))]
    pub max_unavailable: Option<IntOrString>,
    /// Of a StatefulSet: pods with numbers below it are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub partition: Option<i32>,
}

/// A way to replace pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum StrategyType {
    #[default]
    RollingUpdate,
    Recreate,
    OnDelete,
}

/// A HorizontalPodAutoscaler, which then decides on the number of pods in place of `replicas`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.minReplicas <= self.maxReplicas",
    "minReplicas is larger than maxReplicas",
))]
#[x_kube(validation = (
    "has(self.cpu) || has(self.memory) || (has(self.metrics) && size(self.metrics) > 0)",
    "autoscaling needs something to go by: cpu, memory or metrics",
))]
pub struct Autoscaling {
    /// The fewest pods.
    #[serde(default = "super::one")]
    #[schemars(range(min = 1))]
    pub min_replicas: i32,
    /// The most pods.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// The CPU time to aim at, in percent of what the pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cpu: Option<i32>,
    /// The memory to aim at, in percent of what the pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub memory: Option<i32>,
    /// Further metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// How fast it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// How many pods a drain of nodes must leave running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.minAvailable) != has(self.maxUnavailable)",
    "expected either minAvailable or maxUnavailable",
))]
pub struct DisruptionBudget {
    /// The number or percentage of pods that stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = PERCENT, "minimum" = 0))]
    pub min_available: Option<IntOrString>,
    /// The number or percentage of pods that may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = PERCENT, "minimum" = 0))]
    pub max_unavailable: Option<IntOrString>,
    /// Whether pods that run and are not ready may go whatever the budget says; `IfHealthyBudget` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_pod_eviction_policy: Option<UnhealthyPods>,
}

/// When pods that are not ready may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum UnhealthyPods {
    AlwaysAllow,
    IfHealthyBudget,
}
