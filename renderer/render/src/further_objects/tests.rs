use super::*;

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
         spec: { scope: Cluster, names: { kind: Thing } }\n---\n# nothing\n---\n\
         kind: Thing\napiVersion: a.io/v1\nmetadata: { name: x }\n",
    ))
    .unwrap();
    let thing = &objects[1].object["metadata"];
    assert_eq!(thing["annotations"][SYNC_OPTIONS], SKIP_DRY_RUN);
    assert_eq!(thing["namespace"], Value::Null);
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    let text = "kind: ConfigMap\napiVersion: v1\nmetadata: { name: x }\ndata: { a: yes, b: 0644, c: \"no\" }\n";
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
