//! `NiphasWorkload`: what a workload runs, and how.

mod batch;
mod containers;
mod controllers;
mod names;
mod network;
mod program;
mod routes;
mod scale;
mod service_account;
mod storage;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use batch::{CompletionMode, ConcurrencyPolicy, CronJob, Job, PodReplacement};
pub use containers::{FurtherContainer, RestartPolicy};
pub use controllers::{
    ClaimRetention, DaemonSetFields, DeploymentFields, PodManagement, Retention, StatefulSetFields,
};
pub(crate) use names::SUBDOMAIN;
use names::{ANNOTATION_KEYS, LABEL_KEYS, label_values};
pub use names::{BadSystem, Root, System};
pub use network::{
    ClusterIp, IpFamily, IpFamilyPolicy, NetworkPolicy, Port, Protocol, Service, ServiceType,
    SessionAffinity, TrafficPolicy,
};
pub use program::{EnvironmentVariable, Probes, WorkloadFile};
pub use routes::{
    GrpcRoute, HttpRoute, Ingress, IngressHost, IngressPath, ParentReference, PathType,
};
pub use scale::{Autoscaling, DisruptionBudget, Strategy, StrategyType, UnhealthyPods};
pub use service_account::ServiceAccount;
pub use storage::{AccessMode, VolumeClaim, VolumeMode};

use crate::closure::ClosureDigest;
use crate::status::NiphasWorkloadStatus;
use crate::view_name::ViewName;

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
        "!self.metadata.name.matches('^[0-9]') || !(has(self.spec.service) || self.spec.kind == 'StatefulSet')",
        "metadata.name begins with a letter where there is a Service: it is also the Service's name",
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "The same in a sentence",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.service) || (has(self.ports) && size(self.ports) > 0)"
).message("a service needs ports, and there are none").field_path(".service"))]
#[x_kube(validation = Rule::new(
    "!has(self.service) || !has(self.service.ports) || self.service.ports.all(name, (has(self.ports) && name in self.ports) || (has(self.containers) && self.containers.exists(other, has(self.containers[other].ports) && name in self.containers[other].ports)) || (has(self.initContainers) && self.initContainers.exists(other, has(self.initContainers[other].ports) && name in self.initContainers[other].ports)))"
).message("the service names a port that is not among the ports").field_path(".service.ports"))]
#[x_kube(validation = Rule::new(
    "!has(self.containers) || !has(self.initContainers) || self.containers.all(name, !(name in self.initContainers))"
).message("a container and an init container have the same name").field_path(".containers"))]
#[x_kube(validation = Rule::new(
    "!has(self.ingress) || has(self.service)"
).message("an ingress needs a service").field_path(".ingress"))]
#[x_kube(validation = Rule::new(
    "!has(self.httpRoute) || has(self.service)"
).message("an httpRoute needs a service").field_path(".httpRoute"))]
#[x_kube(validation = Rule::new(
    "!has(self.ingress) || !has(self.ports) || (has(self.ingress.port) ? self.ingress.port in self.ports : size(self.ports) == 1)"
).message("the ingress must name one of the ports, as there are several").field_path(".ingress.port"))]
#[x_kube(validation = Rule::new(
    "!has(self.httpRoute) || !has(self.ports) || (has(self.httpRoute.port) ? self.httpRoute.port in self.ports : size(self.ports) == 1)"
).message("the httpRoute must name one of the ports, as there are several").field_path(".httpRoute.port"))]
#[x_kube(validation = Rule::new(
    "self.replicas == 1 || self.kind in ['Deployment', 'StatefulSet']"
).message("replicas are for the kinds Deployment and StatefulSet").field_path(".replicas"))]
#[x_kube(validation = Rule::new(
    "!has(self.autoscaling) || self.kind in ['Deployment', 'StatefulSet']"
).message("autoscaling is for the kinds Deployment and StatefulSet").field_path(".autoscaling"))]
#[x_kube(validation = Rule::new(
    "!has(self.disruptionBudget) || self.kind in ['Deployment', 'StatefulSet']"
).message("disruptionBudget is for the kinds Deployment and StatefulSet").field_path(".disruptionBudget"))]
#[x_kube(validation = Rule::new(
    "!has(self.volumeClaims) || self.kind != 'StatefulSet' || self.volumeClaims.all(name, !has(self.volumeClaims[name].claimName))"
).message("each pod of a StatefulSet has claims of its own: it has no claimName").field_path(".volumeClaims"))]
#[x_kube(validation = Rule::new(
    "!has(self.deployment) || self.kind == 'Deployment'"
).message("deployment is for the kind Deployment").field_path(".deployment"))]
#[x_kube(validation = Rule::new(
    "!has(self.statefulSet) || self.kind == 'StatefulSet'"
).message("statefulSet is for the kind StatefulSet").field_path(".statefulSet"))]
#[x_kube(validation = Rule::new(
    "!has(self.daemonSet) || self.kind == 'DaemonSet'"
).message("daemonSet is for the kind DaemonSet").field_path(".daemonSet"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || !has(self.strategy.partition) || self.kind == 'StatefulSet'"
).message("partition is for the kind StatefulSet").field_path(".strategy.partition"))]
#[x_kube(validation = Rule::new(
    "!has(self.services) || (has(self.ports) && size(self.ports) > 0)"
).message("a service needs ports, and there are none").field_path(".services"))]
#[x_kube(validation = Rule::new(
    "!has(self.ingresses) || has(self.service)"
).message("an ingress needs a service").field_path(".ingresses"))]
#[x_kube(validation = Rule::new(
    "!has(self.httpRoutes) || has(self.service)"
).message("an httpRoute needs a service").field_path(".httpRoutes"))]
#[x_kube(validation = Rule::new(
    "(!has(self.grpcRoute) && !has(self.grpcRoutes)) || has(self.service)"
).message("a grpcRoute needs a service").field_path(".grpcRoute"))]
#[x_kube(validation = Rule::new(
    "!has(self.job) || self.kind in ['Job', 'CronJob']"
).message("job is for the kinds Job and CronJob").field_path(".job"))]
#[x_kube(validation = Rule::new(
    "self.kind != 'Job' || !has(self.job) || !has(self.job.ttlSecondsAfterFinished)"
).message("ttlSecondsAfterFinished is for the kind CronJob: a Job that removed itself would run again").field_path(".job.ttlSecondsAfterFinished"))]
#[x_kube(validation = Rule::new(
    "has(self.cronJob) == (self.kind == 'CronJob')"
).message("the kind CronJob needs cronJob with a schedule, and no other kind has it").field_path(".cronJob"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || self.kind in ['Deployment', 'StatefulSet', 'DaemonSet']"
).message("strategy is for the kinds Deployment, StatefulSet and DaemonSet").field_path(".strategy"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || (self.kind == 'Deployment' ? self.strategy.type != 'OnDelete' : self.strategy.type != 'Recreate')"
).message("a Deployment has no strategy OnDelete, and only a Deployment has Recreate").field_path(".strategy.type"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || !has(self.strategy.maxSurge) || self.kind != 'StatefulSet'"
).message("a StatefulSet has no maxSurge").field_path(".strategy.maxSurge"))]
#[x_kube(validation = Rule::new(
    "!has(self.service) || !has(self.ports) || self.ports.all(a, self.ports.all(b, a == b || self.ports[a].protocol != self.ports[b].protocol || (has(self.service.ports) && a in self.service.ports ? self.service.ports[a] : self.ports[a].port) != (has(self.service.ports) && b in self.service.ports ? self.service.ports[b] : self.ports[b].port)))"
).message("two ports have the same number on the service").field_path(".service.ports"))]
#[x_kube(validation = Rule::new(
    "has(self.podTemplate) || !has(self.probes) || !has(self.probes.liveness) || [has(self.probes.liveness.httpGet) ? self.probes.liveness.httpGet.port : has(self.probes.liveness.tcpSocket) ? self.probes.liveness.tcpSocket.port : 0].all(port, type(port) != string || (has(self.ports) && port in self.ports))"
).message("the probe names a port that is not among the ports").field_path(".probes.liveness"))]
#[x_kube(validation = Rule::new(
    "has(self.podTemplate) || !has(self.probes) || !has(self.probes.readiness) || [has(self.probes.readiness.httpGet) ? self.probes.readiness.httpGet.port : has(self.probes.readiness.tcpSocket) ? self.probes.readiness.tcpSocket.port : 0].all(port, type(port) != string || (has(self.ports) && port in self.ports))"
).message("the probe names a port that is not among the ports").field_path(".probes.readiness"))]
#[x_kube(validation = Rule::new(
    "has(self.podTemplate) || !has(self.probes) || !has(self.probes.startup) || [has(self.probes.startup.httpGet) ? self.probes.startup.httpGet.port : has(self.probes.startup.tcpSocket) ? self.probes.startup.tcpSocket.port : 0].all(port, type(port) != string || (has(self.ports) && port in self.ports))"
).message("the probe names a port that is not among the ports").field_path(".probes.startup"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || !has(self.strategy.maxUnavailable) || has(self.strategy.maxSurge) || self.kind == 'Deployment' || (self.strategy.maxUnavailable != 0 && self.strategy.maxUnavailable != '0%')"
).message("without maxSurge, maxUnavailable cannot be 0: no pod could be replaced").field_path(".strategy.maxUnavailable"))]
#[x_kube(validation = Rule::new(
    "!has(self.strategy) || self.kind != 'DaemonSet' || !has(self.strategy.maxSurge) || self.strategy.maxSurge == 0 || self.strategy.maxSurge == '0%' || (has(self.strategy.maxUnavailable) && (self.strategy.maxUnavailable == 0 || self.strategy.maxUnavailable == '0%'))"
).message("a DaemonSet with maxSurge needs maxUnavailable 0").field_path(".strategy.maxUnavailable"))]
#[x_kube(validation = Rule::new(
    "!has(self.volumeClaims) || !has(self.files) || self.volumeClaims.all(name, !(self.volumeClaims[name].mountPath in self.files))"
).message("a volume claim is mounted where a file is").field_path(".volumeClaims"))]
#[x_kube(validation = Rule::new(
    "self.kind == oldSelf.kind"
).message("kind cannot be changed: delete the workload, or give the new one another name").field_path(".kind"))]
#[x_kube(validation = Rule::new(
    "self.kind != 'StatefulSet' || has(self.volumeClaims) == has(oldSelf.volumeClaims) && (!has(self.volumeClaims) || self.volumeClaims == oldSelf.volumeClaims)"
).message("volumeClaims cannot be changed: Kubernetes keeps those of a StatefulSet").field_path(".volumeClaims"))]
pub struct NiphasWorkloadSpec {
    /// What the workload runs as.
    #[serde(default)]
    pub kind: WorkloadKind,

    /// What runs: one closure for each system that nodes may have.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["system"]))]
    pub closures: Vec<Closure>,

    /// The program and its first arguments. `/nix/root` is the first root of the closure.
    #[schemars(length(min = 1, max = 1024), inner(length(max = 131_072)))]
    #[x_kube(validation = (
        "size(self) == 0 || self[0] != ''",
        "the first element is the program, and cannot be empty",
    ))]
    pub command: Vec<String>,

    /// Further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(length(max = 131_072)))]
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
        "self.all(path, path.matches('^(/[^/:]+)+$') && !path.matches('/[.][.]?(/|$)'))",
        "paths of files are absolute, without ':' and without empty, '.' and '..' parts",
    ))]
    #[x_kube(validation = (
        "self.all(path, !path.matches('^/(nix(/.*)?|tmp)$'))",
        "files cannot lie in /nix, where the closure is mounted, nor be /tmp, which is a folder",
    ))]
    pub files: BTreeMap<String, WorkloadFile>,

    /// Ports that the program listens on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 15 && name.matches('^([a-z0-9]+-)*[a-z0-9]+$') && name.matches('[a-z]'))",
        "names of ports have at most 15 lower-case letters, digits and single '-' between them, and at least one letter",
    ))]
    #[x_kube(validation = (
        "self.all(a, self.all(b, a == b || self[a].port != self[b].port || self[a].protocol != self[b].protocol))",
        "two ports have the same number and protocol",
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

    /// Further Services by name; each is called `<workload>-<name>` unless it says another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = FURTHER_NAMES)]
    pub services: BTreeMap<String, Service>,

    /// Routes HTTP from outside of the cluster to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Further Ingresses by name; each is called `<workload>-<name>` unless it says another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = FURTHER_NAMES)]
    pub ingresses: BTreeMap<String, Ingress>,

    /// Routes HTTP from a Gateway to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,

    /// Further HTTPRoutes by name; each is called `<workload>-<name>` unless it says another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = FURTHER_NAMES)]
    pub http_routes: BTreeMap<String, HttpRoute>,

    /// Routes gRPC from a Gateway to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<GrpcRoute>,

    /// Further GRPCRoutes by name; each is called `<workload>-<name>` unless it says another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    #[x_kube(validation = FURTHER_NAMES)]
    pub grpc_routes: BTreeMap<String, GrpcRoute>,

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

    /// Fields of the Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentFields>,

    /// Fields of the StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful_set: Option<StatefulSetFields>,

    /// Fields of the DaemonSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_set: Option<DaemonSetFields>,

    /// The ServiceAccount of the pods: one of the workload's own, or one that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,

    /// Storage that stays, by name: of each pod of a StatefulSet, or of all pods of another kind together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 52 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
        "names of volume claims are RFC 1123 labels of at most 52 characters",
    ))]
    #[x_kube(validation = (
        "self.all(name, !(name in ['closure', 'files', 'tmp']))",
        "volume claims cannot be named closure, files or tmp: niphas has volumes of these names",
    ))]
    #[x_kube(validation = (
        "self.all(a, self.all(b, a == b || self[a].mountPath != self[b].mountPath))",
        "two volume claims are mounted at the same path",
    ))]
    pub volume_claims: BTreeMap<String, VolumeClaim>,

    /// How the Job, or each Job of a CronJob, runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,

    /// When the CronJob runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_job: Option<CronJob>,

    /// Further programs that run beside the workload's own, by the names of their containers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 31 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && name != 'main')",
        "names of containers have at most 31 lower-case letters, digits and '-'; main is the workload's own",
    ))]
    #[x_kube(validation = (
        "self.all(name, !has(self[name].restartPolicy) && !has(self[name].order))",
        "restartPolicy and order are for initContainers",
    ))]
    pub containers: BTreeMap<String, FurtherContainer>,

    /// Programs that run before the workload's own, one after the other; with `restartPolicy: Always` also beside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = (
        "self.all(name, size(name) <= 31 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && name != 'main')",
        "names of containers have at most 31 lower-case letters, digits and '-'; main is the workload's own",
    ))]
    pub init_containers: BTreeMap<String, FurtherContainer>,

    /// Labels of all objects that the workload consists of, and of its pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,

    /// Annotations of all objects that the workload consists of; those of pods stand in `podTemplate`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,

    /// Merged deeply over the pod template that the operator makes: a `PodTemplateSpec`, or parts of one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub pod_template: Map<String, Value>,
}

/// A rule of the CRD for names of further objects, which become the end of an object's name.
const FURTHER_NAMES: (&str, &str) = (
    "self.all(name, size(name) <= 31 && name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
    "names of further objects have at most 31 lower-case letters, digits and '-'",
);

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
    /// Roots by names that are the same on every system: `/nix/roots/<name>` leads to each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Root>", extend("maxProperties" = 32))]
    pub names: BTreeMap<ViewName, Root>,
    /// SHA-256 over the lines `<storePath> <narHash> <narSize>` of all paths, sorted by path.
    pub digest: ClosureDigest,
    /// The NAR sizes of all paths together, in bytes.
    #[schemars(range(min = 0))]
    pub nar_size: u64,
    /// How many store paths there are.
    #[schemars(range(min = 1))]
    pub path_count: u64,
}
