//! The manifests.

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
