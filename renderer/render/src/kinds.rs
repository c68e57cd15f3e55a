//! Kinds of objects that Kubernetes has itself.

/// Kinds with their version, the only stable one, and whether their objects have a namespace.
const KINDS: &[(&str, &str, bool)] = &[
    ("APIService", "apiregistration.k8s.io/v1", false),
    ("CSIDriver", "storage.k8s.io/v1", false),
    ("ClusterRole", "rbac.authorization.k8s.io/v1", false),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", false),
    ("ConfigMap", "v1", true),
    ("CronJob", "batch/v1", true),
    ("CustomResourceDefinition", "apiextensions.k8s.io/v1", false),
    ("DaemonSet", "apps/v1", true),
    ("Deployment", "apps/v1", true),
    ("DeviceClass", "resource.k8s.io/v1", false),
    ("EndpointSlice", "discovery.k8s.io/v1", true),
    ("Endpoints", "v1", true),
    ("HorizontalPodAutoscaler", "autoscaling/v2", true),
    ("Ingress", "networking.k8s.io/v1", true),
    ("IngressClass", "networking.k8s.io/v1", false),
    ("Job", "batch/v1", true),
    ("Lease", "coordination.k8s.io/v1", true),
    ("LimitRange", "v1", true),
    (
        "MutatingAdmissionPolicy",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    (
        "MutatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    (
        "MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    ("Namespace", "v1", false),
    ("NetworkPolicy", "networking.k8s.io/v1", true),
    ("PersistentVolume", "v1", false),
    ("PersistentVolumeClaim", "v1", true),
    ("Pod", "v1", true),
    ("PodDisruptionBudget", "policy/v1", true),
    ("PodTemplate", "v1", true),
    ("PriorityClass", "scheduling.k8s.io/v1", false),
    ("ReplicaSet", "apps/v1", true),
    ("ResourceClaim", "resource.k8s.io/v1", true),
    ("ResourceClaimTemplate", "resource.k8s.io/v1", true),
    ("ResourceQuota", "v1", true),
    ("Role", "rbac.authorization.k8s.io/v1", true),
    ("RoleBinding", "rbac.authorization.k8s.io/v1", true),
    ("RuntimeClass", "node.k8s.io/v1", false),
    ("Secret", "v1", true),
    ("Service", "v1", true),
    ("ServiceAccount", "v1", true),
    ("StatefulSet", "apps/v1", true),
    ("StorageClass", "storage.k8s.io/v1", false),
    (
        "ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
        false,
    ),
    ("VolumeAttributesClass", "storage.k8s.io/v1", false),
];

/// Kinds of others whose objects have no namespace, as far as they are known well.
const OTHERS_WITHOUT_NAMESPACE: [&str; 9] = [
    "ClusterExternalSecret",
    "ClusterIssuer",
    "ClusterPolicy",
    "ClusterSecretStore",
    "EC2NodeClass",
    "GatewayClass",
    "NodePool",
    "VolumeSnapshotClass",
    "VolumeSnapshotContent",
];

/// The version of a kind that Kubernetes has itself.
pub(crate) fn version(kind: &str) -> Option<&'static str> {
    find(kind).map(|(_, version, _)| *version)
}

/// Whether objects of a kind are known to have no namespace.
pub(crate) fn has_no_namespace(kind: &str) -> bool {
    match find(kind) {
        Some((_, _, has_namespace)) => !has_namespace,
        None => OTHERS_WITHOUT_NAMESPACE.contains(&kind),
    }
}

fn find(kind: &str) -> Option<&'static (&'static str, &'static str, bool)> {
    KINDS.iter().find(|(name, _, _)| *name == kind)
}

#[cfg(test)]
mod tests {
    use super::KINDS;
    use crate::schema::of_kind;

    #[test]
    fn each_kind_has_a_schema() {
        for (kind, version, _) in KINDS {
            let schema = of_kind(version, kind).map(crate::schema::resolved);
            assert!(
                schema.is_some_and(|schema| schema["properties"]["metadata"].is_object()),
                "{kind}"
            );
        }
    }
}
