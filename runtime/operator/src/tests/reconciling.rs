//! The controller against a small API server.

use std::collections::BTreeSet;
use std::time::Duration;

use niphas_daemon::Election;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::api_server::{Access, ApiServer};
use super::running::{GROUP, RESYNC, Running, WORKLOADS, json_of_workload};

#[tokio::test]
async fn a_new_workload_takes_one_request_for_each_child_one_to_read_it_and_one_for_its_status() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, RESYNC);
    assert_eq!(
        server.settled().await,
        [
            "get niphasworkloads web",
            "patch services web",
            "patch deployments web",
            "patch niphasworkloads/status web",
        ]
    );
    assert_eq!(server.condition("Ready"), "False RollingOut");

    server.rolls_out();
    assert_eq!(
        server.settled().await,
        ["patch niphasworkloads/status web", "create events"]
    );
    assert_eq!(server.condition("Ready"), "True Ready");
    assert_eq!(server.status()["closures"][0]["system"], "x86_64-linux");
    running.end().await;
}

#[tokio::test]
async fn nothing_is_asked_when_nothing_changes() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, Duration::from_millis(100));
    server.settled().await;
    server.rolls_out();
    server.settled().await;
    // Some ten rounds of looking at it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.requests(), [""; 0]);
    running.end().await;
}

#[tokio::test]
async fn a_controller_that_comes_after_finds_all_as_it_is() {
    let server = ApiServer::with(&json_of_workload());
    let first = Running::start(&server, RESYNC);
    server.settled().await;
    server.rolls_out();
    server.settled().await;
    let status = server.status();
    first.end().await;

    let second = Running::start(&server, RESYNC);
    // What it applies once is what is there.
    assert_eq!(
        server.settled().await,
        [
            "get niphasworkloads web",
            "patch services web",
            "patch deployments web"
        ]
    );
    assert_eq!(server.status(), status);
    second.end().await;
}

#[tokio::test]
async fn children_that_are_declared_no_more_go() {
    let mut declared = json_of_workload();
    declared["spec"]["serviceAccount"] = json!({});
    let server = ApiServer::with(&declared);
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    assert!(server.get("", "serviceaccounts", "web").is_some());

    server.edit(GROUP, WORKLOADS, "web", |workload| {
        let spec = workload["spec"].as_object_mut().unwrap();
        spec.remove("serviceAccount");
        spec.remove("service");
    });
    let mut requests = server.settled().await;
    // What is declared no more goes at once, in no order.
    requests[2..4].sort_unstable();
    assert_eq!(
        requests[..4],
        [
            "get niphasworkloads web",
            "patch deployments web",
            "delete serviceaccounts web",
            "delete services web",
        ]
    );
    assert!(server.get("", "serviceaccounts", "web").is_none());
    running.end().await;
}

#[tokio::test]
async fn a_suspended_workload_is_left_alone() {
    let mut suspended = json_of_workload();
    suspended["metadata"]["annotations"] = json!({ "niphas.io/suspend": "true" });
    let server = ApiServer::with(&suspended);
    let running = Running::start(&server, RESYNC);
    assert_eq!(
        server.settled().await,
        [
            "get niphasworkloads web",
            "patch niphasworkloads/status web",
            "create events"
        ]
    );
    assert_eq!(server.condition("Ready"), "Unknown Suspended");
    server.edit(GROUP, WORKLOADS, "web", |workload| {
        workload["metadata"]["annotations"] = json!({});
    });
    assert_eq!(server.settled().await.len(), 5);
    assert_eq!(server.condition("Ready"), "False RollingOut");
    running.end().await;
}

#[tokio::test]
async fn a_workload_that_is_being_deleted_makes_no_children() {
    let mut deleted = json_of_workload();
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let server = ApiServer::with(&deleted);
    let running = Running::start(&server, RESYNC);
    assert_eq!(server.settled().await, [""; 0]);
    running.end().await;
}

#[tokio::test]
async fn what_a_node_says_of_a_mount_is_in_the_status() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    server.put(
        "",
        "pods",
        json!({
            "metadata": { "name": "web-1", "uid": "pod", "labels": { "niphas.io/workload": "web" } },
            "status": { "phase": "Pending" },
        }),
    );
    let event = |component: &str, name: &str, uid: &str| {
        json!({
            "metadata": { "name": format!("web-1.{component}.{name}.{uid}") },
            "involvedObject": { "kind": "Pod", "name": name, "uid": uid },
            "reason": "FailedMount", "source": { "component": component, "host": "node1" },
            "message": "MountVolume.SetUp failed for volume \"closure\" : rpc error: code = FailedPrecondition desc = another digest",
        })
    };
    server.settled().await;
    // Not of kubelet, or not of this pod.
    server.put("", "events", event("someone", "web-1", "pod"));
    server.put("", "events", event("kubelet", "web-2", "pod"));
    server.put("", "events", event("kubelet", "web-1", "another"));
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "False RollingOut");
    server.put("", "events", event("kubelet", "web-1", "pod"));
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "True MountRefused");
    assert_eq!(server.condition("Mounted"), "False MountRefused");
    server.delete("", "pods", "web-1");
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "False RollingOut");
    running.end().await;
}

#[tokio::test]
async fn a_workload_that_no_node_can_run_says_so_until_one_comes() {
    let mut declared = json_of_workload();
    declared["spec"]["closures"][0]["system"] = json!("aarch64-linux");
    let server = ApiServer::with(&declared);
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "True NoNode");
    let node =
        json!({ "metadata": { "name": "node2", "labels": { "kubernetes.io/arch": "arm64" } } });
    server.put("", "nodes", node);
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "False RollingOut");
    running.end().await;
}

#[tokio::test]
async fn a_child_that_the_api_server_refuses_is_told_and_the_others_are_made() {
    let server = ApiServer::with(&json_of_workload());
    server.refuse("services");
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "True ChildRefused");
    assert!(server.get("apps", "deployments", "web").is_some());
    running.end().await;
}

#[tokio::test]
async fn a_workload_of_too_many_values_is_refused_without_its_children() {
    let mut declared = json_of_workload();
    let many: Vec<Value> = (0..25_000).map(|_| json!({})).collect();
    declared["spec"]["podTemplate"] = json!({ "spec": { "containers": many } });
    let server = ApiServer::with(&declared);
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "True InvalidWorkload");
    let told = server.status()["conditions"][0]["message"].to_string();
    assert!(told.contains("at most 20000 are taken"), "{told}");
    assert!(server.children().is_empty());
    running.end().await;
}

#[tokio::test]
async fn only_the_namespaces_that_are_named_are_worked_for() {
    let server = ApiServer::with(&json_of_workload());
    let elsewhere = Running::start_in(&server, RESYNC, &["elsewhere"]);
    assert_eq!(server.settled().await, [""; 0]);
    elsewhere.end().await;
    let here = Running::start_in(&server, RESYNC, &["elsewhere", "shop"]);
    server.settled().await;
    assert_eq!(server.condition("Ready"), "False RollingOut");
    server.delete(GROUP, WORKLOADS, "web");
    server.delete("", "services", "web");
    assert_eq!(server.settled().await, [""; 0]);
    here.end().await;
}

#[tokio::test]
async fn a_kind_that_the_cluster_does_not_know_is_told_and_holds_up_nothing() {
    let mut declared = json_of_workload();
    declared["spec"]["httpRoute"] = json!({ "parentRefs": [{ "name": "gateway" }] });
    let server = ApiServer::with(&declared);
    server.does_not_know("gateway.networking.k8s.io");
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    assert_eq!(server.condition("Stalled"), "True ChildRefused");
    let told = server.status()["conditions"][0]["message"].to_string();
    assert!(
        told.contains("knows no HTTPRoute of gateway.networking.k8s.io/v1"),
        "{told}"
    );
    assert!(server.get("apps", "deployments", "web").is_some());
    running.end().await;
}

#[tokio::test]
async fn one_replica_leads_and_the_other_takes_over_when_it_ends() {
    let server = ApiServer::new();
    let stop = CancellationToken::new();
    let election = |identity: &str| {
        Election::new(
            server.client(),
            "niphas-system",
            "niphas-operator".to_owned(),
            identity.to_owned(),
        )
    };
    let (mut first, mut second) = (election("a"), election("b"));
    assert!(first.win(&stop).await);
    let waiting = tokio::time::timeout(Duration::from_secs(3), second.win(&stop));
    assert!(waiting.await.is_err(), "two replicas lead");
    first.release().await;
    assert!(second.win(&stop).await);
}

/// The rules of the operator's roles in deploy/operator.yaml, one verb and one resource each.
fn granted() -> BTreeSet<Access> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/operator.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let list = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    let mut granted = BTreeSet::new();
    for object in objects {
        for rule in object["rules"].as_array().into_iter().flatten() {
            for group in list(&rule["apiGroups"]) {
                for resource in list(&rule["resources"]) {
                    for verb in list(&rule["verbs"]) {
                        granted.insert((verb, group.clone(), resource.clone()));
                    }
                }
            }
        }
    }
    granted
}

/// Makes, finds, drops and changes children of every kind, so that every request is made that the operator ever makes.
#[tokio::test]
async fn the_rules_allow_what_is_asked_and_nothing_else() {
    let mut declared = json_of_workload();
    let full = json!({
        "files": { "/etc/a": { "text": "a" } },
        "ingress": { "hosts": { "example.org": {} } },
        "httpRoute": { "parentRefs": [{ "name": "gateway" }] },
        "grpcRoute": { "parentRefs": [{ "name": "gateway" }] },
        "networkPolicy": { "ingress": [] },
        "autoscaling": { "maxReplicas": 3, "cpu": 80 },
        "disruptionBudget": { "maxUnavailable": 1 },
        "serviceAccount": {},
    });
    let server = ApiServer::new();
    let mut election = Election::new(
        server.client(),
        "niphas-system",
        "niphas-operator".to_owned(),
        "a".to_owned(),
    );
    let stop = CancellationToken::new();
    assert!(election.win(&stop).await && election.win(&stop).await);

    let bare = declared.clone();
    let spec = declared["spec"].as_object_mut().unwrap();
    spec.extend(full.as_object().unwrap().clone());
    let running = Running::start(&server, RESYNC);
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"] {
        declared["spec"]["kind"] = json!(kind);
        if kind == "CronJob" {
            declared["spec"]["cronJob"] = json!({ "schedule": "@daily" });
        }
        // What is there of the kind before is removed.
        server.put(GROUP, WORKLOADS, declared.clone());
        server.settled().await;
        let children = server.children();
        assert!(!children.is_empty());
        // All is somebody else's: so each is looked at.
        for (group, resource, name) in &children {
            server.edit(group, resource, name, |object| {
                object["metadata"]["labels"] = json!({});
                object["metadata"]["ownerReferences"] = json!([]);
            });
        }
        server.settled().await;
        for (group, resource, name) in &children {
            server.delete(group, resource, name);
        }
        server.edit(GROUP, WORKLOADS, "web", |workload| {
            workload["metadata"]["annotations"] = json!({ "touched": kind });
        });
        server.settled().await;
    }
    server.put(GROUP, WORKLOADS, bare);
    server.settled().await;
    running.end().await;

    let asked = server.accesses();
    let granted = granted();
    let missing: Vec<&Access> = asked.difference(&granted).collect();
    let unused: Vec<&Access> = granted.difference(&asked).collect();
    assert!(missing.is_empty(), "the rules lack: {missing:?}");
    assert!(unused.is_empty(), "the rules have without need: {unused:?}");
}
