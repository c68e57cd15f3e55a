use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::kinds::Kind;
use crate::pods::PodKey;
use crate::tests::workload;

fn amd64() -> BTreeSet<String> {
    ["amd64".to_owned()].into()
}

fn rollout(stage: Stage) -> Rollout {
    Rollout {
        replicas: 3,
        ready: 2,
        wants_pods: true,
        stage,
    }
}

fn complete() -> Findings {
    Findings {
        rollout: Some(rollout(Stage::Complete("3 pods run".to_owned()))),
        architectures: amd64(),
        wanted_architectures: amd64(),
        ..Findings::default()
    }
}

fn progressing() -> Findings {
    Findings {
        rollout: Some(rollout(Stage::Progressing(
            "2 of 3 pods available".to_owned(),
        ))),
        ..complete()
    }
}

fn pod(uid: &str) -> PodKey {
    PodKey {
        namespace: "shop".to_owned(),
        name: format!("web-{uid}"),
        uid: uid.to_owned(),
    }
}

fn pending(uid: &str) -> PendingPod {
    PendingPod {
        key: pod(uid),
        workload: "web".to_owned(),
        unschedulable: None,
        waiting: None,
    }
}

fn failure(pod: &str, is_final: bool) -> MountFailure {
    MountFailure {
        pod: self::pod(pod),
        node: "node1".to_owned(),
        message: "the closure has another digest".to_owned(),
        when: None,
        is_final,
    }
}

fn child(kind: &str) -> ChildKey {
    ChildKey {
        kind: Kind::named(kind).unwrap(),
        name: "web".to_owned(),
    }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn status_of(
    known: Option<&NiphasWorkloadStatus>,
    findings: &Findings,
    now: i64,
) -> NiphasWorkloadStatus {
    let workload = workload();
    let declared = Declared {
        name: "web".to_owned(),
        generation: workload.metadata.generation,
        kind: workload.spec.kind,
        closures: serde_json::from_value(json!([{
            "system": "x86_64-linux", "digest": workload.spec.closures[0].digest,
        }]))
        .unwrap(),
    };
    status(&declared, known, findings, &verdict(findings), &at(now))
}

/// State, reason and message in one line.
fn line(findings: &Findings) -> String {
    let Verdict {
        state,
        reason,
        message,
    } = verdict(findings);
    format!("{state:?} {reason}: {message}")
}

#[test]
fn the_status_of_a_workload_that_runs() {
    let status = status_of(None, &complete(), 1_700_000_000);
    insta::assert_snapshot!(niphas_api::to_yaml(&status).unwrap(), @r#"
    closures:
    - digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
      system: x86_64-linux
    conditions:
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: 3 pods run
      observedGeneration: 3
      reason: Ready
      status: "True"
      type: Ready
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: 3 pods run
      observedGeneration: 3
      reason: Ready
      status: "False"
      type: Reconciling
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: 3 pods run
      observedGeneration: 3
      reason: Ready
      status: "False"
      type: Stalled
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: the pods name the declared closures
      observedGeneration: 3
      reason: Declared
      status: "True"
      type: ClosureDeclared
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: 3 pods run
      observedGeneration: 3
      reason: Complete
      status: "True"
      type: RolloutComplete
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: no pod waits for its closure
      observedGeneration: 3
      reason: Mounted
      status: "True"
      type: Mounted
    observedGeneration: 3
    readyReplicas: 2
    replicas: 3
    selector: niphas.io/workload=web
    "#);
}

#[test]
fn the_status_of_a_workload_whose_closure_is_refused() {
    let findings = Findings {
        pending: vec![pending("7")],
        mount_failures: vec![failure("7", true)],
        ..progressing()
    };
    let status = status_of(None, &findings, 1_700_000_000);
    insta::assert_snapshot!(niphas_api::to_yaml(&status).unwrap(), @r#"
    conditions:
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: "on node1: the closure has another digest"
      observedGeneration: 3
      reason: MountRefused
      status: "False"
      type: Ready
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: "on node1: the closure has another digest"
      observedGeneration: 3
      reason: MountRefused
      status: "False"
      type: Reconciling
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: "on node1: the closure has another digest"
      observedGeneration: 3
      reason: MountRefused
      status: "True"
      type: Stalled
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: the pods name the declared closures
      observedGeneration: 3
      reason: Declared
      status: "True"
      type: ClosureDeclared
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: 2 of 3 pods available
      observedGeneration: 3
      reason: RollingOut
      status: "False"
      type: RolloutComplete
    - lastTransitionTime: "2023-11-14T22:13:20Z"
      message: "on node1: the closure has another digest"
      observedGeneration: 3
      reason: MountRefused
      status: "False"
      type: Mounted
    observedGeneration: 3
    readyReplicas: 2
    replicas: 3
    selector: niphas.io/workload=web
    "#);
}

#[test]
fn a_status_does_not_change_with_time_alone() {
    for findings in [complete(), progressing()] {
        let first = status_of(None, &findings, 1_700_000_000);
        assert_eq!(status_of(Some(&first), &findings, 1_700_000_100), first);
    }
}

#[test]
fn a_condition_keeps_its_time_until_it_turns() {
    let first = status_of(None, &progressing(), 1_700_000_000);
    let second = status_of(Some(&first), &complete(), 1_700_000_100);
    let times: Vec<(&str, i64)> = second
        .conditions
        .iter()
        .map(|condition| {
            let since = condition.last_transition_time.0.as_second() - 1_700_000_000;
            (condition.type_.as_str(), since)
        })
        .collect();
    assert_eq!(
        times,
        [
            ("Ready", 100),
            ("Reconciling", 100),
            ("Stalled", 0),
            ("ClosureDeclared", 0),
            ("RolloutComplete", 100),
            ("Mounted", 0),
        ]
    );
}

#[test]
fn closures_move_on_when_a_rollout_is_complete() {
    let running = |digit: &str| {
        vec![RunningClosure {
            system: "x86_64-linux".parse().unwrap(),
            digest: format!("sha256:{}", digit.repeat(64)).parse().unwrap(),
        }]
    };
    let known = NiphasWorkloadStatus {
        closures: running("1"),
        previous_closures: running("2"),
        ..NiphasWorkloadStatus::default()
    };
    let of = |findings| {
        let status = status_of(Some(&known), &findings, 0);
        (status.closures, status.previous_closures)
    };
    assert_eq!(of(progressing()), (running("1"), running("2")));
    assert_eq!(of(complete()), (running("0"), running("1")));
    let again = NiphasWorkloadStatus {
        closures: running("0"),
        previous_closures: running("1"),
        ..NiphasWorkloadStatus::default()
    };
    let status = status_of(Some(&again), &complete(), 0);
    assert_eq!(
        (status.closures, status.previous_closures),
        (running("0"), running("1"))
    );
}

#[test]
fn of_several_reasons_the_first_cause_is_told() {
    let mut findings = progressing();
    assert_eq!(
        line(&findings),
        "Reconciling RollingOut: 2 of 3 pods available"
    );

    findings.pending = vec![pending("7"), pending("8")];
    findings.pending[1].waiting = Some("CreateContainerConfigError: no secret".to_owned());
    assert_eq!(
        line(&findings),
        "Reconciling ContainerWaiting: 2 of 3 pods available; CreateContainerConfigError: no secret"
    );
    findings.pending[1].unschedulable = Some("0/2 nodes are available".to_owned());
    assert_eq!(
        line(&findings),
        "Reconciling Unschedulable: 2 of 3 pods available; 0/2 nodes are available"
    );
    findings.mount_failures = vec![failure("7", false)];
    assert_eq!(
        line(&findings),
        "Reconciling Mounting: on node1: the closure has another digest"
    );
    findings.rollout = Some(rollout(Stage::Failed {
        reason: "ProgressDeadlineExceeded",
        message: "too late".to_owned(),
    }));
    assert_eq!(
        line(&findings),
        "Stalled ProgressDeadlineExceeded: too late"
    );
    findings.architectures = ["arm64".to_owned()].into();
    assert_eq!(
        line(&findings),
        "Stalled NoNode: no node can run the closures: they are for amd64, and the nodes are arm64"
    );
    findings.mount_failures.push(failure("7", true));
    assert_eq!(
        line(&findings),
        "Stalled MountRefused: on node1: the closure has another digest"
    );
    findings.leaving = vec![child("Deployment")];
    assert_eq!(
        line(&findings),
        "Reconciling WaitingForRemoval: Deployment 'web' of before is not gone yet"
    );
    findings.failed = vec![(child("Service"), "no answer in 30 s".to_owned())];
    assert_eq!(
        line(&findings),
        "Reconciling ApplyFailed: Service 'web' could not be applied, and is tried again: no answer in 30 s"
    );
    findings.refused = vec![
        (child("Ingress"), "spec.rules: Invalid value".to_owned()),
        (child("Service"), "no".to_owned()),
    ];
    assert_eq!(
        line(&findings),
        "Stalled ChildRefused: Ingress 'web' and another is refused: spec.rules: Invalid value"
    );
    findings.foreign = vec![child("ConfigMap")];
    assert_eq!(
        line(&findings),
        "Stalled ChildConflict: ConfigMap 'web' is there already and does not belong to this workload, so it is left alone: delete it, or give the workload another name"
    );
    findings.invalid = Some("podTemplate.spec: unknown".to_owned());
    assert_eq!(
        line(&findings),
        "Stalled InvalidWorkload: podTemplate.spec: unknown"
    );
    findings.is_suspended = true;
    assert_eq!(
        line(&findings),
        "Suspended Suspended: the annotation niphas.io/suspend is set: the children are left as they are"
    );
}

#[test]
fn a_pod_whose_container_waits_has_all_its_mounts() {
    let mut findings = progressing();
    findings.pending = vec![pending("7")];
    findings.pending[0].waiting = Some("ErrImagePull".to_owned());
    findings.mount_failures = vec![failure("7", true)];
    assert_eq!(
        line(&findings),
        "Reconciling ContainerWaiting: 2 of 3 pods available; ErrImagePull"
    );
}

#[test]
fn without_any_node_one_may_come() {
    let findings = Findings {
        architectures: BTreeSet::new(),
        ..progressing()
    };
    assert_eq!(
        line(&findings),
        "Reconciling RollingOut: 2 of 3 pods available"
    );
}

#[test]
fn no_node_is_needed_for_no_pods() {
    let mut findings = Findings {
        architectures: ["arm64".to_owned()].into(),
        ..complete()
    };
    findings.rollout.as_mut().unwrap().wants_pods = false;
    assert_eq!(line(&findings), "Ready Ready: 3 pods run");
}

#[test]
fn long_messages_are_shortened_between_characters() {
    let findings = Findings {
        invalid: Some("ä".repeat(2000)),
        ..complete()
    };
    let status = status_of(None, &findings, 0);
    let message = &status.conditions[0].message;
    assert!(message.len() <= MAX_MESSAGE && message.ends_with("ä…"));
}
