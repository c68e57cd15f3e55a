//! Outputs that arrive as NARs: what is found of them is what is found where they were left, for each case of `outputs/cases.nix`.

mod left;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use nix_builder::outputs::{Nars, OutputError, finish, judge};
use nix_formats::StoreDir;
use serde_json::Value;

use left::{Case, Test};

/// NARs of outputs are found to be what they were when they were left in a folder, and those of others are not.
#[test]
fn nars_are_judged_as_what_was_left() {
    let store_dir = StoreDir::default();
    let mut judged = 0;
    let expected: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("outputs/expected.json")).unwrap();
    for (name, value) in &expected {
        let case = Case::of(name, value);
        let test = Test::of(&case);
        let Ok(finished) = finish(&test.build()) else {
            continue;
        };
        let nar = |held: &niphas_store::HeldPath| {
            let mut nar = Vec::new();
            test.store.write_nar(&held.stored, &mut nar).unwrap();
            (held.stored.path().clone(), nar)
        };
        let nars: BTreeMap<_, _> = finished.held.iter().map(nar).collect();
        let paths = finished.outputs.iter();
        let paths: BTreeMap<_, _> = paths
            .map(|(name, output)| (name.clone(), output.path.clone()))
            .collect();
        let open = |output: &str| {
            let nar = nars[&paths[output]].clone();
            Ok(Box::new(Cursor::new(nar)) as Box<dyn Read>)
        };
        let build = test.build();
        let mut claimed = Nars {
            store_dir: &store_dir,
            path: build.path,
            derivation: build.derivation,
            options: build.options,
            infos: build.infos,
            inputs: &test.left.inputs,
            paths: &paths,
            open: &open,
        };
        assert_eq!(judge(&claimed).unwrap(), finished.outputs, "{name}");
        judged += 1;
        let other = case.path.clone();
        let others: BTreeMap<_, _> = paths
            .keys()
            .map(|output| (output.clone(), other.clone()))
            .collect();
        let open = |output: &str| {
            let nar = nars[&paths[output]].clone();
            Ok(Box::new(Cursor::new(nar)) as Box<dyn Read>)
        };
        (claimed.paths, claimed.open) = (&others, &open);
        let error = judge(&claimed).unwrap_err();
        // Several outputs that are all said to be one path refer to each other, or are looked at one after the other.
        assert!(
            matches!(
                error,
                OutputError::OtherPath { .. } | OutputError::Cycle { .. }
            ),
            "{name}: {error}"
        );
    }
    assert!(judged > 20, "{judged}");
}
