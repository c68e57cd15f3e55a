//! Statuses as API servers and kubelets write them.

use std::slice::from_ref;

use k8s_openapi::jiff::ToSpan as _;
use serde_json::{Value, json};

use super::*;
use crate::job::Attempt;

const CREATED: &str = "2026-12-01T00:00:00Z";

fn member() -> StorePath {
    StorePath::from_base_name("0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-member.drv").unwrap()
}

fn identity() -> JobIdentity {
    JobIdentity {
        derivation: StorePath::from_base_name("1c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-x.drv").unwrap(),
        members: vec![member()],
        system: "x86_64-linux".to_owned(),
        attempt: Attempt::FIRST,
    }
}

/// The standing of a Job with pods, minutes after they were made.
fn after(minutes: i64, job: &Value, pods: &[Value]) -> Standing {
    let job: Job = serde_json::from_value(json!({ "metadata": {}, "status": job })).unwrap();
    let pods = pods
        .iter()
        .map(|pod| serde_json::from_value(pod.clone()).unwrap());
    let pods: Vec<Pod> = pods.collect();
    let now: Timestamp = CREATED.parse().unwrap();
    let patience = Patience {
        pending: Duration::from_mins(10),
        lost: Duration::from_mins(5),
    };
    let pods: Vec<&Pod> = pods.iter().collect();
    standing(&job, &identity(), &pods, now + minutes.minutes(), patience)
}

fn pod(status: &Value) -> Value {
    json!({
        "metadata": { "name": "niphas-build-x-abcde", "uid": "1", "creationTimestamp": CREATED },
        "spec": { "nodeName": "node-1", "containers": [] },
        "status": status,
    })
}

fn container(state: &Value) -> Value {
    json!([{ "name": "build", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state }])
}

fn waiting(reason: &str, message: Option<&str>) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    pod(&json!({ "phase": "Pending", "containerStatuses": container(&state) }))
}

fn terminated(terminated: &Value) -> Value {
    pod(
        &json!({ "phase": "Failed", "containerStatuses": container(&json!({ "terminated": terminated })) }),
    )
}

fn failed(reason: &str, message: &str) -> Value {
    json!({ "conditions": [
        { "type": "FailureTarget", "status": "True", "reason": reason, "message": message },
        { "type": "Failed", "status": "True", "reason": reason, "message": message },
    ] })
}

fn waits(why: &str) -> Standing {
    Standing::Waiting(why.to_owned())
}

fn fails(cause: Cause, message: &str) -> Standing {
    Standing::Failed(Failure::new(cause, message))
}

/// What a Job with this exit code of its pod says.
fn by_policy(code: i32) -> Value {
    let message = format!(
        "Container build for pod niphas-builds/niphas-build-x-abcde failed with exit code {code} matching FailJob rule at index 1"
    );
    failed("PodFailurePolicy", &message)
}

#[test]
fn a_job_waits_for_its_pod_a_node_an_image_and_its_inputs() {
    let active = json!({ "active": 1 });
    assert_eq!(after(1, &json!({}), &[]), waits("its pod is not made yet"));
    let unschedulable = pod(&json!({
        "phase": "Pending",
        "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient memory." }],
    }));
    let why = "no node takes its pod: 0/2 nodes are available: 2 Insufficient memory.";
    assert_eq!(after(1, &active, from_ref(&unschedulable)), waits(why));
    assert_eq!(
        after(1, &active, &[waiting("ContainerCreating", None)]),
        waits("its inputs are mounted on the node")
    );
    let backoff = waiting("ImagePullBackOff", Some("Back-off pulling image \"i\""));
    let why = "the image of the agent cannot be pulled: Back-off pulling image \"i\"";
    assert_eq!(after(1, &active, from_ref(&backoff)), waits(why));
    let config = waiting("CreateContainerError", Some("seccomp profile is not there"));
    assert_eq!(
        after(1, &active, &[config]),
        waits("its container does not start: seccomp profile is not there")
    );
    // For a while.
    let message = format!("the build was not started in 10 minutes: {why}");
    let overdue = Standing::Overdue(Failure::new(Cause::Unstarted, &message));
    assert_eq!(after(11, &active, &[backoff]), overdue);
    assert!(matches!(
        after(11, &active, &[unschedulable]),
        Standing::Overdue(_)
    ));
}

#[test]
fn a_job_runs_as_long_as_its_pod_does() {
    let state = json!({ "running": { "startedAt": CREATED } });
    let running = pod(&json!({ "phase": "Running", "containerStatuses": container(&state) }));
    let expected = Standing::Running {
        pod: "niphas-build-x-abcde".to_owned(),
        node: "node-1".to_owned(),
        since: CREATED.parse().ok(),
    };
    assert_eq!(
        after(10_000, &json!({ "active": 1 }), from_ref(&running)),
        expected
    );
    // A node that went away does not say that the pod ended.
    let mut lost = running;
    lost["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:01:00Z");
    assert_eq!(after(5, &json!({ "active": 1 }), &[lost.clone()]), expected);
    let gone = Standing::Lost {
        pod: "niphas-build-x-abcde".to_owned(),
        uid: "1".to_owned(),
    };
    assert_eq!(after(7, &json!({ "active": 1 }), &[lost]), gone);
}

#[test]
fn evicted_pods_are_replaced_and_say_why() {
    let evicted = pod(&json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
        "conditions": [{ "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet" }],
        "containerStatuses": container(&json!({ "terminated": { "exitCode": 143, "reason": "Error" } })),
    }));
    let why = "another pod takes the place of one that ended with Evicted, exit code 143";
    assert_eq!(
        after(1, &json!({ "failed": 1 }), from_ref(&evicted)),
        waits(why)
    );
    let mut next = waiting("ContainerCreating", None);
    next["metadata"]["name"] = json!("niphas-build-x-fghij");
    next["metadata"]["creationTimestamp"] = json!("2026-12-01T00:05:00Z");
    assert_eq!(
        after(
            14,
            &json!({ "active": 1 }),
            &[next.clone(), evicted.clone()]
        ),
        waits("its inputs are mounted on the node")
    );
    assert!(matches!(
        after(16, &json!({ "active": 1 }), &[evicted, next]),
        Standing::Overdue(_)
    ));
}

#[test]
fn what_ended_well_is_built_and_what_is_deleted_is_removed() {
    let complete = json!({ "succeeded": 1, "conditions": [
        { "type": "SuccessCriteriaMet", "status": "True", "reason": "CompletionsReached" },
        { "type": "Complete", "status": "True", "reason": "CompletionsReached" },
    ] });
    assert_eq!(after(1, &complete, &[]), Standing::Built);
    let job: Job = serde_json::from_value(json!({
        "metadata": { "deletionTimestamp": CREATED, "finalizers": ["foregroundDeletion"] }, "status": complete,
    }))
    .unwrap();
    let patience = Patience::of(&Policy::default());
    assert_eq!(
        standing(&job, &identity(), &[], Timestamp::now(), patience),
        Standing::Removed
    );
    // Not before its pods have ended.
    let target = json!({ "conditions": [{ "type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy" }] });
    assert!(matches!(after(1, &target, &[]), Standing::Waiting(_)));
}

#[test]
fn exit_codes_say_whose_fault_it_was() {
    let words = r#"{"message":"builder failed with exit code 3"}"#;
    for (code, message, cause, said) in [
        (
            100,
            Some(words),
            Cause::Build(100),
            "builder failed with exit code 3",
        ),
        (100, None, Cause::Build(100), "the build failed"),
        (
            101,
            None,
            Cause::TimedOut,
            "the build took longer than it may",
        ),
        (102, Some("not JSON"), Cause::Build(102), "the build failed"),
        (120, None, Cause::Build(120), "the build failed"),
        (
            12,
            None,
            Cause::OutOfMemory,
            "the build took more memory than it may",
        ),
        (137, None, Cause::Machine, "its container was killed"),
    ] {
        let pod = terminated(&json!({ "exitCode": code, "reason": "Error", "message": message }));
        assert_eq!(
            after(1, &by_policy(code), &[pod]),
            fails(cause, said),
            "{code}"
        );
        // The pod may be gone by then.
        assert!(
            matches!(after(1, &by_policy(code), &[]), Standing::Failed(it) if it.cause == cause),
            "{code}"
        );
    }
    let killed = terminated(&json!({ "exitCode": 137, "reason": "OOMKilled" }));
    let cause = Cause::OutOfMemory;
    assert_eq!(
        after(1, &by_policy(137), &[killed]),
        fails(cause, "the build took more memory than it may")
    );
    let broken = terminated(&json!({ "exitCode": 10, "reason": "Error" }));
    let message = "its pod broke as often as it may; the last one ended with exit code 10";
    let backoff = failed(
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    );
    assert_eq!(
        after(1, &backoff, &[broken]),
        fails(Cause::Machine, message)
    );
    let deadline = failed(
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
    );
    assert_eq!(
        after(1, &deadline, &[]),
        fails(Cause::TimedOut, "the build took longer than its Job may")
    );
    let other = failed("SomethingNew", "of a later version");
    assert_eq!(
        after(1, &other, &[]),
        fails(
            Cause::Machine,
            "its Job failed: SomethingNew of a later version"
        )
    );
}

#[test]
fn a_pod_speaks_of_its_own_derivations_only_and_briefly() {
    let says = |derivation: &str, message: &str| {
        let words = json!({ "message": message, "derivation": derivation }).to_string();
        let pod = terminated(&json!({ "exitCode": 100, "message": words }));
        match after(1, &by_policy(100), &[pod]) {
            Standing::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(says(member().base_name(), "it").derivation, Some(member()));
    let other = "2c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-of-others.drv";
    assert_eq!(says(other, "it").derivation, None);
    assert_eq!(says("../..", "it").derivation, None);
    let message = says("", &format!("\u{1b}[31mred{}", "x".repeat(3000))).message;
    assert!(
        message.len() < 1100 && !message.contains('\u{1b}'),
        "{message}"
    );
    assert_eq!(says("", &"x".repeat(5000)).message, "the build failed");
}

#[test]
fn only_what_may_go_better_is_tried_again_and_not_for_ever() {
    let policy = Policy {
        attempts: 3,
        max_memory: Size::gibibytes(6),
        ..Policy::default()
    };
    let after = |cause, number, memory: u32| {
        let attempt = Attempt {
            number,
            memory: None,
        };
        next(
            &Failure::new(cause, ""),
            attempt,
            Size::gibibytes(memory),
            &policy,
        )
    };
    let with = |number, memory: Option<u32>| {
        Next::TryAgain(Attempt {
            number,
            memory: memory.map(Size::gibibytes),
        })
    };
    assert_eq!(after(Cause::OutOfMemory, 1, 2), with(2, Some(4)));
    assert_eq!(after(Cause::OutOfMemory, 2, 4), with(3, Some(6)));
    assert_eq!(after(Cause::OutOfMemory, 2, 6), Next::GiveUp);
    assert_eq!(after(Cause::OutOfMemory, 3, 2), Next::GiveUp);
    assert_eq!(after(Cause::Machine, 1, 2), with(2, None));
    assert_eq!(after(Cause::Machine, 3, 2), Next::GiveUp);
    for cause in [
        Cause::Build(100),
        Cause::TimedOut,
        Cause::Unstarted,
        Cause::Refused,
    ] {
        assert_eq!(after(cause, 1, 2), Next::GiveUp);
    }
}
