//! How others reach a workload, and what it may reach.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::SessionAffinityConfig;
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::names::{ANNOTATION_KEYS, LABEL_KEYS, label_values};

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
    /// What is spoken on it, such as `http` or `kubernetes.io/h2c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub app_protocol: Option<String>,
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.clusterIP) || self.type == 'ClusterIP'"
).message("a headless Service has the type ClusterIP").field_path(".clusterIP"))]
#[x_kube(validation = Rule::new(
    "!has(self.nodePorts) || self.type != 'ClusterIP'"
).message("nodePorts are for the types NodePort and LoadBalancer").field_path(".nodePorts"))]
#[x_kube(validation = Rule::new(
    "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'"
).message("externalTrafficPolicy is for the types NodePort and LoadBalancer").field_path(".externalTrafficPolicy"))]
#[x_kube(validation = Rule::new(
    "self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges) && !has(self.allocateLoadBalancerNodePorts))"
).message("fields of load balancers are for the type LoadBalancer"))]
#[x_kube(validation = Rule::new(
    "!has(self.sessionAffinityConfig) || (has(self.sessionAffinity) && self.sessionAffinity == 'ClientIP')"
).message("sessionAffinityConfig needs the sessionAffinity ClientIP").field_path(".sessionAffinityConfig"))]
pub struct Service {
    /// The object's name; that of the workload if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// How it can be reached.
    #[serde(default, rename = "type")]
    pub service_type: ServiceType,
    /// The Service's port numbers by name of the workload's port, where they are not the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[schemars(schema_with = "port_numbers")]
    pub ports: BTreeMap<String, i32>,
    /// Which of the workload's ports it has, by name; all if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 15)))]
    pub port_names: Vec<String>,
    /// The ports on the nodes by name of the workload's port; the cluster chooses those that are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "port_numbers")]
    pub node_ports: BTreeMap<String, i32>,
    /// `None` makes it headless: its name stands for the addresses of the pods.
    #[serde(default, rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<ClusterIp>,
    /// Whether pods that are not ready have addresses, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub publish_not_ready_addresses: bool,
    /// Which pods requests from outside of the cluster reach: all, or those of the node that they come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Which pods requests from inside of the cluster reach: all, or those of their own node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Which pods are preferred, such as `PreferClose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[A-Za-z]+$"))]
    pub traffic_distribution: Option<String>,
    /// Whether requests of one address go to one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// For how long they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// Who makes the load balancer; it cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub load_balancer_class: Option<String>,
    /// The networks that reach the load balancer; all if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether the load balancer's ports have ports on the nodes, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// The families of its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub ip_families: Vec<IpFamily>,
    /// Whether it has addresses of one family or of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// The Service's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
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

/// The address of a headless Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum ClusterIp {
    None,
}

/// Which pods requests reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

/// Whether requests of one address go to one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum SessionAffinity {
    ClientIP,
    None,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum IpFamily {
    IPv4,
    IPv6,
}

/// How many families of addresses a Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum IpFamilyPolicy {
    SingleStack,
    PreferDualStack,
    RequireDualStack,
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
