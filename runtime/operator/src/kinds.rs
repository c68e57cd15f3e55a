//! The kinds of objects that a workload's children may have.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of children.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// The API group; empty for the core.
    pub(crate) group: &'static str,
    /// The version that children are of.
    pub(crate) version: &'static str,
    /// The kind's name, `Deployment` for instance.
    pub(crate) name: &'static str,
    /// The name in URLs and rules.
    pub(crate) plural: &'static str,
    /// Whether such an object makes the pods: then its status tells how the workload is.
    pub(crate) makes_pods: bool,
    /// Whether every cluster knows the kind.
    pub(crate) built_in: bool,
}

const fn kind(group: &'static str, name: &'static str, plural: &'static str) -> Kind {
    Kind {
        group,
        version: "v1",
        name,
        plural,
        makes_pods: false,
        built_in: true,
    }
}

const fn makes_pods(group: &'static str, name: &'static str, plural: &'static str) -> Kind {
    Kind {
        makes_pods: true,
        ..kind(group, name, plural)
    }
}

/// All kinds that [`niphas_api::children`] gives.
pub(crate) static KINDS: [Kind; 14] = [
    kind("", "ServiceAccount", "serviceaccounts"),
    kind("", "ConfigMap", "configmaps"),
    kind("", "Service", "services"),
    makes_pods("apps", "Deployment", "deployments"),
    makes_pods("apps", "StatefulSet", "statefulsets"),
    makes_pods("apps", "DaemonSet", "daemonsets"),
    makes_pods("batch", "Job", "jobs"),
    makes_pods("batch", "CronJob", "cronjobs"),
    Kind {
        version: "v2",
        ..kind(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
        )
    },
    kind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    kind("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    kind("networking.k8s.io", "Ingress", "ingresses"),
    Kind {
        built_in: false,
        ..kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes")
    },
    Kind {
        built_in: false,
        ..kind("gateway.networking.k8s.io", "GRPCRoute", "grpcroutes")
    },
];

impl Kind {
    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// How the client reaches its objects.
    pub(crate) fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}
