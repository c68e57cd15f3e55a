use kube::ResourceExt;
use niphas_api::{BASE_IMAGE, children};
use serde_json::json;

use super::*;
use crate::kinds::KINDS;
use crate::tests::workload;

fn config_map(name: &str, value: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name }, "data": { "key": value },
    }))
    .unwrap()
}

fn deployment(spec: &serde_json::Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": spec,
    }))
    .unwrap()
}

fn named(kind: &str, name: &str) -> ChildKey {
    ChildKey {
        kind: Kind::named(kind).unwrap(),
        name: name.to_owned(),
    }
}

fn live(kind: &str, name: &str, owner: &str) -> Child {
    Child {
        key: named(kind, name),
        uid: format!("{name}-uid"),
        version: Some(1),
        controller: Some(owner.to_owned()),
        workloads: vec!["web".to_owned()],
        is_deleting: false,
        own_fields: Some(7),
        own_replicas: None,
        rollout: None,
    }
}

/// As if the object had been applied, with what is there as the outcome.
fn applied(object: &DynamicObject, live: &Child) -> HashMap<ChildKey, Applied> {
    let done = Applied {
        wanted: fingerprint(object),
        uid: live.uid.clone(),
        own_fields: live.own_fields,
    };
    [(live.key.clone(), done)].into()
}

fn apply(object: DynamicObject, live: &Child, keep_replicas: Option<i32>) -> Step {
    Step::Apply {
        key: live.key.clone(),
        uid: live.uid.clone(),
        object,
        keep_replicas,
    }
}

#[test]
fn nothing_is_done_when_nothing_changed() {
    let object = config_map("web", "a");
    let there = live("ConfigMap", "web", "me");
    let done = applied(&object, &there);
    assert_eq!(plan("me", vec![object], &[there], &done), Plan::default());
}

#[test]
fn what_is_not_there_is_made_in_its_order() {
    let wanted = children(&workload(), BASE_IMAGE).unwrap();
    let plan = plan("me", wanted.clone(), &[], &HashMap::new());
    let steps: Vec<Step> = wanted
        .into_iter()
        .map(|object| Step::Create {
            key: named(&object.types.as_ref().unwrap().kind, &object.name_any()),
            object,
        })
        .collect();
    assert_eq!(steps.len(), 2);
    assert_eq!(plan.steps, steps);
}

#[test]
fn a_child_that_is_declared_otherwise_is_applied() {
    let there = live("ConfigMap", "web", "me");
    let done = applied(&config_map("web", "a"), &there);
    let plan = plan(
        "me",
        vec![config_map("web", "b")],
        std::slice::from_ref(&there),
        &done,
    );
    assert_eq!(plan.steps, [apply(config_map("web", "b"), &there, None)]);
}

#[test]
fn a_child_whose_field_somebody_took_is_applied() {
    let object = config_map("web", "a");
    let there = live("ConfigMap", "web", "me");
    let done = applied(&object, &there);
    let edited = Child {
        own_fields: Some(8),
        ..there
    };
    let plan = plan(
        "me",
        vec![object.clone()],
        std::slice::from_ref(&edited),
        &done,
    );
    assert_eq!(plan.steps, [apply(object, &edited, None)]);
}

#[test]
fn a_child_of_the_same_name_that_came_after_is_applied() {
    let object = config_map("web", "a");
    let there = live("ConfigMap", "web", "me");
    let done = applied(&object, &there);
    let other = Child {
        uid: "another".to_owned(),
        ..there
    };
    let plan = plan(
        "me",
        vec![object.clone()],
        std::slice::from_ref(&other),
        &done,
    );
    assert_eq!(plan.steps, [apply(object, &other, None)]);
}

#[test]
fn what_another_owns_is_neither_applied_nor_deleted() {
    let uncontrolled = Child {
        controller: None,
        ..live("Service", "web", "")
    };
    let foreign = [
        live("ConfigMap", "web", "other"),
        live("ConfigMap", "old", "other"),
        uncontrolled,
    ];
    let service = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": {},
    }));
    let wanted = vec![config_map("web", "a"), service.unwrap()];
    assert_eq!(
        plan("me", wanted, &foreign, &HashMap::new()),
        Plan {
            foreign: vec![named("ConfigMap", "web"), named("Service", "web")],
            ..Plan::default()
        }
    );
}

#[test]
fn a_child_that_is_declared_no_more_is_deleted_after_all_else() {
    let old = live("ConfigMap", "old", "me");
    let plan = plan("me", vec![config_map("web", "a")], &[old], &HashMap::new());
    assert_eq!(
        plan.steps,
        [
            Step::Create {
                key: named("ConfigMap", "web"),
                object: config_map("web", "a"),
            },
            Step::Delete {
                key: named("ConfigMap", "old"),
                uid: "old-uid".to_owned(),
            },
        ]
    );
}

#[test]
fn a_child_that_is_being_deleted_is_waited_for() {
    let leaving = |name| Child {
        is_deleting: true,
        ..live("ConfigMap", name, "me")
    };
    let there = [leaving("web"), leaving("old")];
    assert_eq!(
        plan("me", vec![config_map("web", "a")], &there, &HashMap::new()),
        Plan {
            leaving: vec![named("ConfigMap", "web")],
            ..Plan::default()
        }
    );
}

#[test]
fn the_number_of_pods_is_kept_when_an_autoscaler_takes_over() {
    let there = Child {
        own_replicas: Some(5),
        ..live("Deployment", "web", "me")
    };
    let steps = |spec| {
        let plan = plan(
            "me",
            vec![deployment(&spec)],
            std::slice::from_ref(&there),
            &HashMap::new(),
        );
        plan.steps
    };
    assert_eq!(
        steps(json!({})),
        [apply(deployment(&json!({})), &there, Some(5))]
    );
    let declared = json!({ "replicas": 3 });
    assert_eq!(
        steps(declared.clone()),
        [apply(deployment(&declared), &there, None)]
    );
}

#[test]
fn all_children_are_of_known_kinds() {
    let spec = json!({
        "kind": "Deployment",
        "files": { "/etc/a": { "text": "a" } },
        "ingress": { "hosts": { "example.org": {} } },
        "httpRoute": { "parentRefs": [{ "name": "gateway" }] },
        "grpcRoute": { "parentRefs": [{ "name": "gateway" }] },
        "networkPolicy": { "ingress": [] },
        "autoscaling": { "maxReplicas": 3, "cpu": 80 },
        "disruptionBudget": { "maxUnavailable": 1 },
        "serviceAccount": {},
    });
    let mut seen: Vec<&str> = Vec::new();
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"] {
        let mut workload = serde_json::to_value(workload()).unwrap();
        let fields = workload["spec"].as_object_mut().unwrap();
        fields.extend(spec.as_object().unwrap().clone());
        fields.insert("kind".to_owned(), json!(kind));
        if kind == "CronJob" {
            fields.insert("cronJob".to_owned(), json!({ "schedule": "@daily" }));
        }
        let wanted = children(&serde_json::from_value(workload).unwrap(), BASE_IMAGE).unwrap();
        for object in wanted {
            let types = object.types.clone().unwrap();
            let key = key(&object).expect(&types.kind);
            assert_eq!(types.api_version, key.kind.resource().api_version);
            seen.push(key.kind.name);
        }
    }
    for kind in &KINDS {
        assert!(seen.contains(&kind.name), "no child is a {}", kind.name);
    }
}
