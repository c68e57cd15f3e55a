//! How requests come to a workload's Service from outside of the cluster.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names::{ANNOTATION_KEYS, HOST, LABEL, LABEL_KEYS, SUBDOMAIN, label_values};

/// An Ingress to the workload's Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The object's name; that of the workload if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
    /// The IngressClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = SUBDOMAIN))]
    pub class_name: Option<String>,
    /// The Ingress' labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// The Ingress' annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// The workload's port, by name; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// How paths are matched that say nothing else; `Prefix` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_type: Option<PathType>,
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
    /// Paths that go to the workload; all of the host if there are no `backends` either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024), regex(pattern = "^/")))]
    pub paths: Vec<String>,
    /// Paths that are matched in another way, or go to other Services or ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub backends: BTreeMap<String, IngressPath>,
    /// The Secret with the host's certificate; without it the host is served without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = SUBDOMAIN))]
    pub tls_secret_name: Option<String>,
}

/// Where requests for a path go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.service) || has(self.port) || has(self.portNumber)",
    "another Service needs port or portNumber",
))]
#[x_kube(validation = (
    "!has(self.port) || !has(self.portNumber)",
    "expected either port or portNumber",
))]
pub struct IngressPath {
    /// How the path is matched; as the Ingress says if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_type: Option<PathType>,
    /// Another Service of the namespace; the workload's own if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    pub service: Option<String>,
    /// The Service's port, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub port: Option<String>,
    /// The Service's port, by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port_number: Option<i32>,
}

/// How an Ingress matches a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum PathType {
    Prefix,
    Exact,
    ImplementationSpecific,
}

/// An HTTPRoute of the Gateway API to the workload's Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.paths) || !has(self.rules)",
    "expected either paths or rules",
))]
pub struct HttpRoute {
    /// The object's name; that of the workload if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
    /// The Gateways, or other parents, that the route attaches to.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// The host names that are served; all of the Gateway's if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253), regex(pattern = HOST)))]
    pub hostnames: Vec<String>,
    /// Prefixes of paths that go to the workload; all if there are no `rules` either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 1024), regex(pattern = "^/")))]
    #[x_kube(validation = (
        "self.all(path, !path.matches('//|/[.][.]?(/|$)|%2[fF]|#'))",
        "paths of an httpRoute have no empty, '.' and '..' parts, no '%2F' and no '#'",
    ))]
    pub paths: Vec<String>,
    /// An HTTPRoute's rules. Those without `backendRefs`, and without a redirect, go to the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "route_rules")]
    pub rules: Vec<Map<String, Value>>,
    /// The workload's port, by name; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The HTTPRoute's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// The HTTPRoute's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
}

/// A GRPCRoute of the Gateway API to the workload's Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRoute {
    /// The object's name; that of the workload if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
    /// The Gateways, or other parents, that the route attaches to.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentReference>,
    /// The host names that are served; all of the Gateway's if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253), regex(pattern = HOST)))]
    pub hostnames: Vec<String>,
    /// A GRPCRoute's rules; everything goes to the workload if left out. Those without `backendRefs` go to the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "route_rules")]
    pub rules: Vec<Map<String, Value>>,
    /// The workload's port, by name; may be left out where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The GRPCRoute's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// The GRPCRoute's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
}

/// The rules are those of the Gateway API that the cluster has, whose API server checks them.
fn route_rules(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
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
