//! `NiphasWorkload`: what a workload runs, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::core::v1::{EnvVarSource, Probe, ResourceRequirements};
use kube::{CustomResource, KubeSchema};
use nix_formats::store_path::StorePathError;
use nix_formats::{StoreDir, StorePath};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

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
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the workload runs as declared"
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
pub struct NiphasWorkloadSpec {
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

    /// How many pods run.
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

/// A port that the program listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(
    missing_docs,
    reason = "the names say it, and descriptions would split the enum's schema"
)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
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

/// A Service in front of the workload's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// How it can be reached.
    #[serde(default, rename = "type")]
    pub service_type: ServiceType,
    /// The Service's port numbers by name of the workload's port, where they are not the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[schemars(schema_with = "port_numbers")]
    pub ports: BTreeMap<String, i32>,
    /// The Service's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn port_numbers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535,
        },
    })
}

/// How a Service can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// A system as Nix names it: `<cpu>-<os>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct System(String);

/// A text that is no [`System`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a system: want '<cpu>-<os>', like 'x86_64-linux'")]
pub struct BadSystem(pub String);

impl System {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for System {
    type Err = BadSystem;

    fn from_str(text: &str) -> Result<Self, BadSystem> {
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        match text.split_once('-') {
            Some((cpu, os)) if part(cpu) && part(os) && text.len() <= 64 => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(BadSystem(text.to_owned())),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for System {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for System {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "System".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 64, "pattern": "^[a-z0-9_]+-[a-z0-9_]+$" })
    }
}

/// A store path under `/nix/store`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(StorePath);

impl Root {
    /// The path.
    pub fn path(&self) -> &StorePath {
        &self.0
    }
}

impl From<StorePath> for Root {
    fn from(path: StorePath) -> Self {
        Self(path)
    }
}

impl FromStr for Root {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        StoreDir::default().parse_canonical(text).map(Self)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", StoreDir::default(), self.0)
    }
}

impl Serialize for Root {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Root {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Root".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 255,
            "pattern": "^/nix/store/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+._?=-]{1,211}$",
        })
    }
}
