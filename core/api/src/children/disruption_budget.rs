use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object};

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
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
    .map(Some)
}
