//! The manifests.

use serde_json::Value;

use crate::kinds::KINDS;

/// `deploy/crd.yaml` is what `niphas crd` prints.
#[test]
fn the_definition_that_is_deployed_is_the_one_of_the_types() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crd.yaml");
    let deployed = std::fs::read_to_string(file).unwrap();
    let printed = niphas_api::to_yaml(&niphas_api::crd()).unwrap();
    assert!(
        deployed == printed,
        "deploy/crd.yaml is not up to date: cargo run -p niphas -- crd >deploy/crd.yaml"
    );
}

/// A kind that the policy does not ask for would be made for those who may not create it.
#[test]
fn the_admission_policy_asks_for_every_kind_of_children() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/admission.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let validations = objects[0]["spec"]["validations"].as_array().unwrap();
    let asks = |expression: &Value, kind: &str| expression.as_str().unwrap().contains(kind);
    for kind in &KINDS {
        let asked = format!(
            "authorizer.group('{}').resource('{}').namespace(request.namespace).check('create').allowed()",
            kind.group, kind.plural
        );
        let number = validations
            .iter()
            .filter(|validation| asks(&validation["expression"], &asked))
            .count();
        assert_eq!(number, 1, "{}", kind.name);
    }
    assert_eq!(validations.len(), KINDS.len());
}
