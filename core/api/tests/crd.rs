//! The definition as `niphas crd` prints it, and objects that go through it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use niphas_api::{NiphasWorkload, NiphasWorkloadSpec, crd, source_crd, to_yaml};
use serde_json::{Value, json};

#[test]
fn definition_is_as_committed() {
    insta::assert_snapshot!("crd", to_yaml(&crd()).unwrap());
}

/// What the API server asks of a structural schema.
fn assert_structural(path: &str, schema: &Value) {
    let fields = schema.as_object().unwrap();
    for forbidden in [
        "$ref",
        "nullable",
        "oneOf",
        "anyOf",
        "allOf",
        "not",
        "uniqueItems",
    ] {
        assert!(!fields.contains_key(forbidden), "{path} has {forbidden}");
    }
    let int_or_string = fields.get("x-kubernetes-int-or-string") == Some(&json!(true));
    assert_ne!(
        fields.contains_key("type"),
        int_or_string,
        "{path}: type or int-or-string"
    );
    if let Some(format) = fields.get("format") {
        let known = ["int32", "int64", "double", "date-time"];
        assert!(
            known.iter().any(|known| format == known),
            "{path}: format {format}"
        );
    }
    assert!(
        !(fields.contains_key("properties") && fields.contains_key("additionalProperties")),
        "{path} has properties and additionalProperties"
    );
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let described = property["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        assert!(
            described || path == ".metadata",
            "{path} has no description"
        );
        assert_structural(&path, property);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get(inner) {
            assert_structural(&format!("{path}[]"), schema);
        }
    }
    if schema["type"] == "array" {
        assert!(fields.contains_key("items"), "{path} has no items");
    }
}

#[test]
fn schema_is_structural_and_described() {
    let crd = serde_json::to_value(crd()).unwrap();
    assert_structural("", &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
}

#[test]
fn definition_fits_client_side_apply() {
    // `kubectl apply` keeps the object in an annotation of at most 256 KiB.
    let size = serde_json::to_string(&crd()).unwrap().len();
    assert!(size < 192 * 1024, "{size}");
}

#[test]
fn spec_schema_has_the_fields_of_spec() {
    let crd = serde_json::to_value(crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = &schema["properties"]["spec"];
    let fields: Vec<_> = spec["properties"].as_object().unwrap().keys().collect();
    insta::assert_debug_snapshot!(fields, @r#"
    [
        "annotations",
        "args",
        "autoscaling",
        "closures",
        "command",
        "containers",
        "cronJob",
        "daemonSet",
        "deployment",
        "disruptionBudget",
        "env",
        "files",
        "grpcRoute",
        "grpcRoutes",
        "httpRoute",
        "httpRoutes",
        "ingress",
        "ingresses",
        "initContainers",
        "job",
        "kind",
        "labels",
        "networkPolicy",
        "podTemplate",
        "ports",
        "probes",
        "replicas",
        "resources",
        "service",
        "serviceAccount",
        "services",
        "statefulSet",
        "strategy",
        "volumeClaims",
    ]
    "#);
}

fn example() -> Value {
    json!({
        "apiVersion": "niphas.io/v1alpha1",
        "kind": "NiphasWorkload",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "kind": "Deployment",
            "closures": [{
                "system": "x86_64-linux",
                "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],
                "digest": format!("sha256:{}", "0".repeat(64)),
                "narSize": 10,
                "pathCount": 1,
            }],
            "command": ["/nix/root/bin/web"],
            "args": ["--verbose"],
            "env": {
                "LOG": { "value": "info" },
                "TOKEN": { "valueFrom": { "secretKeyRef": { "name": "web", "key": "token" } } },
            },
            "files": { "/etc/web.conf": { "text": "a = 1\n", "mode": "0444" } },
            "ports": { "http": { "port": 8080, "protocol": "TCP" } },
            "probes": { "readiness": { "httpGet": { "path": "/", "port": "http" } } },
            "resources": { "limits": { "memory": "64Mi" } },
            "replicas": 2,
            "service": { "type": "ClusterIP", "ports": { "http": 80 } },
            "podTemplate": { "spec": { "nodeSelector": { "disk": "ssd" } } },
        },
    })
}

#[test]
fn whole_object_round_trips() {
    let workload: NiphasWorkload = serde_json::from_value(example()).unwrap();
    assert_eq!(serde_json::to_value(workload).unwrap(), example());
}

#[test]
fn missing_fields_get_their_defaults() {
    let mut spec = example()["spec"].clone();
    spec["env"] = json!({});
    spec.as_object_mut().unwrap().remove("replicas");
    spec["ports"]["http"]
        .as_object_mut()
        .unwrap()
        .remove("protocol");
    spec["service"] = json!({});
    spec["files"]["/etc/web.conf"]
        .as_object_mut()
        .unwrap()
        .remove("mode");
    let spec: NiphasWorkloadSpec = serde_json::from_value(spec).unwrap();
    let spec = serde_json::to_value(spec).unwrap();
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["ports"]["http"],
        json!({ "port": 8080, "protocol": "TCP" })
    );
    assert_eq!(spec["service"], json!({ "type": "ClusterIP" }));
    assert_eq!(spec["files"]["/etc/web.conf"]["mode"], "0444");
}

#[test]
fn texts_with_a_grammar_are_checked() {
    for (pointer, value, message) in [
        ("/closures/0/system", "linux", "'linux' is not a system"),
        (
            "/closures/0/digest",
            "sha256:0",
            "'sha256:0' is not a closure digest",
        ),
        ("/closures/0/roots/0", "/bin/sh", "/bin/sh"),
    ] {
        let mut spec = example()["spec"].clone();
        *spec.pointer_mut(pointer).unwrap() = json!(value);
        let error = serde_json::from_value::<NiphasWorkloadSpec>(spec).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn definition_of_sources_is_as_committed() {
    insta::assert_snapshot!("source_crd", to_yaml(&source_crd()).unwrap());
}

#[test]
fn schema_of_sources_is_structural_and_described() {
    let crd = serde_json::to_value(source_crd()).unwrap();
    assert_structural("", &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
}
