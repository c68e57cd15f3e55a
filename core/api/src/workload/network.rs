//! How others reach a workload, and what it may reach.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule};
use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::names::{ANNOTATION_KEYS, HOST, LABEL, SUBDOMAIN};

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
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
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

/// An Ingress to the workload's Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The IngressClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = SUBDOMAIN))]
    pub class_name: Option<String>,
    /// The Ingress' annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// The workload's port, by name; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// What is served, by host name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    #[x_kube(validation = hosts_are_names())]
    pub hosts: BTreeMap<String, IngressHost>,
}

fn hosts_are_names() -> Rule {
    Rule::new(format!(
        "self.all(host, size(host) <= 253 && host.matches('{HOST}'))"
    ))
    .message("hosts are names of DNS, in lower case; the first part may be '*'")
}

/// What an Ingress serves under one host name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressHost {
    /// Prefixes of paths that go to the workload.
    #[serde(default = "everything")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 1024), regex(pattern = "^/"))
    )]
    pub paths: Vec<String>,
    /// The Secret with the host's certificate; without it the host is served without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = SUBDOMAIN))]
    pub tls_secret_name: Option<String>,
}

fn everything() -> Vec<String> {
    vec!["/".to_owned()]
}

/// An HTTPRoute of the Gateway API to the workload's Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The Gateways, or other parents, that the route attaches to.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// The host names that are served; all of the Gateway's if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253), regex(pattern = HOST)))]
    pub hostnames: Vec<String>,
    /// Prefixes of paths that go to the workload.
    #[serde(default = "everything")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(max = 1024), regex(pattern = "^/"))
    )]
    #[x_kube(validation = (
        "self.all(path, !path.matches('//|/[.][.]?(/|$)|%2[fF]|#'))",
        "paths of an httpRoute have no empty, '.' and '..' parts, no '%2F' and no '#'",
    ))]
    pub paths: Vec<String>,
    /// The workload's port, by name; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The HTTPRoute's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway that a route attaches to, or one of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Its namespace; the workload's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub namespace: Option<String>,
    /// One of its listeners, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub section_name: Option<String>,
}

/// What may reach the workload's pods, and what they may reach.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.ingress) || has(self.egress)",
    "a network policy restricts ingress, egress or both, and this one has neither",
))]
pub struct NetworkPolicy {
    /// What may come in; nothing if the list is empty, everything if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<NetworkPolicyIngressRule>>,
    /// Where the pods may connect to; nowhere if the list is empty, everywhere if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<NetworkPolicyEgressRule>>,
}
