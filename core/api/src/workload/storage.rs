//! Storage of a workload's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{TypedLocalObjectReference, TypedObjectReference};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{ANNOTATION_KEYS, LABEL_KEYS, SUBDOMAIN, label_values};
use crate::crd::QUANTITY_PATTERN;

/// A PersistentVolumeClaim: each pod of a StatefulSet has one of its own, the pods of other kinds share one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.storage) != has(self.claimName)",
    "expected either storage, or claimName for a claim that is there already",
))]
pub struct VolumeClaim {
    /// Where the pod has it: an absolute path.
    #[x_kube(validation = (
        "self.matches('^(/[^/:]+)+$') && !self.matches('/[.][.]?(/|$)') && !self.matches('^/nix(/|$)')",
        "storage is mounted at an absolute path, and not in /nix: the closure is mounted there",
    ))]
    #[schemars(length(max = 1024))]
    pub mount_path: String,
    /// How much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = QUANTITY_PATTERN))]
    pub storage: Option<Quantity>,
    /// The name of a claim that is there already; not for a StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub claim_name: Option<String>,
    /// The StorageClass; the cluster's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = SUBDOMAIN))]
    pub storage_class_name: Option<String>,
    /// How it may be mounted; ReadWriteOnce if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub access_modes: Vec<AccessMode>,
    /// A file system, which is the default, or a block device at `mountPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<VolumeMode>,
    /// The PersistentVolume to bind to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub volume_name: Option<String>,
    /// Which PersistentVolumes it may bind to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// A VolumeSnapshot or claim of the namespace that the volume begins as a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source: Option<TypedLocalObjectReference>,
    /// The same for any kind of object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source_ref: Option<TypedObjectReference>,
    /// The claim's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_values")]
    #[x_kube(validation = LABEL_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// The claim's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = ANNOTATION_KEYS)]
    pub annotations: BTreeMap<String, String>,
}

/// How a volume may be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum AccessMode {
    ReadWriteOnce,
    ReadOnlyMany,
    ReadWriteMany,
    ReadWriteOncePod,
}

/// What pods see of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum VolumeMode {
    Filesystem,
    Block,
}
