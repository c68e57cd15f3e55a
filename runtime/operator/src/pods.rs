//! Pods that have not started, and why.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;

use crate::child::workload_of;

/// A pod of a workload that has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingPod {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    /// Why the scheduler found no node for it.
    pub(crate) unschedulable: Option<String>,
    /// Why its container does not start, if kubelet says something else than that it will soon.
    pub(crate) waiting: Option<String>,
}

impl PendingPod {
    /// None if the pod belongs to no workload.
    pub(crate) fn of(pod: &Pod) -> Option<Self> {
        let workload = workload_of(&pod.metadata)?.to_owned();
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let unschedulable = conditions
            .into_iter()
            .flatten()
            .find(|condition| {
                condition.type_ == "PodScheduled"
                    && condition.status == "False"
                    && condition.reason.as_deref() == Some("Unschedulable")
            })
            .map(|condition| condition.message.clone().unwrap_or_default());
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let waiting = containers
            .into_iter()
            .flatten()
            .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
            .filter_map(|waiting| Some((waiting.reason.as_deref()?, waiting.message.as_deref())))
            .find(|(reason, _)| !matches!(*reason, "ContainerCreating" | "PodInitializing"))
            .map(|(reason, message)| match message {
                Some(message) => format!("{reason}: {message}"),
                None => reason.to_owned(),
            });
        Some(Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            workload,
            unschedulable,
            waiting,
        })
    }
}

/// A volume that a node could not mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountFailure {
    /// The pod's.
    pub(crate) pod: String,
    pub(crate) node: String,
    pub(crate) message: String,
    /// When it was seen last.
    pub(crate) when: Option<Timestamp>,
    /// Whether trying again is of no use until somebody changes something.
    pub(crate) is_final: bool,
}

/// gRPC's words after which kubelet's next attempt may well go better.
const RETRYABLE: [&str; 5] = [
    "Canceled",
    "DeadlineExceeded",
    "Unavailable",
    "ResourceExhausted",
    "Aborted",
];

impl MountFailure {
    /// Of kubelet's event `FailedMount`.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let pod = event.involved_object.uid.clone()?;
        let node = event
            .source
            .as_ref()
            .and_then(|source| source.host.clone())
            .or_else(|| event.reporting_instance.clone())
            .unwrap_or_default();
        let message = event.message.as_deref()?;
        // "MountVolume.SetUp failed for volume "closure" : rpc error: code = Internal desc = what the driver said"
        let (message, is_final) = match message.split_once("rpc error: code = ") {
            Some((_, error)) => {
                let (code, said) = error.split_once(" desc = ").unwrap_or((error, error));
                (said, !RETRYABLE.contains(&code))
            }
            None => (message, false),
        };
        Some(Self {
            pod,
            node,
            message: message.to_owned(),
            when: event.last_timestamp.as_ref().map(|time| time.0),
            is_final,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(message: &str) -> MountFailure {
        let event = serde_json::from_value(json!({
            "metadata": {}, "reason": "FailedMount", "message": message,
            "involvedObject": { "kind": "Pod", "name": "web-1", "uid": "7" },
            "source": { "component": "kubelet", "host": "node1" },
        }));
        MountFailure::of(&event.unwrap()).unwrap()
    }

    #[test]
    fn what_the_driver_said_is_told_without_what_surrounds_it() {
        let refused = failure(
            "MountVolume.SetUp failed for volume \"closure\" : rpc error: code = FailedPrecondition desc = the closure has another digest",
        );
        assert_eq!(
            refused,
            MountFailure {
                pod: "7".to_owned(),
                node: "node1".to_owned(),
                message: "the closure has another digest".to_owned(),
                when: None,
                is_final: true,
            }
        );
    }

    #[test]
    fn what_kubelet_tries_again_with_hope_is_not_final() {
        assert!(
            !failure("rpc error: code = DeadlineExceeded desc = realising: 3 of 10 paths").is_final
        );
        let unregistered = failure(
            "MountVolume.SetUp failed for volume \"closure\" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name csi.niphas.io not found in the list of registered CSI drivers",
        );
        assert!(!unregistered.is_final && unregistered.message.contains("csi.niphas.io"));
    }

    #[test]
    fn a_pod_tells_why_it_does_not_start() {
        let pod = |status| {
            let pod = json!({
                "metadata": { "name": "a", "namespace": "shop", "uid": "7", "labels": { "niphas.io/workload": "web" } },
                "status": status,
            });
            PendingPod::of(&serde_json::from_value(pod).unwrap()).unwrap()
        };
        let unschedulable = pod(json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available",
        }]}));
        assert_eq!(
            unschedulable.unschedulable.as_deref(),
            Some("0/2 nodes are available")
        );
        let waiting = |reason: &str| {
            pod(json!({ "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": "secret \"x\" not found" } },
            }]}))
            .waiting
        };
        assert_eq!(waiting("ContainerCreating"), None);
        assert_eq!(
            waiting("CreateContainerConfigError").as_deref(),
            Some("CreateContainerConfigError: secret \"x\" not found")
        );
    }
}
