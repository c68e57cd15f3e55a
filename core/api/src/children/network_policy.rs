use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use kube::core::DynamicObject;

use super::{ChildrenError, Parent, object};

pub(super) fn network_policy(parent: &Parent<'_>) -> Result<Option<DynamicObject>, ChildrenError> {
    let Some(policy) = &parent.spec().network_policy else {
        return Ok(None);
    };
    let ingress = policy.ingress.as_ref().map(|_| "Ingress".to_owned());
    let egress = policy.egress.as_ref().map(|_| "Egress".to_owned());
    object(&NetworkPolicy {
        metadata: parent.metadata(),
        spec: Some(NetworkPolicySpec {
            egress: policy.egress.clone(),
            ingress: policy.ingress.clone(),
            pod_selector: Some(parent.selector()),
            policy_types: Some(ingress.into_iter().chain(egress).collect()),
        }),
    })
    .map(Some)
}
