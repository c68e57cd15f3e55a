//! What a review finds, whole values.

use niphas_api::ClosureLines;
use niphas_review::{ChangeKind, Effect, Reason, WorkloadChange, compare_closures};
use serde_json::{Value, json};

use crate::made::{Change, Files, KIB, MIB, X86, change, closure, closure_of, review};

fn lines() -> ClosureLines {
    closure(&[("web-1.0", MIB)])
}

fn workload(fields: &Value) -> Files {
    Files::workload("prod", "web", &[(X86, &lines(), "web-1.0")], fields)
}

fn one(before: Files, after: Files) -> WorkloadChange {
    let review = review(&[change("prod", "web", before, after)]);
    assert_eq!(review.workloads.len(), 1);
    review.workloads[0].clone()
}

fn reason(part: &str, names: &[&str]) -> Reason {
    Reason {
        part: part.to_owned(),
        container: None,
        names: names.iter().map(|&name| name.to_owned()).collect(),
    }
}

#[test]
fn packages_are_compared_by_version_and_size() {
    let before = closure(&[
        ("bash-5.1", 1 << 20),
        ("gone", 100),
        ("grown-1", 10),
        ("same-1", 5),
        ("glibc-2.39", MIB),
        ("glibc-2.39-bin", MIB),
    ]);
    let after = closure_of(
        &[
            ("bash-5.2", 2 << 20),
            ("bash-5.1", 1 << 20),
            ("grown-1", 10_000),
            ("new-1", 5),
            ("same-1", 6),
            ("glibc-2.40", MIB),
            ("glibc-2.40-bin", MIB),
        ],
        1,
    );
    let lines: Vec<String> = compare_closures(&before, &after)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "bash: 5.1 → 5.1, 5.2, +2.0 MiB",
            "glibc: 2.39 → 2.40",
            "gone: ε → ∅",
            "grown: +9.8 KiB",
            "new: ∅ → 1",
        ]
    );
}

#[test]
fn pods_restart_for_each_part_of_their_template_and_only_for_that() {
    let container = |fields: Value| {
        let mut main = json!({ "name": "main" });
        main.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        json!({ "podTemplate": { "spec": { "containers": [main] } } })
    };
    let cases = [
        (
            json!({}),
            json!({ "args": ["-v"] }),
            vec![reason("args", &[])],
        ),
        (
            json!({ "env": { "A": { "value": "1" }, "B": { "value": "1" } } }),
            json!({ "env": { "A": { "value": "2" }, "C": { "value": "1" }, "B": { "value": "1" } } }),
            vec![reason("env", &["A", "C"])],
        ),
        (
            json!({}),
            json!({ "files": { "/etc/a": { "text": "x" } } }),
            vec![
                reason("files", &[]),
                reason("volumeMounts", &["files"]),
                reason("volumes", &["files"]),
            ],
        ),
        (
            json!({ "files": { "/etc/a": { "text": "x" } } }),
            json!({ "files": { "/etc/a": { "text": "y" } } }),
            vec![reason("files", &[])],
        ),
        (
            json!({}),
            json!({ "resources": { "limits": { "memory": "1Gi" } } }),
            vec![reason("resources", &[])],
        ),
        (
            json!({}),
            json!({ "podTemplate": { "metadata": { "labels": { "team": "a" } }, "spec": { "hostNetwork": true } } }),
            vec![reason("hostNetwork", &[]), reason("labels", &["team"])],
        ),
        (
            container(json!({})),
            container(json!({ "tty": true })),
            vec![reason("tty", &[])],
        ),
        (
            json!({}),
            json!({ "kind": "StatefulSet" }),
            vec![reason("kind", &["Deployment", "StatefulSet"])],
        ),
        // These concern other objects.
        (json!({ "replicas": 1 }), json!({ "replicas": 2 }), vec![]),
        (
            json!({ "ports": { "http": { "port": 80 } } }),
            json!({ "ports": { "http": { "port": 80 } }, "networkPolicy": { "ingress": [] } }),
            vec![],
        ),
    ];
    for (before, after, reasons) in cases {
        let found = one(workload(&before), workload(&after));
        assert_eq!(found.reasons, reasons, "{before} {after}");
        let effect = if reasons.is_empty() {
            Effect::None
        } else {
            Effect::Restarts
        };
        assert_eq!(
            (found.change, found.effect),
            (ChangeKind::Changed, effect),
            "{before} {after}"
        );
    }
}

#[test]
fn other_objects_and_numbers_of_pods_are_changes_without_a_restart() {
    let before = json!({ "replicas": 1, "ports": { "http": { "port": 80 } } });
    let after = json!({ "replicas": 3, "ports": { "http": { "port": 80 } }, "networkPolicy": { "ingress": [] } });
    let found = one(workload(&before), workload(&after));
    let objects: Vec<_> = found
        .objects
        .iter()
        .map(|object| (object.kind.as_str(), object.change, object.fields.join(" ")))
        .collect();
    assert_eq!(
        objects,
        [
            (
                "Deployment",
                ChangeKind::Changed,
                "replicas 1 → 3".to_owned()
            ),
            ("NetworkPolicy", ChangeKind::Added, String::new()),
        ]
    );
}

#[test]
fn jobs_run_again_and_cron_jobs_take_the_change_with_their_next_run() {
    let kinds = [
        (json!({ "kind": "Job" }), Effect::RunsAgain),
        (
            json!({ "kind": "CronJob", "cronJob": { "schedule": "@daily" } }),
            Effect::NextRun,
        ),
    ];
    for (fields, effect) in kinds {
        let mut changed = fields.clone();
        changed["args"] = json!(["-v"]);
        let found = one(workload(&fields), workload(&changed));
        assert_eq!(
            (found.effect, found.reasons),
            (effect, vec![reason("args", &[])])
        );
    }
}

/// The plain objects of a workload, as `--expand` commits them.
fn expanded(files: &Files) -> Files {
    let mut plain = Files::default();
    for (path, bytes) in &files.0 {
        if path.starts_with(".niphas/") {
            plain.0.insert(path.clone(), bytes.clone());
            continue;
        }
        let yaml = str::from_utf8(bytes).unwrap();
        let workload: niphas_api::NiphasWorkload = serde_saphyr::from_str(yaml).unwrap();
        for child in niphas_api::children(&workload, niphas_api::BASE_IMAGE).unwrap() {
            let kind = child.types.clone().unwrap().kind;
            let path = format!(
                "deploy/prod/web/{kind}-{}.yaml",
                child.metadata.name.clone().unwrap()
            );
            plain
                .0
                .insert(path, niphas_api::to_yaml(&child).unwrap().into_bytes());
        }
    }
    plain
}

#[test]
fn plain_objects_say_the_same_as_workloads() {
    let before = json!({ "replicas": 1, "ports": { "http": { "port": 80 } }, "service": {} });
    let after = json!({ "replicas": 2, "ports": { "http": { "port": 80 } }, "args": ["x"], "autoscaling": { "maxReplicas": 4, "cpu": 80 } });
    let (before, after) = (workload(&before), workload(&after));
    let plain = one(expanded(&before), expanded(&after));
    assert_eq!(plain, one(before.clone(), after));
    // One object more is no new workload, and what is not among the files has not changed.
    let without = expanded(&workload(&json!({})));
    let with = expanded(&workload(&json!({ "networkPolicy": { "ingress": [] } })));
    let found = one(without, with);
    assert_eq!(
        (found.change, found.effect),
        (ChangeKind::Changed, Effect::None)
    );
    // From one form to the other all objects are made again.
    let found = one(before.clone(), expanded(&before));
    assert_eq!(
        found.reasons,
        [reason("kind", &["NiphasWorkload", "plain objects"])]
    );
}

#[test]
fn new_paths_are_those_that_no_changed_closure_had() {
    let closures = [
        (
            closure(&[("a-1", 10 * KIB), ("lib-1", KIB)]),
            closure(&[("a-2", 20 * KIB), ("lib-2", KIB)]),
        ),
        (
            closure(&[("b-1", 10 * KIB), ("lib-2", KIB)]),
            closure(&[("b-1", 10 * KIB), ("lib-3", KIB)]),
        ),
    ];
    let changes: Vec<Change> = closures
        .iter()
        .zip(["a", "b"])
        .map(|((before, after), name)| {
            let program = |lines: &ClosureLines| {
                lines
                    .as_slice()
                    .iter()
                    .find(|line| line.path.name().starts_with(name))
                    .unwrap()
                    .path
                    .name()
                    .to_owned()
            };
            change(
                "prod",
                name,
                Files::workload("prod", name, &[(X86, before, &program(before))], &json!({})),
                Files::workload("prod", name, &[(X86, after, &program(after))], &json!({})),
            )
        })
        .collect();
    let new = review(&changes).new_paths[X86];
    assert_eq!((new.paths, new.nar_size), (2, 21 * KIB));
}
