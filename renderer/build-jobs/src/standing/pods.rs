//! What a pod says.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::job::CONTAINER;

/// A pod.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) created: Option<Timestamp>,
    pub(super) started: Option<Timestamp>,
    /// When it should have been gone.
    pub(super) deleted: Option<Timestamp>,
    /// Why nothing is built in it yet.
    pub(super) waits: Option<String>,
    /// How it ended.
    pub(super) end: Option<End>,
}

/// How a pod ended.
pub(super) struct End {
    pub(super) code: Option<i32>,
    pub(super) is_out_of_memory: bool,
    /// What the agent said.
    pub(super) words: Option<String>,
    /// Kubernetes' reason.
    reason: Option<String>,
}

impl Place {
    pub(super) fn of(pod: &Pod) -> Self {
        let none = PodStatus::default();
        let status = pod.status.as_ref().unwrap_or(&none);
        let state = container(status);
        let running = state.and_then(|state| state.running.as_ref());
        let is_over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        let time = |time: Option<&Time>| time.map(|time| time.0);
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            node: pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            created: time(pod.metadata.creation_timestamp.as_ref()),
            started: time(running.and_then(|running| running.started_at.as_ref())),
            deleted: time(pod.metadata.deletion_timestamp.as_ref()),
            waits: (running.is_none() && status.phase.as_deref() != Some("Running"))
                .then(|| why_it_waits(status, state)),
            end: is_over.then(|| End::of(status, state)),
        }
    }

    pub(super) fn age_key(&self) -> (Option<Timestamp>, String) {
        (self.created, self.name.clone())
    }

    pub(super) fn ended_how(&self) -> String {
        self.end
            .as_ref()
            .map_or_else(|| "ended".to_owned(), End::how)
    }
}

fn container(status: &PodStatus) -> Option<&ContainerState> {
    let containers = status.container_statuses.as_ref()?;
    let own = containers.iter().find(|it| it.name == CONTAINER)?;
    own.state.as_ref()
}

fn why_it_waits(status: &PodStatus, state: Option<&ContainerState>) -> String {
    let conditions = status.conditions.iter().flatten();
    let unscheduled = { conditions }
        .find(|it| it.type_ == "PodScheduled" && it.status == "False")
        .map(|it| (it.reason.as_deref(), it.message.as_deref()));
    if let Some((reason, message)) = unscheduled {
        let why = message.or(reason).unwrap_or_default();
        return format!("no node takes its pod: {why}");
    }
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let Some((reason, message)) = waiting.map(|it| {
        (
            it.reason.as_deref().unwrap_or_default(),
            it.message.as_deref(),
        )
    }) else {
        return "its pod has no node yet".to_owned();
    };
    let message = message.unwrap_or(reason);
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "RegistryUnavailable"
        | "ImageInspectError" => {
            format!("the image of the agent cannot be pulled: {message}")
        }
        "" | "ContainerCreating" | "PodInitializing" => {
            "its inputs are mounted on the node".to_owned()
        }
        _ => format!("its container does not start: {message}"),
    }
}

impl End {
    fn of(status: &PodStatus, state: Option<&ContainerState>) -> Self {
        let terminated: Option<&ContainerStateTerminated> =
            state.and_then(|state| state.terminated.as_ref());
        let reason = terminated.and_then(|it| it.reason.clone());
        Self {
            code: terminated.map(|it| it.exit_code),
            is_out_of_memory: reason.as_deref() == Some("OOMKilled"),
            words: terminated.and_then(|it| it.message.clone()),
            // That of the pod says more: Evicted, DeadlineExceeded, NodeLost.
            reason: status.reason.clone().or(reason).filter(|it| it != "Error"),
        }
    }

    /// As a part of a sentence.
    pub(super) fn how(&self) -> String {
        match (&self.reason, self.code) {
            (Some(reason), Some(code)) if code != 0 => {
                format!("ended with {reason}, exit code {code}")
            }
            (Some(reason), _) => format!("ended with {reason}"),
            (None, Some(code)) => format!("ended with exit code {code}"),
            (None, None) => "was lost".to_owned(),
        }
    }
}
