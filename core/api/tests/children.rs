//! The objects that workloads consist of, whole.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use niphas_api::{BASE_IMAGE, NiphasWorkload, NiphasWorkloadSpec, children, to_yaml};
use serde_json::{Value, json};

fn closure(system: &str) -> Value {
    json!({
        "system": system,
        "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],
        "digest": format!("sha256:{}", "0".repeat(64)),
        "narSize": 1000,
        "pathCount": 2,
    })
}

/// A workload with these fields beside those that every one has.
fn workload(fields: &Value) -> NiphasWorkload {
    let mut spec = json!({
        "closures": [closure("x86_64-linux")],
        "command": ["/nix/root/bin/web"],
    });
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let spec: NiphasWorkloadSpec = serde_json::from_value(spec).unwrap();
    let mut workload = NiphasWorkload::new("web", spec);
    workload.metadata.namespace = Some("shop".to_owned());
    workload
}

fn yaml(fields: &Value) -> String {
    let objects = children(&workload(fields), BASE_IMAGE).unwrap();
    let documents: Vec<String> = objects
        .iter()
        .map(|object| to_yaml(object).unwrap())
        .collect();
    documents.join("---\n")
}

fn kinds(fields: &Value) -> Vec<String> {
    let objects = children(&workload(fields), BASE_IMAGE).unwrap();
    objects
        .into_iter()
        .map(|object| {
            let kind = object.types.unwrap().kind;
            format!("{kind} {}", object.metadata.name.unwrap())
        })
        .collect()
}

fn refusal(fields: &Value) -> String {
    children(&workload(fields), BASE_IMAGE)
        .unwrap_err()
        .to_string()
}

#[test]
fn deployment_with_everything_beside_it() {
    insta::assert_snapshot!(yaml(&json!({
        "closures": [closure("aarch64-linux"), closure("x86_64-linux")],
        "args": ["--port", "8080"],
        "env": { "URL": { "value": "http://$(HOST)/" }, "HOST": { "value": "db" } },
        "files": {
            "/etc/web/config.toml": { "text": "a = 1\n" },
            "/etc/web_config.toml": { "text": "b = 2\n", "mode": "0400" },
        },
        "ports": { "http": { "port": 8080 }, "metrics": { "port": 9090 } },
        "replicas": 3,
        "resources": { "requests": { "cpu": "100m" }, "limits": { "memory": "64Mi" } },
        "probes": { "readiness": { "httpGet": { "path": "/ready", "port": "http" } } },
        "service": { "ports": { "http": 80 } },
        "ingress": {
            "className": "nginx",
            "port": "http",
            "hosts": { "shop.example": { "tlsSecretName": "shop-tls" }, "www.shop.example": { "paths": ["/a", "/b"] } },
        },
        "httpRoute": {
            "parentRefs": [{ "name": "public", "namespace": "gateways" }],
            "hostnames": ["shop.example"],
            "port": "http",
        },
        "networkPolicy": { "ingress": [{ "ports": [{ "port": "http" }] }] },
        "disruptionBudget": { "minAvailable": "50%" },
        "strategy": { "maxSurge": 1, "maxUnavailable": 0 },
        "serviceAccount": { "annotations": { "example.org/role": "web" }, "mountToken": true },
    })));
}

#[test]
fn further_objects_and_rare_fields() {
    insta::assert_snapshot!(yaml(&json!({
        "labels": { "team": "shop", "app.kubernetes.io/name": "store" },
        "annotations": { "example.org/wave": "2" },
        "ports": {
            "grpc": { "port": 9000, "appProtocol": "kubernetes.io/h2c" },
            "http": { "port": 8080 },
            "metrics": { "port": 9090 },
        },
        "deployment": { "minReadySeconds": 5, "progressDeadlineSeconds": 120, "revisionHistoryLimit": 3 },
        "service": {
            "name": "api",
            "type": "LoadBalancer",
            "portNames": ["http", "grpc"],
            "ports": { "http": 80 },
            "nodePorts": { "http": 30082 },
            "externalTrafficPolicy": "Local",
            "loadBalancerClass": "example.org/internal",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "sessionAffinity": "ClientIP",
            "labels": { "scope": "public", "niphas.io/workload": "stolen" },
            "annotations": { "example.org/wave": "3" },
        },
        "services": {
            "metrics": { "name": "prometheus", "portNames": ["metrics"] },
            "peers": { "clusterIP": "None", "publishNotReadyAddresses": true },
        },
        "ingress": {
            "port": "http",
            "pathType": "Exact",
            "hosts": { "a.example": {
                "paths": ["/health"],
                "backends": {
                    "/": { "pathType": "Prefix" },
                    "/db": { "service": "db", "port": "sql" },
                    "/grpc": { "port": "grpc" },
                },
            } },
        },
        "ingresses": { "inside": { "port": "http", "hosts": { "a.internal": {} } } },
        "httpRoute": {
            "parentRefs": [{ "name": "public" }],
            "port": "http",
            "rules": [
                { "filters": [{ "type": "RequestRedirect", "requestRedirect": { "scheme": "https" } }] },
                { "backendRefs": [{ "name": "other", "port": 80 }] },
                { "timeouts": { "request": "10s" } },
            ],
        },
        "httpRoutes": { "inside": { "parentRefs": [{ "name": "inside" }], "port": "http", "name": "within" } },
        "grpcRoute": { "parentRefs": [{ "name": "public" }], "port": "grpc" },
        "disruptionBudget": { "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow" },
        "serviceAccount": { "name": "shop", "create": false },
        "volumeClaims": {
            "data": { "mountPath": "/data", "storage": "1Gi" },
            "disk": { "mountPath": "/dev/disk", "storage": "1Gi", "volumeMode": "Block" },
            "uploads": { "mountPath": "/srv", "claimName": "uploads" },
        },
    })));
}

#[test]
fn claims_that_pods_share_are_no_children() {
    let claims = |fields: &Value| -> Vec<Value> {
        let mut workload = workload(fields);
        workload.metadata.uid = Some("5d4b2f6c-0000-0000-0000-000000000000".to_owned());
        let claims = niphas_api::shared_claims(&workload).unwrap();
        claims.iter().map(|claim| json!(claim)).collect()
    };
    let data = json!({
        "mountPath": "/data",
        "storage": "1024Mi",
        "accessModes": ["ReadWriteMany"],
        "labels": { "tier": "data" },
        "dataSource": { "kind": "PersistentVolumeClaim", "name": "before" },
    });
    let fields = json!({ "volumeClaims": { "data": data, "old": { "mountPath": "/old", "claimName": "old" } } });
    assert_eq!(
        claims(&fields),
        [json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "web-data",
                "namespace": "shop",
                "labels": {
                    "app.kubernetes.io/managed-by": "niphas",
                    "app.kubernetes.io/name": "web",
                    "niphas.io/workload": "web",
                    "tier": "data",
                },
            },
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "dataSource": { "kind": "PersistentVolumeClaim", "name": "before" },
                "resources": { "requests": { "storage": "1Gi" } },
            },
        })]
    );
    assert!(!kinds(&fields).iter().any(|kind| kind.contains("Claim")));
    let mut of_each_pod = fields.clone();
    of_each_pod["kind"] = json!("StatefulSet");
    assert_eq!(claims(&of_each_pod), Vec::<Value>::new());
}

#[test]
fn stateful_set_with_storage() {
    insta::assert_snapshot!(yaml(&json!({
        "kind": "StatefulSet",
        "ports": { "db": { "port": 5432 } },
        "strategy": { "type": "OnDelete" },
        "statefulSet": {
            "ordinals": { "start": 1 },
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete" },
            "podManagementPolicy": "Parallel",
        },
        "volumeClaims": {
            "data": { "mountPath": "/var/lib/db", "storage": "10Gi", "storageClassName": "fast" },
            "scratch": { "mountPath": "/tmp", "storage": "1Gi", "accessModes": ["ReadWriteOncePod"] },
        },
    })));
}

#[test]
fn daemon_set() {
    insta::assert_snapshot!(yaml(&json!({
        "kind": "DaemonSet",
        "daemonSet": { "minReadySeconds": 5, "revisionHistoryLimit": 3 },
        "strategy": { "maxUnavailable": "10%" },
    })));
}

#[test]
fn job() {
    insta::assert_snapshot!(yaml(&json!({
        "kind": "Job",
        "job": {
            "completions": 3, "parallelism": 2, "backoffLimit": 1, "activeDeadlineSeconds": 60,
            "completionMode": "Indexed", "backoffLimitPerIndex": 1, "maxFailedIndexes": 1, "suspend": true,
            "podFailurePolicy": { "rules": [{ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [1] } }] },
            "podReplacementPolicy": "Failed",
            "successPolicy": { "rules": [{ "succeededCount": 2 }] },
        },
    })));
}

#[test]
fn cron_job() {
    insta::assert_snapshot!(yaml(&json!({
        "kind": "CronJob",
        "job": { "ttlSecondsAfterFinished": 600 },
        "cronJob": { "schedule": "0 3 * * *", "timeZone": "Europe/Vienna", "concurrencyPolicy": "Forbid", "suspend": true },
    })));
}

#[test]
fn an_autoscaler_decides_on_the_replicas() {
    insta::assert_snapshot!(yaml(&json!({
        "replicas": 3,
        "autoscaling": { "minReplicas": 2, "maxReplicas": 10, "cpu": 80, "memory": 70 },
    })));
}

#[test]
fn a_changed_job_has_another_name() {
    let job = |argument: &str| kinds(&json!({ "kind": "Job", "args": [argument] }));
    assert_eq!(job("a"), job("a"));
    assert_ne!(job("a"), job("b"));
}

#[test]
fn only_what_the_spec_asks_for_is_made() {
    assert_eq!(kinds(&json!({})), ["Deployment web"]);
    assert_eq!(
        kinds(&json!({ "kind": "StatefulSet" })),
        ["Service web-pods", "StatefulSet web"]
    );
}

#[test]
fn children_in_a_cluster_are_owned_by_their_workload() {
    let mut workload = workload(&json!({ "files": { "/etc/a": { "text": "" } } }));
    workload.metadata.uid = Some("5d4b2f6c-0000-0000-0000-000000000000".to_owned());
    for object in children(&workload, BASE_IMAGE).unwrap() {
        assert_eq!(
            json!(object.metadata.owner_references),
            json!([{
                "apiVersion": "niphas.io/v1alpha1",
                "kind": "NiphasWorkload",
                "name": "web",
                "uid": "5d4b2f6c-0000-0000-0000-000000000000",
                "controller": true,
            }])
        );
    }
}

#[test]
fn the_users_template_is_merged_as_kubernetes_merges() {
    let objects = children(
        &workload(&json!({
            "env": { "A": { "value": "1" } },
            "podTemplate": {
                "metadata": {
                    "annotations": { "example.org/a": "b" },
                    "labels": { "niphas.io/workload": "stolen", "team": "shop" },
                },
                "spec": {
                    "securityContext": { "runAsUser": 1000 },
                    "containers": [
                        { "name": "sidecar", "image": "example.org/sidecar" },
                        { "name": "main", "env": [{ "name": "B", "value": "2" }], "tty": true },
                    ],
                    "volumes": [{ "name": "cache", "emptyDir": {} }],
                },
            },
        })),
        BASE_IMAGE,
    )
    .unwrap();
    let template = &objects[0].data["spec"]["template"];
    assert_eq!(
        template["metadata"],
        json!({
            "annotations": { "example.org/a": "b" },
            "labels": {
                "app.kubernetes.io/managed-by": "niphas",
                "app.kubernetes.io/name": "web",
                "niphas.io/workload": "web",
                "team": "shop",
            },
        })
    );
    let spec = &template["spec"];
    assert_eq!(spec["securityContext"]["runAsUser"], 1000);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    let names = |list: &Value| -> Vec<Value> {
        let list = list.as_array().unwrap();
        list.iter().map(|item| item["name"].clone()).collect()
    };
    assert_eq!(names(&spec["containers"]), ["main", "sidecar"]);
    assert_eq!(names(&spec["containers"][0]["env"]), ["A", "B"]);
    assert_eq!(spec["containers"][0]["tty"], true);
    assert_eq!(names(&spec["volumes"]), ["closure", "tmp", "cache"]);
}

/// The pod of a workload with these fields.
fn pod(fields: &Value) -> Value {
    let objects = children(&workload(fields), BASE_IMAGE).unwrap();
    let deployment = objects
        .into_iter()
        .find(|object| object.data["spec"]["template"].is_object());
    deployment.unwrap().data["spec"]["template"]["spec"].clone()
}

#[test]
fn a_pod_that_serves_waits_before_it_ends_unless_it_does_something_else() {
    let lifecycle = |pod_spec: Value| {
        let service = json!({ "ports": { "http": { "port": 80 } }, "service": {}, "podTemplate": { "spec": pod_spec } });
        pod(&service)["containers"][0]["lifecycle"].clone()
    };
    let sleep = |seconds: u8| json!({ "preStop": { "sleep": { "seconds": seconds } } });
    assert_eq!(lifecycle(json!({})), sleep(5));
    assert_eq!(pod(&json!({}))["containers"][0]["lifecycle"], Value::Null);

    // The program has at least half of the time.
    for (grace, seconds) in [(60, 5), (10, 5), (9, 4), (2, 1)] {
        assert_eq!(
            lifecycle(json!({ "terminationGracePeriodSeconds": grace })),
            sleep(seconds)
        );
    }
    assert_eq!(
        lifecycle(json!({ "terminationGracePeriodSeconds": 1 })),
        Value::Null
    );

    let own = json!({ "preStop": { "exec": { "command": ["/nix/root/bin/drain"] } } });
    assert_eq!(
        lifecycle(json!({ "containers": [{ "name": "main", "lifecycle": own }] })),
        own
    );
    let other = json!({ "postStart": { "sleep": { "seconds": 1 } } });
    assert_eq!(
        lifecycle(json!({ "containers": [{ "name": "main", "lifecycle": other }] })),
        json!({ "postStart": { "sleep": { "seconds": 1 } }, "preStop": { "sleep": { "seconds": 5 } } })
    );
}

#[test]
fn pods_run_on_nodes_of_their_systems_whatever_else_they_ask_of_nodes() {
    let required = |affinity: Value| {
        let fields = json!({ "podTemplate": { "spec": { "affinity": affinity } } });
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        pod(&fields)["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"].clone()
    };
    let os = json!({ "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] });
    let arch = json!({ "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"] });
    assert_eq!(
        required(json!({})),
        json!([{ "matchExpressions": [os, arch] }])
    );
    let disk = json!({ "key": "disk", "operator": "In", "values": ["ssd"] });
    let field = json!({ "key": "metadata.name", "operator": "In", "values": ["node-1"] });
    let terms = json!([{ "matchExpressions": [disk] }, { "matchFields": [field] }]);
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } });
    assert_eq!(
        required(affinity),
        json!([
            { "matchExpressions": [disk, os, arch] },
            { "matchExpressions": [os, arch], "matchFields": [field] },
        ])
    );
}

#[test]
fn the_old_name_of_the_service_account_is_written_as_the_new_one() {
    let account = |fields: Value| {
        let pod = pod(&fields);
        assert_eq!(pod["serviceAccount"], Value::Null);
        pod["serviceAccountName"].clone()
    };
    let template = json!({ "spec": { "serviceAccount": "other" } });
    assert_eq!(account(json!({ "podTemplate": template })), "other");
    assert_eq!(
        account(json!({ "podTemplate": template, "serviceAccount": {} })),
        "web"
    );
}

#[test]
fn what_cannot_be_made_says_why() {
    let template = |template: Value| refusal(&json!({ "podTemplate": template }));
    let all = [
        template(json!({ "spec": { "containers": [{ "name": "main", "comand": ["x"] }] } })),
        template(json!({ "spec": { "hostNetwork": "yes" } })),
        template(json!({ "spec": { "tolerration": [] } })),
        template(json!({ "spec": { "tolerration": {} } })),
        template(json!({ "template": {} , "spec": { "tolerations": [{ "keys": "a" }] } })),
        refusal(&json!({ "closures": [closure("x86_64-darwin")] })),
        refusal(&json!({ "env": { "A": { "value": "$(B)" }, "B": { "value": "$(A)" } } })),
        refusal(
            &json!({ "ports": { "http": { "port": 80 } }, "services": { "a": { "portNames": ["htp"] } } }),
        ),
        refusal(&json!({ "files": { "/etc/a": { "text": "x".repeat(1 << 20 | 1) } } })),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

/// Of the containers of a workload with this image and template: their names and pull policies.
fn pull_policies(base_image: &str, template: &Value) -> Vec<(String, Value)> {
    let fields = json!({ "podTemplate": { "spec": template } });
    let objects = children(&workload(&fields), base_image).unwrap();
    let spec = &objects[0].data["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"]
        .into_iter()
        .filter_map(|list| spec[list].as_array())
        .flatten();
    containers
        .map(|container| {
            let name = container["name"].as_str().unwrap().to_owned();
            (name, container["imagePullPolicy"].clone())
        })
        .collect()
}

#[test]
fn the_default_base_image_is_never_pulled_and_others_are_if_they_are_not_there() {
    let main = |policy: &str| vec![("main".to_owned(), json!(policy))];
    assert_eq!(pull_policies(BASE_IMAGE, &json!({})), main("Never"));
    let named = "registry.example.org/niphas-base:v1";
    assert_eq!(pull_policies(named, &json!({})), main("IfNotPresent"));

    // What the user says holds, and an image of the user's own is pulled.
    let image = json!({ "containers": [{ "name": "main", "image": named }] });
    assert_eq!(pull_policies(BASE_IMAGE, &image), main("IfNotPresent"));
    let policy = json!({ "containers": [{ "name": "main", "imagePullPolicy": "Always" }] });
    assert_eq!(pull_policies(named, &policy), main("Always"));

    // The containers beside it, too.
    let beside = json!({
        "initContainers": [{ "name": "first", "image": BASE_IMAGE }],
        "containers": [{ "name": "sidecar", "image": "example.org/sidecar" }],
    });
    let expected = [
        ("first", json!("Never")),
        ("main", json!("Never")),
        ("sidecar", Value::Null),
    ];
    assert_eq!(
        pull_policies(BASE_IMAGE, &beside),
        expected.map(|(name, policy)| (name.to_owned(), policy))
    );
}

#[test]
fn no_registry_can_serve_the_default_base_image() {
    let (domain, rest) = BASE_IMAGE.split_once('/').unwrap();
    assert!(domain.ends_with(".invalid"), "{domain}");
    let digest = rest.split_once("@sha256:").unwrap().1;
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
}
