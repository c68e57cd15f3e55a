//! What others do to children: the controller restores what is declared, and leaves alone what is not its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::running::{GROUP, RESYNC, Running, WORKLOADS, json_of_workload};

#[tokio::test]
async fn a_child_that_somebody_deletes_or_edits_is_brought_back() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    let before = server.get("", "services", "web").unwrap();

    // The workload is read again: what its children are made of is not kept.
    let again = ["get niphasworkloads web", "patch services web"];
    server.delete("", "services", "web");
    assert_eq!(server.settled().await, again);

    server.edit("", "services", "web", |service| {
        service["spec"]["selector"] = json!({ "app": "another" });
        let ours = &mut service["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
        ours.as_object_mut().unwrap().remove("f:selector");
    });
    assert_eq!(server.settled().await, again);
    let after = server.get("", "services", "web").unwrap();
    assert_eq!(after["spec"]["ports"], before["spec"]["ports"]);
    assert_eq!(after["spec"]["selector"]["niphas.io/workload"], "web");

    // What is not the operator's stays as it is.
    server.edit("apps", "deployments", "web", |deployment| {
        deployment["metadata"]["annotations"]["example.org/checked"] = json!("yes");
    });
    assert_eq!(server.settled().await, [""; 0]);
    running.end().await;
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_left_alone_and_told() {
    let server = ApiServer::with(&json_of_workload());
    let foreign =
        json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "theirs" } } });
    server.put("", "services", foreign);
    let before = server.get("", "services", "web");
    let running = Running::start(&server, RESYNC);
    let requests = server.settled().await;
    assert!(
        requests.contains(&"get services web".to_owned()),
        "{requests:?}"
    );
    assert_eq!(server.get("", "services", "web"), before);
    assert_eq!(server.condition("Stalled"), "True ChildConflict");
    assert_eq!(server.condition("ClosureDeclared"), "True Declared");

    // It goes, and the workload has its Service: after a pause, for nothing tells of what has no label.
    server.delete("", "services", "web");
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if server.condition("Stalled") != "True ChildConflict" {
            break;
        }
    }
    assert_eq!(server.condition("Stalled"), "False RollingOut");
    running.end().await;
}

#[tokio::test]
async fn a_child_whose_label_is_changed_or_removed_gets_it_back() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    let label = |server: &ApiServer| {
        let service = server.get("", "services", "web").unwrap();
        service["metadata"]["labels"]["niphas.io/workload"].clone()
    };

    server.edit("", "services", "web", |service| relabel(service, "other"));
    assert_eq!(
        server.settled().await,
        ["get niphasworkloads web", "patch services web"]
    );
    assert_eq!(label(&server), "web");

    // The watch tells of an object that its selector has no more as of one that is gone.
    server.edit("", "services", "web", |service| {
        service["metadata"]["labels"] = json!({});
    });
    assert_eq!(
        server.settled().await,
        [
            "get niphasworkloads web",
            "patch services web",
            "get services web",
            "patch services web"
        ]
    );
    assert_eq!(label(&server), "web");
    running.end().await;
}

/// Changes the label as another does: the operator's fields are fewer then.
fn relabel(object: &mut Value, name: &str) {
    object["metadata"]["labels"]["niphas.io/workload"] = json!(name);
    for entry in object["metadata"]["managedFields"].as_array_mut().unwrap() {
        let labels = &mut entry["fieldsV1"]["f:metadata"]["f:labels"];
        labels
            .as_object_mut()
            .unwrap()
            .remove("f:niphas.io/workload");
    }
}

#[tokio::test]
async fn a_child_that_was_relabelled_and_then_deleted_is_made_again() {
    let server = ApiServer::with(&json_of_workload());
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    server.rolls_out();
    server.settled().await;
    assert_eq!(server.condition("Ready"), "True Ready");
    // Both before the operator has answered to the first.
    server.edit("apps", "deployments", "web", |deployment| {
        relabel(deployment, "other");
    });
    server.delete("apps", "deployments", "web");
    server.settled().await;
    assert!(server.get("apps", "deployments", "web").is_some());
    assert_eq!(server.condition("Ready"), "False RollingOut");
    running.end().await;
}

/// What others do to children, at random: in the end all is there as declared, and ready only if it is.
#[tokio::test]
async fn children_are_there_as_declared_whatever_others_do_to_them() {
    let server = ApiServer::with(&json_of_workload());
    let mut other = json_of_workload();
    other["metadata"]["name"] = json!("other");
    other["metadata"]["uid"] = json!("other");
    server.put(GROUP, WORKLOADS, other);
    let running = Running::start(&server, RESYNC);
    server.settled().await;
    // Less what changes with each write, and with each object.
    let metadata = |server: &ApiServer| {
        let mut all = Vec::new();
        for (group, resource, name) in server.children() {
            let mut metadata = server.get(&group, &resource, &name).unwrap()["metadata"].take();
            for field in ["uid", "resourceVersion", "generation", "managedFields"] {
                metadata[field] = Value::Null;
            }
            all.push((resource, metadata));
        }
        all
    };
    let before = metadata(&server);
    assert_eq!(before.len(), 4);
    // A generator of Lehmer's: the same edits at each run.
    let mut number: u64 = 7;
    let mut chance = move |of: usize| {
        number = number * 48271 % 0x7fff_ffff;
        number as usize % of
    };
    for round in 0..12 {
        for _ in 0..=chance(4) {
            let (group, resource) = [("", "services"), ("apps", "deployments")][chance(2)];
            let name = ["web", "other"][chance(2)];
            if server.get(group, resource, name).is_none() {
                continue;
            }
            match chance(4) {
                0 => server.delete(group, resource, name),
                1 => server.edit(group, resource, name, |object| {
                    object["metadata"]["labels"] = json!({});
                }),
                2 => server.edit(group, resource, name, |object| {
                    if object["metadata"]["labels"]["niphas.io/workload"].is_string() {
                        relabel(object, ["web", "other", "none"][chance(3)]);
                    }
                }),
                _ => server.edit(group, resource, name, |object| {
                    let fields = object["metadata"]["managedFields"].as_array_mut().unwrap();
                    fields.clear();
                    object["spec"]["selector"] = json!({ "theirs": "now" });
                }),
            }
        }
        // What was changed meanwhile is tried again after a second.
        for _ in 0..60 {
            server.settled().await;
            if metadata(&server) == before {
                break;
            }
        }
        assert_eq!(metadata(&server), before, "round {round}");
    }
    running.end().await;
}
