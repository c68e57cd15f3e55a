//! What keeps pods running: Deployment, StatefulSet, DaemonSet.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec,
    DeploymentStrategy, RollingUpdateDaemonSet, RollingUpdateDeployment,
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object, service};
use crate::workload::{AccessMode, Strategy, StrategyType, VolumeClaim};

pub(super) fn deployment(
    parent: &Parent<'_>,
    template: PodTemplateSpec,
) -> Result<DynamicObject, ChildrenError> {
    let strategy = |strategy: &Strategy| DeploymentStrategy {
        rolling_update: rolling(strategy).then(|| RollingUpdateDeployment {
            max_surge: strategy.max_surge.clone(),
            max_unavailable: strategy.max_unavailable.clone(),
        }),
        type_: Some(type_name(strategy)),
    };
    object(&Deployment {
        metadata: parent.metadata(),
        spec: Some(DeploymentSpec {
            replicas: replicas(parent),
            selector: parent.selector(),
            strategy: parent.spec().strategy.as_ref().map(strategy),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    })
}

pub(super) fn stateful_set(
    parent: &Parent<'_>,
    template: PodTemplateSpec,
) -> Result<DynamicObject, ChildrenError> {
    let spec = parent.spec();
    let strategy = |strategy: &Strategy| StatefulSetUpdateStrategy {
        rolling_update: rolling(strategy).then(|| RollingUpdateStatefulSetStrategy {
            max_unavailable: strategy.max_unavailable.clone(),
            ..RollingUpdateStatefulSetStrategy::default()
        }),
        type_: Some(type_name(strategy)),
    };
    let claims: Vec<PersistentVolumeClaim> = spec
        .volume_claims
        .iter()
        .map(|(name, claim)| volume_claim(name, claim))
        .collect();
    object(&StatefulSet {
        metadata: parent.metadata(),
        spec: Some(StatefulSetSpec {
            replicas: replicas(parent),
            selector: parent.selector(),
            service_name: Some(service::headless_service(&parent.name())),
            template,
            update_strategy: spec.strategy.as_ref().map(strategy),
            volume_claim_templates: (!claims.is_empty()).then_some(claims),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    })
}

pub(super) fn daemon_set(
    parent: &Parent<'_>,
    template: PodTemplateSpec,
) -> Result<DynamicObject, ChildrenError> {
    let strategy = |strategy: &Strategy| DaemonSetUpdateStrategy {
        rolling_update: rolling(strategy).then(|| RollingUpdateDaemonSet {
            max_surge: strategy.max_surge.clone(),
            max_unavailable: strategy.max_unavailable.clone(),
        }),
        type_: Some(type_name(strategy)),
    };
    object(&DaemonSet {
        metadata: parent.metadata(),
        spec: Some(DaemonSetSpec {
            selector: parent.selector(),
            template,
            update_strategy: parent.spec().strategy.as_ref().map(strategy),
            ..DaemonSetSpec::default()
        }),
        ..DaemonSet::default()
    })
}

/// The number of pods, unless an autoscaler decides on it: then nothing else writes the field.
fn replicas(parent: &Parent<'_>) -> Option<i32> {
    let spec = parent.spec();
    spec.autoscaling.is_none().then_some(spec.replicas)
}

/// Whether there is something to say of a rolling update.
fn rolling(strategy: &Strategy) -> bool {
    strategy.strategy_type == StrategyType::RollingUpdate
        && (strategy.max_surge.is_some() || strategy.max_unavailable.is_some())
}

fn type_name(strategy: &Strategy) -> String {
    match strategy.strategy_type {
        StrategyType::RollingUpdate => "RollingUpdate",
        StrategyType::Recreate => "Recreate",
        StrategyType::OnDelete => "OnDelete",
    }
    .to_owned()
}

fn volume_claim(name: &str, claim: &VolumeClaim) -> PersistentVolumeClaim {
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
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(access_modes),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), claim.storage.clone())].into()),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: claim.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
