use super::*;
use crate::schema::KubernetesVersion;

fn read_all(environment: &Value) -> Result<Vec<FurtherObject>, Vec<String>> {
    let locate = |_: &AttributePath| Some("flake.nix:1:1".to_owned());
    let mut checker = Checker::new(&locate);
    let common = Common {
        environment: "prod",
        namespace: Some("shop"),
    };
    let objects = read(&mut checker, environment, common);
    if checker.problems.is_empty() {
        Ok(objects)
    } else {
        Err(checker.problems.iter().map(ToString::to_string).collect())
    }
}

fn manifest(text: &str) -> Value {
    json!({ "manifests": [{ "file": "base/x.yaml", "text": text }] })
}

#[test]
fn objects_get_what_the_environment_has() {
    let objects = read_all(&json!({ "objects": {
        "ConfigMap": { "settings": { "data": { "a": "b" }, "immutable": null }, "gone": null },
        "Namespace": { "shop": {} },
    }}))
    .unwrap();
    let [settings, namespace] = objects.as_slice() else {
        panic!("{objects:?}");
    };
    let expected = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "namespace": "shop",
            "annotations": { "niphas.io/environment": "prod" },
        },
        "data": { "a": "b" },
    });
    assert_eq!(settings.object, expected);
    assert_eq!(settings.file, "ConfigMap-settings.yaml");
    assert_eq!(namespace.object["metadata"]["namespace"], Value::Null);
}

#[test]
fn kinds_that_the_environment_defines_wait_for_their_definition() {
    let objects = read_all(&manifest(
        "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: { name: x.a.io }\n\
         spec: { group: a.io, scope: Cluster, names: { kind: Thing, plural: things }, versions: [] }\n---\n# nothing\n---\n\
         kind: Thing\napiVersion: a.io/v1\nmetadata: { name: x }\n",
    ))
    .unwrap();
    let thing = &objects[1].object["metadata"];
    assert_eq!(thing["annotations"][SYNC_OPTIONS], SKIP_DRY_RUN);
    assert_eq!(thing["namespace"], Value::Null);
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    let text = "kind: Thing\napiVersion: a.io/v1\nmetadata: { name: x }\ndata: { a: yes, b: 0644, c: \"no\" }\n";
    let data = &read_all(&manifest(text)).unwrap()[0].object["data"];
    assert_eq!(*data, json!({ "a": true, "b": 420, "c": "no" }));
}

#[test]
fn what_sops_encrypted_is_committed_as_it_is() {
    let text = "kind: Secret\napiVersion: v1\nmetadata:\n    name: db\ndata: {password: 'ENC[x]'}\nsops: {mac: y}\n";
    let objects = read_all(&manifest(text)).unwrap();
    assert_eq!(objects[0].verbatim.as_deref(), Some(text));
    let among_others = format!("{text}---\nkind: A\n");
    let problems = read_all(&manifest(&among_others)).unwrap_err();
    assert!(problems[0].contains("a file of its own"), "{problems:?}");
}

#[test]
fn what_cannot_be_committed_is_refused_with_its_place() {
    let said = |environment: &Value| read_all(environment).unwrap_err().join("\n");
    let secret = json!({ "objects": [{ "kind": "Secret", "metadata": { "name": "db" }, "stringData": { "a": "b" } }] });
    let text = said(&secret);
    assert!(
        text.contains("objects[0]: the Secret \"db\" would be committed in clear text"),
        "{text}"
    );
    assert!(
        text.contains("flake.nix:1:1") && text.contains("hint: encrypt it with SOPS"),
        "{text}"
    );

    let text = said(&manifest("kind: X\nkind: [\n"));
    assert!(
        text.contains("\"base/x.yaml\" cannot be read as YAML"),
        "{text}"
    );
    let text = said(&manifest(
        "kind: Deployment\napiVersion: apps/v1\nmetadata: { name: x }\nspec: { template: { spec: { contaners: [] } } }\n",
    ));
    assert!(
        text.contains("did you mean 'containers'?") && text.contains("at base/x.yaml"),
        "{text}"
    );

    for (object, words) in [
        (
            json!(5),
            "expected an object of Kubernetes, found the integer 5",
        ),
        (json!({ "kind": "ConfigMap" }), "has no metadata"),
        (
            json!({ "kind": "Thing", "metadata": { "name": "x" } }),
            "has no apiVersion",
        ),
        (
            json!({ "kind": "ConfigMap", "metadata": { "name": "../x" } }),
            "cannot have the name",
        ),
        (
            json!({ "kind": "Config/Map", "apiVersion": "v1", "metadata": { "name": "x" } }),
            "no kind of objects",
        ),
        (
            json!({ "kind": "ConfigMap", "metadata": { "name": "x" }, "data": { "a": "see /nix/store/abc-d/e" } }),
            "names the store path /nix/store/abc-d/e",
        ),
    ] {
        let text = said(&json!({ "objects": [object] }));
        assert!(text.contains(words), "{text}");
    }
    let twice = json!({ "kind": "ConfigMap", "metadata": { "name": "x" } });
    let text = said(&json!({ "objects": [twice, twice] }));
    assert!(
        text.contains("there are two objects ConfigMap \"x\""),
        "{text}"
    );
    let text = said(&json!({ "objects": 5 }));
    assert!(
        text.contains("expected a list of objects, or a set by kind and name"),
        "{text}"
    );
}

/// What is said of one object, line by line, without places.
fn said_of(object: &Value) -> Vec<String> {
    let environment = json!({ "objects": [object] });
    let problems = read_all(&environment).err().unwrap_or_default();
    problems
        .iter()
        .map(|problem| problem.lines().next().unwrap_or_default().to_owned())
        .collect()
}

fn named(kind: &str, fields: &Value) -> Value {
    let mut object = json!({ "kind": kind, "metadata": { "name": "x" } });
    let of_kind = object.as_object_mut().unwrap();
    of_kind.extend(fields.as_object().unwrap().clone());
    object
}

#[test]
fn kinds_of_kubernetes_are_checked_as_a_whole() {
    for (object, expected) in [
        (
            named("ConfigMap", &json!({ "data": { "a": 1 }, "dat": {} })),
            &[
                "objects[0].dat: unknown attribute",
                "objects[0].data.a: expected a string, found the integer 1",
            ][..],
        ),
        (
            named(
                "Service",
                &json!({ "spec": { "ports": [{ "port": "80" }], "selector": { "app": true } } }),
            ),
            &[
                "objects[0].spec.ports[0].port: expected an integer, found the string \"80\"",
                "objects[0].spec.selector.app: expected a string, found the Boolean true",
            ],
        ),
        (
            named(
                "Deployment",
                &json!({ "spec": { "template": { "spec": { "containers": [{ "image": "x" }] } } } }),
            ),
            &[
                "objects[0].spec.template.spec.containers[0]: attribute 'name' is missing",
                "objects[0].spec: attribute 'selector' is missing",
            ],
        ),
        (
            named(
                "PersistentVolumeClaim",
                &json!({ "spec": { "resources": { "requests": { "storage": "10 GB" } } } }),
            ),
            &[
                "objects[0].spec.resources.requests.storage: the string \"10 GB\": expected a quantity like 500m or 64Mi",
            ],
        ),
        (
            named(
                "HorizontalPodAutoscaler",
                &json!({ "apiVersion": "autoscaling/v1", "spec": { "metrics": [] } }),
            ),
            &[
                "objects[0].spec.metrics: unknown attribute",
                "objects[0].spec: attribute 'maxReplicas' is missing",
                "objects[0].spec: attribute 'scaleTargetRef' is missing",
            ],
        ),
        // Versions that are not known here are the API server's to check.
        (
            named(
                "Ingress",
                &json!({ "apiVersion": "extensions/v1beta1", "spec": { "x": 1 } }),
            ),
            &[],
        ),
        (
            named(
                "NetworkPolicy",
                &json!({ "spec": { "podSelector": {}, "ingress": [{ "ports": [{ "port": "http" }, { "port": 80 }] }] } }),
            ),
            &[],
        ),
        (
            named(
                "CustomResourceDefinition",
                &json!({ "spec": {
                "group": "a.io", "scope": "Namespaced", "names": { "kind": "Thing", "plural": "things" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                    "type": "object", "description": "A thing", "properties": { "description": { "type": "string", "default": "" },
                    "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } } } }],
            } }),
            ),
            &[],
        ),
    ] {
        assert_eq!(said_of(&object), expected, "{object}");
    }
}

#[test]
fn an_object_can_be_left_to_the_api_server() {
    let unchecked = json!({
        "kind": "ConfigMap",
        "metadata": { "name": "x", "annotations": { SYNC_OPTIONS: "Prune=false,Validate=false" } },
        "newer": true,
    });
    assert_eq!(said_of(&unchecked), [""; 0]);
}

#[test]
fn custom_resources_are_checked_against_their_definition() {
    let definition = json!({
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.a.io" },
        "spec": {
            "group": "a.io",
            "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object",
                "required": ["spec"],
                "properties": { "spec": {
                    "type": "object",
                    "required": ["size", "tier"],
                    "properties": {
                        "size": { "type": "integer", "minimum": 1 },
                        "tier": { "type": "string", "enum": ["small", "large"], "default": "small" },
                        "port": { "x-kubernetes-int-or-string": true },
                        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                        "pod": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "spec": { "type": "object" } } },
                    },
                } },
            } } }, { "name": "v2", "served": true, "storage": false }],
        },
    });
    let said = |version: &str, spec: Value| {
        let thing = json!({ "apiVersion": version, "kind": "Thing", "metadata": { "name": "x" }, "spec": spec });
        let environment = json!({ "objects": [definition, thing] });
        let problems = read_all(&environment).err().unwrap_or_default();
        problems.join("\n")
    };
    let good = json!({
        "size": 1, "port": "http", "labels": { "a": "b" }, "free": { "x": [1] },
        "pod": { "kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": {} },
    });
    assert_eq!(said("a.io/v1", good), "");
    insta::assert_snapshot!(
        said("a.io/v1", json!({ "sise": 1, "tier": "medium", "port": 1.5, "labels": { "a": 1 }, "pod": { "status": {} } })),
        @r#"
    objects[1].spec.labels.a: expected a string, found the integer 1
      at flake.nix:1:1
      hint: write it as a string: "1"
    objects[1].spec.pod.status: unknown attribute
      at flake.nix:1:1
      hint: known here: spec
    objects[1].spec.port: expected an integer or a string, found the float 1.5
      at flake.nix:1:1
      hint: write it as a string: "1.5"
    objects[1].spec.sise: unknown attribute
      at flake.nix:1:1
      hint: did you mean 'size'?
    objects[1].spec.tier: the string "medium": expected one of small, large
      at flake.nix:1:1
    objects[1].spec: attribute 'size' is missing
      at flake.nix:1:1
      hint: write its size
    "#
    );
    // A version without a schema, and one that the definition does not have.
    assert_eq!(said("a.io/v2", json!({ "sise": 1 })), "");
    assert_eq!(said("a.io/v3", json!({ "sise": 1 })), "");
}

#[test]
fn objects_of_files_are_named_in_what_is_said() {
    let problems = read_all(&manifest(
        "kind: ConfigMap\napiVersion: v1\nmetadata: { name: a }\n---\nkind: ConfigMap\napiVersion: v1\nmetadata: { name: b }\ndata: { x: 1 }\n",
    ))
    .unwrap_err();
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(
        problem.starts_with("ConfigMap.b.data.x: expected a string"),
        "{problem}"
    );
    assert!(problem.contains("at base/x.yaml"), "{problem}");
}

/// A Deployment with a field that came with 1.34, and a Pod with one that only 1.35 has.
fn of_versions(version: &Value) -> Result<Vec<FurtherObject>, Vec<String>> {
    let template = json!({ "spec": { "containers": [{ "name": "a" }], "hostnameOverride": "a" } });
    let environment = json!({
        "kubernetes": { "version": version },
        "objects": {
            "Deployment": { "a": { "spec": { "selector": {}, "template": template } } },
            "Pod": { "a": { "spec": { "containers": [{ "name": "a" }], "workloadRef": { "name": "w" } } } },
            "ResourceClaim": { "a": { "spec": { "devices": { "requests": [] } } } },
        },
    });
    let locate = |_: &AttributePath| None;
    let mut checker = Checker::new(&locate);
    checker.kubernetes = KubernetesVersion::of_environment(&environment["kubernetes"]);
    let common = Common {
        environment: "prod",
        namespace: Some("shop"),
    };
    let objects = read(&mut checker, &environment, common);
    if checker.problems.is_empty() {
        Ok(objects)
    } else {
        Err(checker.problems.iter().map(ToString::to_string).collect())
    }
}

#[test]
fn fields_and_kinds_are_those_of_the_version() {
    assert_eq!(of_versions(&json!("1.35")).unwrap().len(), 3);
    let refused = |version: Value| of_versions(&version).unwrap_err().join("\n");
    insta::assert_snapshot!(refused(json!("1.37")), @r#"
    objects.Pod.a.spec.workloadRef: Kubernetes 1.37 has none: the last with it is 1.35
      hint: take it away, or write kubernetes.version = "1.35" if the cluster has that
    "#);
    insta::assert_snapshot!(refused(Value::Null), @r#"
    objects.Deployment.a.spec.template.spec.hostnameOverride: Kubernetes 1.33 has none: the first with it is 1.34
      hint: take it away, or write kubernetes.version = "1.34" if the cluster has that
    objects.Pod.a.spec.workloadRef: Kubernetes 1.33 has none: the first with it is 1.35
      hint: take it away, or write kubernetes.version = "1.35" if the cluster has that
    objects.ResourceClaim.a: ResourceClaim: Kubernetes 1.33 has none: the first with it is 1.34
      hint: take it away, or write kubernetes.version = "1.34" if the cluster has that
    "#);
}
