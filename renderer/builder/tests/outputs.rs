//! What Nix makes of outputs, and what we make of them: each case of `outputs/cases.nix`, whose expectations ci/build-outputs
//! writes.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

mod left;

use std::collections::BTreeMap;

use nix_builder::outputs::{OutputFailure, compare, finish};
use nix_formats::{Hash, HashFormat, NarHash, StoreDir};
use serde_json::{Value, json};

use left::{Case, Test};

fn expected() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("outputs/expected.json")).unwrap()
}

/// A message without where the build was.
fn without_place(message: &str, test: &Test, expected: &str) -> String {
    let folder = test.left.folder.display().to_string();
    let message = message.replace(&format!("{folder}/"), "/nix/store/");
    // Nix looks at a copy of fixed outputs.
    match (expected.contains("\"COPY\""), message.find('"')) {
        (true, Some(start)) => {
            let end = start + 1 + message[start + 1..].find('"').unwrap();
            format!("{}\"COPY\"{}", &message[..start], &message[end + 1..])
        }
        _ => message,
    }
}

#[test]
fn outputs_are_what_nix_makes_of_them() {
    let mut wrong = Vec::new();
    let cases = expected();
    for (name, value) in &cases {
        let case = Case::of(name, value);
        let test = Test::of(&case);
        let finished = finish(&test.build());
        let found = match finished {
            Ok(finished) => {
                let outputs = finished.outputs.iter().map(|(name, output)| {
                    let print = |path| StoreDir::default().print(path);
                    let hash = Hash::from(output.nar_hash).to_string(HashFormat::Base16, false);
                    let output = json!({
                        "path": print(&output.path),
                        "narHash": hash,
                        "narSize": output.nar_size,
                        "references": output.references.iter().map(print).collect::<Vec<_>>(),
                        "ca": output.content_address.map(|address| address.to_string()),
                    });
                    (name.clone(), output)
                });
                let outputs: serde_json::Map<_, _> = outputs.collect();
                assert_eq!(finished.held.len(), outputs.len());
                for held in &finished.held {
                    let mut nar = Vec::new();
                    test.store.write_nar(&held.stored, &mut nar).unwrap();
                    assert_eq!(NarHash::of(&nar), held.stored.info.nar_hash, "{name}");
                    assert_eq!(held.stored.info.deriver.as_ref(), Some(&case.path));
                }
                json!({ "exit": 0, "outputs": outputs })
            }
            Err(error) => {
                let expected = value["error"].as_str().unwrap_or_default();
                let exit = match error.failure() {
                    OutputFailure::HashMismatch => 102,
                    _ => 1,
                };
                json!({ "exit": exit, "error": without_place(&error.to_string(), &test, expected) })
            }
        };
        let keys = ["exit", "outputs", "error"];
        let wanted: serde_json::Map<_, _> = keys
            .iter()
            .filter_map(|&key| Some((key.to_owned(), value.get(key)?.clone())))
            .collect();
        if found != Value::Object(wanted.clone()) {
            wrong.push(format!("{name}: Nix has {wanted:?}\n  found {found}"));
        }
        assert_eq!(test.left_over(), [""; 0], "{name}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn what_is_built_again_is_the_same() {
    for name in ["several", "symlink", "sizes", "fixed-flat", "unreadable"] {
        let case = Case::of(name, &expected()[name]);
        let mut test = Test::of(&case);
        let finished = finish(&test.build()).unwrap();
        test.know(&finished);
        test.make_again(&case.script);
        compare(&test.build(), None).unwrap();
    }
}

#[test]
fn content_addressed_outputs_are_stored_whatever_the_checks_say() {
    for (name, is_stored) in [
        ("fixed-wrong", true),
        ("fixed-wrong-references", true),
        ("ca-checked", true),
        ("max-size", false),
        ("allowed-not", false),
    ] {
        let case = Case::of(name, &expected()[name]);
        let test = Test::of(&case);
        finish(&test.build()).unwrap_err();
        let stored = test.store.paths();
        assert_eq!(stored.len(), usize::from(is_stored), "{name}");
        if name == "fixed-wrong" {
            assert_ne!(stored[0].path(), &case.scratch["out"]);
            assert_eq!(stored[0].path().name(), name);
        }
    }
}

#[test]
fn outputs_that_are_there_are_neither_looked_at_nor_replaced() {
    let case = Case::of("missing-second", &expected()["missing-second"]);
    let mut test = Test::of(&case);
    let dev = case.scratch["dev"].clone();
    test.valid.insert("dev".to_owned(), dev);
    let finished = finish(&test.build()).unwrap();
    assert_eq!(finished.outputs.keys().collect::<Vec<_>>(), ["out"]);
}
