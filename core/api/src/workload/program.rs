//! What a container is given, and how Kubernetes sees whether it is well.

use k8s_openapi::api::core::v1::{EnvVarSource, Probe};
use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An environment variable's value, or where to get it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.value) != has(self.valueFrom)",
    "expected either value or valueFrom",
))]
#[x_kube(validation = Rule::new(
    "!has(self.valueFrom) || [has(self.valueFrom.configMapKeyRef), has(self.valueFrom.fieldRef), has(self.valueFrom.resourceFieldRef), has(self.valueFrom.secretKeyRef)].filter(given, given).size() == 1"
).message("expected one of configMapKeyRef, fieldRef, resourceFieldRef and secretKeyRef").field_path(".valueFrom"))]
pub struct EnvironmentVariable {
    /// The value; `$(NAME)` stands for another variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub value: Option<String>,
    /// Where Kubernetes gets the value from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// A file in the containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadFile {
    /// The file's content.
    #[schemars(length(max = 1_048_576))]
    pub text: String,
    /// The file's permissions, as octal digits.
    #[serde(default = "read_only")]
    #[schemars(regex(pattern = "^0?[0-7]{3}$"))]
    pub mode: String,
}

fn read_only() -> String {
    "0444".to_owned()
}

/// The probes of the workload's container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// When it fails, the container is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ONE_HANDLER)]
    #[x_kube(validation = succeeds_once())]
    pub liveness: Option<Probe>,
    /// While it fails, the pod gets no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ONE_HANDLER)]
    pub readiness: Option<Probe>,
    /// Until it succeeds, the other probes wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ONE_HANDLER)]
    #[x_kube(validation = succeeds_once())]
    pub startup: Option<Probe>,
}

const ONE_HANDLER: (&str, &str) = (
    "[has(self.exec), has(self.grpc), has(self.httpGet), has(self.tcpSocket)].filter(given, given).size() == 1",
    "a probe needs one of exec, grpc, httpGet and tcpSocket",
);

fn succeeds_once() -> Rule {
    Rule::new("!has(self.successThreshold) || self.successThreshold == 1")
        .message("only a readiness probe can have another successThreshold than 1")
        .field_path(".successThreshold")
}
