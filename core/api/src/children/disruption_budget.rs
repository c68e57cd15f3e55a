use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object};
use crate::workload::UnhealthyPods;

pub(super) fn disruption_budget(
    parent: &Parent<'_>,
) -> Result<Option<DynamicObject>, ChildrenError> {
    let Some(budget) = &parent.spec().disruption_budget else {
        return Ok(None);
    };
    object(&PodDisruptionBudget {
        metadata: parent.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: budget.max_unavailable.clone(),
            min_available: budget.min_available.clone(),
            selector: Some(parent.selector()),
            unhealthy_pod_eviction_policy: budget.unhealthy_pod_eviction_policy.map(|policy| {
                match policy {
                    UnhealthyPods::AlwaysAllow => "AlwaysAllow",
                    UnhealthyPods::IfHealthyBudget => "IfHealthyBudget",
                }
                .to_owned()
            }),
        }),
        ..PodDisruptionBudget::default()
    })
    .map(Some)
}
