//! What keeps pods running: Deployment, StatefulSet, DaemonSet.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec,
    DeploymentStrategy, RollingUpdateDaemonSet, RollingUpdateDeployment,
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec};
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object, service, storage};
use crate::workload::{PodManagement, Strategy, StrategyType};

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
    let fields = parent.spec().deployment.clone().unwrap_or_default();
    object(&Deployment {
        metadata: parent.metadata(),
        spec: Some(DeploymentSpec {
            min_ready_seconds: fields.min_ready_seconds,
            progress_deadline_seconds: fields.progress_deadline_seconds,
            replicas: replicas(parent),
            revision_history_limit: fields.revision_history_limit,
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
            partition: strategy.partition,
        }),
        type_: Some(type_name(strategy)),
    };
    let claims: Vec<PersistentVolumeClaim> = spec
        .volume_claims
        .iter()
        .map(|(name, claim)| storage::claim_template(name, claim))
        .collect();
    let fields = spec.stateful_set.clone().unwrap_or_default();
    object(&StatefulSet {
        metadata: parent.metadata(),
        spec: Some(StatefulSetSpec {
            min_ready_seconds: fields.min_ready_seconds,
            ordinals: fields.ordinals,
            persistent_volume_claim_retention_policy: fields
                .persistent_volume_claim_retention_policy
                .as_ref()
                .map(storage::retention),
            pod_management_policy: fields.pod_management_policy.map(|policy| {
                match policy {
                    PodManagement::OrderedReady => "OrderedReady",
                    PodManagement::Parallel => "Parallel",
                }
                .to_owned()
            }),
            replicas: replicas(parent),
            revision_history_limit: fields.revision_history_limit,
            selector: parent.selector(),
            service_name: Some(service::headless_service(&parent.name())),
            template,
            update_strategy: spec.strategy.as_ref().map(strategy),
            volume_claim_templates: (!claims.is_empty()).then_some(claims),
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
    let fields = parent.spec().daemon_set.clone().unwrap_or_default();
    object(&DaemonSet {
        metadata: parent.metadata(),
        spec: Some(DaemonSetSpec {
            min_ready_seconds: fields.min_ready_seconds,
            revision_history_limit: fields.revision_history_limit,
            selector: parent.selector(),
            template,
            update_strategy: parent.spec().strategy.as_ref().map(strategy),
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
        && (strategy.max_surge.is_some()
            || strategy.max_unavailable.is_some()
            || strategy.partition.is_some())
}

fn type_name(strategy: &Strategy) -> String {
    match strategy.strategy_type {
        StrategyType::RollingUpdate => "RollingUpdate",
        StrategyType::Recreate => "Recreate",
        StrategyType::OnDelete => "OnDelete",
    }
    .to_owned()
}
