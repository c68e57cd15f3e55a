//! How a pod that serves ends.

use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler, PodTemplateSpec, SleepAction};

use super::{MAIN_CONTAINER, Parent};

/// How long a pod that serves goes on after it was told to end, in seconds: until every node has
/// stopped sending it requests.
const DRAIN_SECONDS: i64 = 5;

/// How long a pod has to end, in seconds, where its template says nothing.
const GRACE_SECONDS: i64 = 30;

/// What the main container does before it ends, unless the user's template says what.
///
/// The program gets at least half of the time that the pod has to end: Kubernetes counts the pause as part of it.
pub(super) fn before_the_end(parent: &Parent<'_>, users: &PodTemplateSpec) -> Option<Lifecycle> {
    parent.spec().service.as_ref()?;
    let pod = users.spec.as_ref();
    let main = pod.and_then(|pod| pod.containers.iter().find(|c| c.name == MAIN_CONTAINER));
    let lifecycle = main.and_then(|main| main.lifecycle.as_ref());
    if lifecycle.is_some_and(|lifecycle| lifecycle.pre_stop.is_some()) {
        return None;
    }
    let grace = pod.and_then(|pod| pod.termination_grace_period_seconds);
    let seconds = DRAIN_SECONDS.min(grace.unwrap_or(GRACE_SECONDS) / 2);
    (seconds > 0).then(|| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    })
}
