//! `NiphasWorkload`: what a workload runs, and how.

mod batch;
mod names;
mod network;
mod scale;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVarSource, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use batch::{ConcurrencyPolicy, CronJob, Job};
pub use names::{BadSystem, Root, System};
pub use network::{
    HttpRoute, Ingress, IngressHost, NetworkPolicy, ParentReference, Port, Protocol, Service,
    ServiceType,
};
pub use scale::{Autoscaling, DisruptionBudget, Strategy, StrategyType};

use crate::closure::ClosureDigest;
use crate::status::NiphasWorkloadStatus;

/// What a workload runs, and how. CI wrote it: nothing in the cluster evaluates or resolves anything.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "niphas.io",
    version = "v1alpha1",
    kind = "NiphasWorkload",
    namespaced,
    shortname = "nw",
    category = "niphas",
    doc = "A program from a Nix closure, and how it runs.",
    status = "NiphasWorkloadStatus",
    derive = "PartialEq",
    validation = (
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "metadata.name must be an RFC 1123 label: at most 63 lower-case letters, digits and '-'",
    ),
    validation = (
        "self.metadata.name.size() <= 52 || !(self.spec.kind in ['StatefulSet', 'Job', 'CronJob'])",
        "metadata.name has at most 52 characters for this kind: Kubernetes appends to it",
    ),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector",
    ),
    printcolumn(
        name = "Kind",
        type_ = "string",
        json_path = ".spec.kind",
        description = "What the workload runs as"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the workload runs as declared"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it does, or does not"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "Pods that are ready"
    ),
    printcolumn(
        name = "Systems",
        type_ = "string",
        json_path = ".spec.closures[*].system",
        description = "The systems that the workload has a closure for"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.service) || (has(self.ports) && size(self.ports) > 0)",
    "a service needs ports, and there are none",
))]
#[x_kube(validation = (
    "!has(self.service) || !has(self.service.ports) || (has(self.ports) && self.service.ports.all(name, name in self.ports))",
    "the service names a port that is not among the ports",
))]
#[x_kube(validation = (
    "!has(self.ingress) || has(self.service)",
    "an ingress needs a service",
))]
#[x_kube(validation = (
    "!has(self.httpRoute) || has(self.service)",
    "an httpRoute needs a service",
))]
#[x_kube(validation = (
    "!has(self.ingress) || !has(self.ports) || (has(self.ingress.port) ? self.ingress.port in self.ports : size(self.ports) == 1)",
    "the ingress must name one of the ports, as there are several",
))]
#[x_kube(validation = (
    "!has(self.httpRoute) || !has(self.ports) || (has(self.httpRoute.port) ? self.httpRoute.port in self.ports : size(self.ports) == 1)",
    "the httpRoute must name one of the ports, as there are several",
))]
#[x_kube(validation = (
    "self.replicas == 1 || self.kind in ['Deployment', 'StatefulSet']",
    "replicas are for the kinds Deployment and StatefulSet",
))]
#[x_kube(validation = (
    "!has(self.autoscaling) || self.kind in ['Deployment', 'StatefulSet']",
    "autoscaling is for the kinds Deployment and StatefulSet",
))]
#[x_kube(validation = (
    "!has(self.disruptionBudget) || self.kind in ['Deployment', 'StatefulSet']",
    "disruptionBudget is for the kinds Deployment and StatefulSet",
))]
#[x_kube(validation = (
    "!has(self.volumeClaims) || self.kind == 'StatefulSet'",
    "volumeClaims are for the kind StatefulSet",
))]
#[x_kube(validation = (
    "!has(self.job) || self.kind in ['Job', 'CronJob']",
    "job is for the kinds Job and CronJob",
))]
#[x_kube(validation = (
    "self.kind != 'Job' || !has(self.job) || !has(self.job.ttlSecondsAfterFinished)",
    "ttlSecondsAfterFinished is for the kind CronJob: a Job that removed itself would run again",
))]
#[x_kube(validation = (
    "has(self.cronJob) == (self.kind == 'CronJob')",
    "the kind CronJob needs cronJob with a schedule, and no other kind has it",
))]
#[x_kube(validation = (
    "!has(self.strategy) || self.kind in ['Deployment', 'StatefulSet', 'DaemonSet']",
    "strategy is for the kinds Deployment, StatefulSet and DaemonSet",
))]
#[x_kube(validation = (
    "!has(self.strategy) || (self.kind == 'Deployment' ? self.strategy.type != 'OnDelete' : self.strategy.type != 'Recreate')",
    "a Deployment has no strategy OnDelete, and only a Deployment has Recreate",
))]
#[x_kube(validation = (
    "!has(self.strategy) || !has(self.strategy.maxSurge) || self.kind != 'StatefulSet'",
    "a StatefulSet has no maxSurge",
))]
#[x_kube(validation = (
    "self.kind == oldSelf.kind",
    "kind cannot be changed: delete the workload, or give the new one another name",
))]
#[x_kube(validation = (
    "has(self.volumeClaims) == has(oldSelf.volumeClaims) && (!has(self.volumeClaims) || self.volumeClaims == oldSelf.volumeClaims)",
    "volumeClaims cannot be changed: Kubernetes keeps those of a StatefulSet",
))]
pub struct NiphasWorkloadSpec {
    /// What the workload runs as.
    #[serde(default)]
    pub kind: WorkloadKind,

    /// What runs: one closure for each system that nodes may have.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["system"]))]
    pub closures: Vec<Closure>,

    /// The program and its first arguments. `/nix/root` is the first root of the closure.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,

    /// Further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,

    /// Environment variables by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    #[x_kube(validation = (
        "self.all(name, name.matches('^[ -<>-~]+$'))",
        "names of environment variables are printable ASCII without '='",
    ))]
    pub env: BTreeMap<String, EnvironmentVariable>,

    /// Files by absolute path, mounted read-only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = (
        "self.all(path, path.matches('^(/[^/]+)+$') && !path.matches('/[.][.]?(/|$)'))",
        "paths of files are absolute, without empty, '.' and '..' parts",
    ))]
    #[x_kube(validation = (
        "self.all(path, !path.startsWith('/nix/'))",
        "files cannot lie in /nix: the closure is mounted there",
    ))]
    pub files: BTreeMap<String, WorkloadFile>,

    /// Ports that the program listens on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 15 && name.matches('^([a-z0-9]+-)*[a-z0-9]+$') && name.matches('[a-z]'))",
        "names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter",
    ))]
    pub ports: BTreeMap<String, Port>,

    /// How many pods run; with `autoscaling`, the autoscaler decides.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub replicas: i32,

    /// The compute resources that each pod requests, and its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// How Kubernetes sees whether the program is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,

    /// Makes the ports reachable under one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,

    /// Routes HTTP from outside of the cluster to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Routes HTTP from a Gateway to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,

    /// Restricts who may reach the pods, and what they may reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,

    /// Lets the load decide how many pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// How many pods a drain of nodes must leave running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,

    /// How pods are replaced when the workload changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// A ServiceAccount of the workload's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,

    /// Storage that stays with each pod of a StatefulSet, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 52 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
        "names of volume claims are RFC 1123 labels of at most 52 characters",
    ))]
    pub volume_claims: BTreeMap<String, VolumeClaim>,

    /// How the Job, or each Job of a CronJob, runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,

    /// When the CronJob runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_job: Option<CronJob>,

    /// Merged deeply over the pod template that the operator makes: a `PodTemplateSpec`, or parts of one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub pod_template: Map<String, Value>,
}

fn one() -> i32 {
    1
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// What a workload runs as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum WorkloadKind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

/// The closure to run on nodes of one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Closure {
    /// The system, as Nix names it.
    pub system: System,
    /// Store paths that the workload names: the program's first.
    #[schemars(length(min = 1, max = 64))]
    pub roots: Vec<Root>,
    /// SHA-256 over the lines `<storePath> <narHash> <narSize>` of all paths, sorted by path.
    pub digest: ClosureDigest,
    /// The NAR sizes of all paths together, in bytes.
    #[schemars(range(min = 0))]
    pub nar_size: u64,
    /// How many store paths there are.
    #[schemars(range(min = 1))]
    pub path_count: u64,
}

/// An environment variable's value, or where to get it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.value) != has(self.valueFrom)",
    "want either value or valueFrom",
))]
pub struct EnvironmentVariable {
    /// The value; `$(NAME)` stands for another variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// When it fails, the container is restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// While it fails, the pod gets no traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Until it succeeds, the other probes wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// A ServiceAccount of a workload's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// Its annotations, such as the roles of a cloud provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether the program gets a token for the API server.
    #[serde(default)]
    pub mount_token: bool,
}

/// Storage that stays with a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    /// Where the pod has it: an absolute path.
    #[x_kube(validation = (
        "self.matches('^(/[^/:]+)+$') && !self.startsWith('/nix/') && self != '/nix'",
        "storage is mounted at an absolute path, and not in /nix: the closure is mounted there",
    ))]
    #[schemars(length(max = 1024))]
    pub mount_path: String,
    /// How much.
    pub storage: Quantity,
    /// The StorageClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// How it may be mounted; ReadWriteOnce if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
}
