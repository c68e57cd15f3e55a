use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object};
use crate::workload::WorkloadKind;

pub(super) fn autoscaler(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let spec = parent.spec();
    let Some(autoscaling) = &spec.autoscaling else {
        return Ok(None);
    };
    let utilization = |name: &str, percent: i32| MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: name.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    let cpu = autoscaling.cpu.map(|percent| utilization("cpu", percent));
    let memory = autoscaling
        .memory
        .map(|percent| utilization("memory", percent));
    let metrics = cpu
        .into_iter()
        .chain(memory)
        .chain(autoscaling.metrics.iter().cloned())
        .collect();
    let kind = match spec.kind {
        WorkloadKind::StatefulSet => "StatefulSet",
        _ => "Deployment",
    };
    object(&HorizontalPodAutoscaler {
        metadata: parent.metadata(),
        spec: Some(HorizontalPodAutoscalerSpec {
            behavior: autoscaling.behavior.clone(),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(metrics),
            min_replicas: Some(autoscaling.min_replicas),
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: kind.to_owned(),
                name: parent.name(),
            },
        }),
        ..HorizontalPodAutoscaler::default()
    })
    .map(Some)
}
