//! What the program prints is what `deploy` has.

use std::process::Command;

#[test]
fn definition_is_as_deployed() {
    let program = Command::new(env!("CARGO_BIN_EXE_niphas-eval"))
        .arg("crd")
        .output()
        .unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/source-crd.yaml");
    let deployed = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(
        String::from_utf8(program.stdout).unwrap(),
        deployed,
        "deploy/source-crd.yaml is not up to date: cargo run --bin niphas-eval -- crd >deploy/source-crd.yaml"
    );
}
