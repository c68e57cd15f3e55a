//! How far the pods of a workload are, from the status of the object that makes them.

use serde::Deserialize;

use crate::kinds::Kind;

/// How many pods there are, and whether they are the declared ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollout {
    pub(crate) replicas: i32,
    pub(crate) ready: i32,
    /// Whether there should be any pods now.
    pub(crate) wants_pods: bool,
    pub(crate) stage: Stage,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// All is as declared.
    Complete(String),
    /// It goes on.
    Progressing(String),
    /// It does not go on by itself.
    Failed {
        reason: &'static str,
        message: String,
    },
}

/// What matters of the spec of an object that makes pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MakerSpec {
    pub(crate) replicas: Option<i32>,
    completions: Option<i32>,
    parallelism: Option<i32>,
    suspend: bool,
    update_strategy: UpdateStrategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    r#type: String,
    rolling_update: RollingUpdate,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    partition: i32,
}

/// What matters of the status of an object that makes pods; which fields there are depends on its kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MakerStatus {
    observed_generation: Option<i64>,
    replicas: i32,
    ready_replicas: i32,
    updated_replicas: i32,
    available_replicas: i32,
    current_revision: String,
    update_revision: String,
    desired_number_scheduled: i32,
    current_number_scheduled: i32,
    updated_number_scheduled: i32,
    number_ready: i32,
    number_available: i32,
    succeeded: i32,
    failed: i32,
    ready: i32,
    conditions: Vec<MakerCondition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct MakerCondition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

impl MakerStatus {
    fn condition(&self, name: &str, status: &str) -> Option<&MakerCondition> {
        self.conditions
            .iter()
            .find(|condition| condition.r#type == name && condition.status == status)
    }
}

/// How far the pods of an object of this kind are; none if the kind makes no pods.
pub(crate) fn rollout(
    kind: &Kind,
    generation: Option<i64>,
    spec: &MakerSpec,
    status: &MakerStatus,
) -> Option<Rollout> {
    let mut rollout = match kind.name {
        "Deployment" => deployment(spec, status),
        "StatefulSet" => stateful_set(spec, status),
        "DaemonSet" => daemon_set(spec, status),
        "Job" => job(spec, status),
        "CronJob" => cron_job(spec),
        _ => return None,
    };
    // Jobs count no generations: their template never changes.
    let counts = !matches!(kind.name, "Job" | "CronJob");
    if counts && status.observed_generation < generation {
        rollout.stage = Stage::Progressing(format!(
            "the controller of the {} has not seen the change yet",
            kind.name
        ));
    }
    Some(rollout)
}

fn deployment(spec: &MakerSpec, status: &MakerStatus) -> Rollout {
    let desired = spec.replicas.unwrap_or(1);
    let too_late = status
        .condition("Progressing", "False")
        .filter(|condition| condition.reason == "ProgressDeadlineExceeded");
    let stage = if let Some(condition) = status.condition("ReplicaFailure", "True") {
        failed("PodsRefused", &condition.message)
    } else if let Some(condition) = too_late {
        failed("ProgressDeadlineExceeded", &condition.message)
    } else if status.updated_replicas < desired {
        Stage::Progressing(updated(status.updated_replicas, desired))
    } else if status.replicas > status.updated_replicas {
        let old = status.replicas - status.updated_replicas;
        Stage::Progressing(format!("waiting for {} to end", pods(old, "old ")))
    } else if status.available_replicas < status.updated_replicas {
        Stage::Progressing(available(
            status.available_replicas,
            status.updated_replicas,
        ))
    } else {
        complete(status.available_replicas)
    };
    Rollout {
        replicas: status.replicas,
        ready: status.ready_replicas,
        wants_pods: desired > 0,
        stage,
    }
}

fn stateful_set(spec: &MakerSpec, status: &MakerStatus) -> Rollout {
    let desired = spec.replicas.unwrap_or(1);
    let strategy = &spec.update_strategy;
    let to_update = (desired - strategy.rolling_update.partition).max(0);
    let replaces = strategy.r#type != "OnDelete";
    let stage = if status.replicas < desired {
        Stage::Progressing(format!(
            "{} of {} started",
            status.replicas,
            pods(desired, "")
        ))
    } else if replaces
        && status.update_revision != status.current_revision
        && status.updated_replicas < to_update
    {
        Stage::Progressing(updated(status.updated_replicas, to_update))
    } else if status.available_replicas < desired {
        Stage::Progressing(available(status.available_replicas, desired))
    } else if status.replicas > desired {
        Stage::Progressing(format!(
            "waiting for {} to end",
            pods(status.replicas - desired, "surplus ")
        ))
    } else {
        complete(status.available_replicas)
    };
    Rollout {
        replicas: status.replicas,
        ready: status.ready_replicas,
        wants_pods: desired > 0,
        stage,
    }
}

fn daemon_set(spec: &MakerSpec, status: &MakerStatus) -> Rollout {
    let desired = status.desired_number_scheduled;
    let replaces = spec.update_strategy.r#type != "OnDelete";
    let stage = if replaces && status.updated_number_scheduled < desired {
        Stage::Progressing(updated(status.updated_number_scheduled, desired))
    } else if status.number_available < desired {
        Stage::Progressing(available(status.number_available, desired))
    } else if desired == 0 {
        Stage::Complete("no node is to run it".to_owned())
    } else {
        complete(desired)
    };
    Rollout {
        replicas: status.current_number_scheduled,
        ready: status.number_ready,
        wants_pods: true,
        stage,
    }
}

fn job(spec: &MakerSpec, status: &MakerStatus) -> Rollout {
    let completions = spec.completions.or(spec.parallelism).unwrap_or(1);
    let stage = if status.condition("Complete", "True").is_some() {
        Stage::Complete(format!("{} succeeded", pods(status.succeeded, "")))
    } else if let Some(condition) = status.condition("Failed", "True") {
        failed("JobFailed", &condition.message)
    } else if spec.suspend {
        Stage::Progressing("the Job is suspended".to_owned())
    } else if status.failed > 0 {
        Stage::Progressing(format!(
            "{} of {} succeeded, {} failed and are tried again",
            status.succeeded,
            pods(completions, ""),
            status.failed
        ))
    } else {
        Stage::Progressing(format!(
            "{} of {} succeeded",
            status.succeeded,
            pods(completions, "")
        ))
    };
    Rollout {
        replicas: status.ready,
        ready: status.ready,
        wants_pods: !matches!(stage, Stage::Complete(_)),
        stage,
    }
}

fn cron_job(spec: &MakerSpec) -> Rollout {
    let stage = if spec.suspend {
        Stage::Complete("the CronJob is suspended".to_owned())
    } else {
        Stage::Complete("it will run as scheduled".to_owned())
    };
    Rollout {
        replicas: 0,
        ready: 0,
        wants_pods: true,
        stage,
    }
}

fn failed(reason: &'static str, message: &str) -> Stage {
    Stage::Failed {
        reason,
        message: message.to_owned(),
    }
}

fn complete(number: i32) -> Stage {
    Stage::Complete(match number {
        0 => "no pod is to run".to_owned(),
        1 => "1 pod runs".to_owned(),
        number => format!("{number} pods run"),
    })
}

fn updated(number: i32, of: i32) -> String {
    format!(
        "{number} of {} of the declared version started",
        pods(of, "")
    )
}

fn available(number: i32, of: i32) -> String {
    format!("{number} of {} available", pods(of, ""))
}

fn pods(number: i32, which: &str) -> String {
    if number == 1 {
        format!("1 {which}pod")
    } else {
        format!("{number} {which}pods")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is told of an object: "ready of replicas: stage".
    fn told(kind: &str, spec: Value, status: Value) -> String {
        let rollout = rollout(
            Kind::named(kind).unwrap(),
            Some(2),
            &serde_json::from_value(spec).unwrap(),
            &serde_json::from_value(status).unwrap(),
        );
        let Rollout {
            replicas,
            ready,
            stage,
            ..
        } = rollout.unwrap();
        format!("{ready} of {replicas}: {stage:?}")
    }

    #[test]
    fn a_deployment_is_complete_when_all_pods_are_new_and_available() {
        let spec = json!({ "replicas": 3 });
        let status = |replicas: i32, updated: i32, available: i32| {
            told(
                "Deployment",
                spec.clone(),
                json!({
                    "observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated,
                    "availableReplicas": available, "readyReplicas": available,
                }),
            )
        };
        assert_eq!(
            status(3, 1, 3),
            r#"3 of 3: Progressing("1 of 3 pods of the declared version started")"#
        );
        assert_eq!(
            status(4, 3, 4),
            r#"4 of 4: Progressing("waiting for 1 old pod to end")"#
        );
        assert_eq!(
            status(3, 3, 2),
            r#"2 of 3: Progressing("2 of 3 pods available")"#
        );
        assert_eq!(status(3, 3, 3), r#"3 of 3: Complete("3 pods run")"#);
    }

    #[test]
    fn what_was_not_observed_yet_is_not_complete() {
        for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
            let told = told(
                kind,
                json!({ "replicas": 0 }),
                json!({ "observedGeneration": 1 }),
            );
            assert!(told.contains("has not seen the change yet"), "{told}");
        }
    }

    #[test]
    fn a_deployment_that_cannot_make_pods_fails_with_the_reason() {
        let condition = |name: &str, status: &str, reason: &str| {
            told(
                "Deployment",
                json!({}),
                json!({ "observedGeneration": 2, "conditions": [{
                    "type": name, "status": status, "reason": reason, "message": "why",
                }]}),
            )
        };
        assert_eq!(
            condition("ReplicaFailure", "True", "FailedCreate"),
            r#"0 of 0: Failed { reason: "PodsRefused", message: "why" }"#
        );
        assert_eq!(
            condition("Progressing", "False", "ProgressDeadlineExceeded"),
            r#"0 of 0: Failed { reason: "ProgressDeadlineExceeded", message: "why" }"#
        );
    }

    #[test]
    fn a_stateful_set_is_complete_when_its_revision_is_everywhere() {
        let status = |strategy: &str, updated: i32, current: &str| {
            told(
                "StatefulSet",
                json!({ "replicas": 2, "updateStrategy": { "type": strategy } }),
                json!({
                    "observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                    "updatedReplicas": updated, "currentRevision": current, "updateRevision": "b",
                }),
            )
        };
        assert_eq!(
            status("RollingUpdate", 1, "a"),
            r#"2 of 2: Progressing("1 of 2 pods of the declared version started")"#
        );
        assert_eq!(
            status("RollingUpdate", 2, "b"),
            r#"2 of 2: Complete("2 pods run")"#
        );
        assert_eq!(
            status("OnDelete", 0, "a"),
            r#"2 of 2: Complete("2 pods run")"#
        );
    }

    #[test]
    fn a_daemon_set_runs_on_each_node_that_is_to_run_it() {
        let status = |desired: i32, updated: i32, available: i32| {
            told(
                "DaemonSet",
                json!({}),
                json!({
                    "observedGeneration": 2, "desiredNumberScheduled": desired,
                    "currentNumberScheduled": desired, "updatedNumberScheduled": updated,
                    "numberAvailable": available, "numberReady": available,
                }),
            )
        };
        assert_eq!(
            status(2, 2, 1),
            r#"1 of 2: Progressing("1 of 2 pods available")"#
        );
        assert_eq!(status(2, 2, 2), r#"2 of 2: Complete("2 pods run")"#);
        assert_eq!(
            status(0, 0, 0),
            r#"0 of 0: Complete("no node is to run it")"#
        );
    }

    #[test]
    fn a_job_is_complete_when_it_ended_well() {
        let status = |status| told("Job", json!({ "completions": 2 }), status);
        assert_eq!(
            status(json!({ "succeeded": 1, "ready": 1, "active": 1 })),
            r#"1 of 1: Progressing("1 of 2 pods succeeded")"#
        );
        assert_eq!(
            status(
                json!({ "succeeded": 2, "conditions": [{ "type": "Complete", "status": "True" }] })
            ),
            r#"0 of 0: Complete("2 pods succeeded")"#
        );
        assert_eq!(
            status(json!({ "failed": 7, "conditions": [{
                "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often",
            }]})),
            r#"0 of 0: Failed { reason: "JobFailed", message: "too often" }"#
        );
    }

    #[test]
    fn a_cron_job_is_complete_as_soon_as_it_is_there() {
        let running =
            json!({ "active": [{ "name": "web-1" }], "lastScheduleTime": "2026-01-01T00:00:00Z" });
        assert_eq!(
            told("CronJob", json!({ "schedule": "@daily" }), running),
            r#"0 of 0: Complete("it will run as scheduled")"#
        );
    }
}
