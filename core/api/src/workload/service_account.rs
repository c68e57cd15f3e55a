//! What a workload's program may do at the API server.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::names::{ANNOTATION_KEYS, LABEL_KEYS, SUBDOMAIN, label_values};

/// The ServiceAccount of a workload's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.create) || self.create || has(self.name)",
    "a ServiceAccount that is not created needs a name",
))]
pub struct ServiceAccount {
    /// Its name; that of the workload if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: Option<String>,
    /// Whether it is created; `false` for one that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// Its annotations, such as the roles of a cloud provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// Whether the program gets a token for the API server.
    #[serde(default)]
    pub mount_token: bool,
}
