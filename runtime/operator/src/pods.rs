//! Pods that have not started, and why.

use k8s_openapi::api::core::v1::{
    ContainerStatus, Event, EventSource, ObjectReference, Pod, PodCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::Deserialize;

use crate::child::workload_of;
use crate::metadata::kept;
use crate::observed::WorkloadKey;
use crate::status::shorten;

/// The component that mounts volumes, as its events name it.
const KUBELET: &str = "kubelet";

/// A pod, less what the operator does not look at.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub(crate) struct SeenPod {
    #[serde(deserialize_with = "kept")]
    metadata: ObjectMeta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    conditions: Vec<PodCondition>,
    container_statuses: Vec<ContainerStatus>,
}

/// An event, less what the operator does not look at.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeenEvent {
    #[serde(deserialize_with = "kept")]
    metadata: ObjectMeta,
    involved_object: ObjectReference,
    message: Option<String>,
    source: Option<EventSource>,
    reporting_component: Option<String>,
    reporting_instance: Option<String>,
    last_timestamp: Option<Time>,
}

/// Which pod. The UID alone is no proof: an event may name any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl PodKey {
    /// Of the pod itself.
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }
}

/// A pod of a workload that has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingPod {
    pub(crate) key: PodKey,
    pub(crate) workload: String,
    /// Why the scheduler found no node for it.
    pub(crate) unschedulable: Option<String>,
    /// Why its container does not start, if kubelet says something else than that it will soon.
    pub(crate) waiting: Option<String>,
}

impl PendingPod {
    pub(crate) fn workload_key(&self) -> WorkloadKey {
        WorkloadKey::new(&self.key.namespace, &self.workload)
    }

    /// None if the pod belongs to no workload.
    pub(crate) fn of(pod: &SeenPod) -> Option<Self> {
        let workload = workload_of(&pod.metadata)?.to_owned();
        let mut conditions = pod.status.conditions.iter();
        let unschedulable = conditions
            .find(|condition| {
                condition.type_ == "PodScheduled"
                    && condition.status == "False"
                    && condition.reason.as_deref() == Some("Unschedulable")
            })
            .map(|condition| shorten(condition.message.clone().unwrap_or_default()));
        let waiting = pod
            .status
            .container_statuses
            .iter()
            .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
            .filter_map(|waiting| Some((waiting.reason.as_deref()?, waiting.message.as_deref())))
            .find(|(reason, _)| !matches!(*reason, "ContainerCreating" | "PodInitializing"))
            .map(|(reason, message)| match message {
                Some(message) => shorten(format!("{reason}: {message}")),
                None => shorten(reason.to_owned()),
            });
        Some(Self {
            key: PodKey::of(&pod.metadata),
            workload,
            unschedulable,
            waiting,
        })
    }
}

/// A volume that a node could not mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountFailure {
    pub(crate) pod: PodKey,
    pub(crate) node: String,
    pub(crate) message: String,
    /// When it was seen last.
    pub(crate) when: Option<Timestamp>,
    /// Whether trying again is of no use until something is changed.
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

impl SeenEvent {
    /// The pod that the event is about. It is in the event's own namespace: who may create events elsewhere says nothing of it.
    pub(crate) fn pod(&self) -> Option<PodKey> {
        Some(PodKey {
            namespace: self.metadata.namespace.clone()?,
            name: self.involved_object.name.clone()?,
            uid: self.involved_object.uid.clone()?,
        })
    }
}

impl MountFailure {
    /// Of kubelet's event `FailedMount`. None if the event is another component's.
    pub(crate) fn of(event: &SeenEvent) -> Option<Self> {
        let source = event.source.as_ref();
        let component = source
            .and_then(|source| source.component.as_deref())
            .filter(|component| !component.is_empty())
            .or(event.reporting_component.as_deref());
        if component != Some(KUBELET) {
            return None;
        }
        let pod = event.pod()?;
        let node = source
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
            node: shorten(node),
            message: shorten(message.to_owned()),
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
            "metadata": { "namespace": "shop" }, "reason": "FailedMount", "message": message,
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
                pod: PodKey {
                    namespace: "shop".to_owned(),
                    name: "web-1".to_owned(),
                    uid: "7".to_owned(),
                },
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

    #[test]
    fn an_event_of_another_component_says_nothing_of_a_mount() {
        let event = json!({
            "metadata": { "namespace": "shop" }, "reason": "FailedMount", "message": "forged",
            "involvedObject": { "kind": "Pod", "name": "web-1", "uid": "7" },
            "source": { "component": "someone" }, "reportingComponent": "kubelet",
        });
        assert_eq!(
            MountFailure::of(&serde_json::from_value(event).unwrap()),
            None
        );
    }

    #[test]
    fn what_is_kept_of_a_pod_is_short() {
        let pod = json!({
            "metadata": { "name": "a", "namespace": "shop", "uid": "7", "labels": { "niphas.io/workload": "web" } },
            "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "x".repeat(100_000),
            }]},
        });
        let pod = PendingPod::of(&serde_json::from_value(pod).unwrap()).unwrap();
        assert!(pod.unschedulable.unwrap().len() <= 1024);
    }
}
