//! The storage of pods. Each pod of a StatefulSet has claims of its own, which Kubernetes makes; those that all pods of
//! another kind share are no children, as they would go with the workload.

use k8s_openapi::api::apps::v1::StatefulSetPersistentVolumeClaimRetentionPolicy;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume,
    VolumeDevice, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;

use super::{ChildrenError, Own, Parent, non_empty, object};
use crate::workload::{
    AccessMode, ClaimRetention, NiphasWorkload, Retention, VolumeClaim, VolumeMode, WorkloadKind,
};

/// The claims that the pods of a workload share: none of a StatefulSet's, and none that are there already. They are not among
/// [`children`](super::children), as they outlive the workload.
///
/// # Errors
/// A claim that cannot be written down; the types forbid it.
pub fn shared_claims(workload: &NiphasWorkload) -> Result<Vec<DynamicObject>, ChildrenError> {
    let parent = Parent { workload };
    let spec = parent.spec();
    if spec.kind == WorkloadKind::StatefulSet {
        return Ok(Vec::new());
    }
    let claims = spec.volume_claims.iter();
    let claims = claims.filter(|(_, claim)| claim.claim_name.is_none());
    claims
        .map(|(name, claim)| {
            let own = Own {
                labels: &claim.labels,
                annotations: &claim.annotations,
            };
            let mut metadata = parent.metadata_with(claim_name(&parent, name, claim), own);
            metadata.owner_references = None;
            object(&PersistentVolumeClaim {
                metadata,
                spec: Some(claim_spec(claim)),
                ..PersistentVolumeClaim::default()
            })
        })
        .collect()
}

/// Of a StatefulSet.
pub(super) fn claim_template(name: &str, claim: &VolumeClaim) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            annotations: non_empty(&claim.annotations),
            labels: non_empty(&claim.labels),
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(claim_spec(claim)),
        ..PersistentVolumeClaim::default()
    }
}

/// The volumes of claims that pods share.
pub(super) fn volumes(parent: &Parent<'_>) -> Vec<Volume> {
    let spec = parent.spec();
    if spec.kind == WorkloadKind::StatefulSet {
        return Vec::new();
    }
    let claims = spec.volume_claims.iter();
    claims
        .map(|(name, claim)| Volume {
            name: name.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(parent, name, claim),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..Volume::default()
        })
        .collect()
}

/// Where containers have the volumes that are file systems.
pub(super) fn mounts(parent: &Parent<'_>) -> impl Iterator<Item = VolumeMount> {
    let claims = parent.spec().volume_claims.iter();
    let claims = claims.filter(|(_, claim)| !is_block(claim));
    claims.map(|(name, claim)| VolumeMount {
        name: name.clone(),
        mount_path: claim.mount_path.clone(),
        ..VolumeMount::default()
    })
}

/// Where containers have those that are block devices.
pub(super) fn devices(parent: &Parent<'_>) -> Option<Vec<VolumeDevice>> {
    let claims = parent.spec().volume_claims.iter();
    let claims = claims.filter(|(_, claim)| is_block(claim));
    let devices: Vec<VolumeDevice> = claims
        .map(|(name, claim)| VolumeDevice {
            device_path: claim.mount_path.clone(),
            name: name.clone(),
        })
        .collect();
    (!devices.is_empty()).then_some(devices)
}

pub(super) fn retention(
    policy: &ClaimRetention,
) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let word = |retention: Option<Retention>| {
        match retention.unwrap_or(Retention::Retain) {
            Retention::Retain => "Retain",
            Retention::Delete => "Delete",
        }
        .to_owned()
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(word(policy.when_deleted)),
        when_scaled: Some(word(policy.when_scaled)),
    }
}

fn is_block(claim: &VolumeClaim) -> bool {
    claim.volume_mode == Some(VolumeMode::Block)
}

fn claim_name(parent: &Parent<'_>, name: &str, claim: &VolumeClaim) -> String {
    let there_already = claim.claim_name.clone();
    there_already.unwrap_or_else(|| format!("{}-{name}", parent.name()))
}

fn claim_spec(claim: &VolumeClaim) -> PersistentVolumeClaimSpec {
    let mode = |mode: &AccessMode| {
        match mode {
            AccessMode::ReadWriteOnce => "ReadWriteOnce",
            AccessMode::ReadOnlyMany => "ReadOnlyMany",
            AccessMode::ReadWriteMany => "ReadWriteMany",
            AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        }
        .to_owned()
    };
    let mut access_modes: Vec<String> = claim.access_modes.iter().map(mode).collect();
    if access_modes.is_empty() {
        access_modes.push(mode(&AccessMode::ReadWriteOnce));
    }
    PersistentVolumeClaimSpec {
        access_modes: Some(access_modes),
        data_source: claim.data_source.clone(),
        data_source_ref: claim.data_source_ref.clone(),
        resources: claim
            .storage
            .clone()
            .map(|storage| VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), storage)].into()),
                ..VolumeResourceRequirements::default()
            }),
        selector: claim.selector.clone(),
        storage_class_name: claim.storage_class_name.clone(),
        volume_mode: claim.volume_mode.map(|mode| {
            match mode {
                VolumeMode::Filesystem => "Filesystem",
                VolumeMode::Block => "Block",
            }
            .to_owned()
        }),
        volume_name: claim.volume_name.clone(),
        ..PersistentVolumeClaimSpec::default()
    }
}
