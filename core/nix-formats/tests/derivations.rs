//! Derivations that real Nix made: `vectors/derivations.nix`, by
//! `vectors/generate`.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::collections::BTreeMap;

use nix_formats::derivation::{
    DerivationError, DerivationKind, HashModulo, Placeholder, hash_placeholder,
};
use nix_formats::{Derivation, DerivationOutput, HashFormat, StoreDir, StorePath};
use proptest::prelude::*;
use serde_json::Value;

fn files() -> BTreeMap<StorePath, String> {
    let files: BTreeMap<String, String> =
        serde_json::from_str(include_str!("vectors/drv-files.json")).unwrap();
    files
        .into_iter()
        .map(|(name, text)| (StorePath::from_base_name(name).unwrap(), text))
        .collect()
}

fn parse(path: &StorePath, text: &str) -> Derivation {
    let name = path.name().strip_suffix(".drv").unwrap();
    Derivation::parse_aterm(&StoreDir::default(), name, text.as_bytes()).unwrap()
}

fn modulo(
    files: &BTreeMap<StorePath, String>,
    path: &StorePath,
) -> Result<HashModulo, DerivationError> {
    parse(path, &files[path]).hash_modulo(&StoreDir::default(), |input| modulo(files, input))
}

#[test]
fn every_derivation_prints_as_it_was_read() {
    for (path, text) in files() {
        let drv = parse(&path, &text);
        let printed = drv.to_aterm(&StoreDir::default()).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), text, "{path}");
    }
}

#[test]
fn every_derivation_has_the_path_that_nix_gave_it() {
    for (path, text) in files() {
        let drv = parse(&path, &text);
        assert_eq!(
            drv.store_path(&StoreDir::default(), text.as_bytes())
                .unwrap(),
            path
        );
    }
}

#[test]
fn every_derivation_has_the_json_form_of_nix() {
    let shown: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("vectors/drv-show.json")).unwrap();
    let files = files();
    assert!(shown.len() > 25);
    for (name, expected) in shown {
        let path = StorePath::from_base_name(&name).unwrap();
        let drv = parse(&path, &files[&path]);
        assert_eq!(drv.to_json().unwrap(), expected, "{name}");
        let read = Derivation::from_json(&expected).unwrap();
        assert_eq!(read.to_json().unwrap(), expected, "{name}");
        assert_eq!(
            Derivation {
                structured_attrs: None,
                ..read
            },
            Derivation {
                structured_attrs: None,
                ..drv
            }
        );
    }
}

#[test]
fn output_paths_are_computed_as_nix_computes_them() {
    let files = files();
    let mut kinds = Vec::new();
    for (path, text) in &files {
        let complete = parse(path, text);
        let kind = complete.kind().unwrap();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        let mut drv = complete.clone();
        for (name, output) in &mut drv.outputs {
            if matches!(output, DerivationOutput::InputAddressed(_)) {
                *output = DerivationOutput::Deferred;
            }
            if !matches!(kind, DerivationKind::Floating | DerivationKind::Impure) {
                drv.env.remove(name.as_bytes());
            }
        }
        let done = drv
            .instantiate(&StoreDir::default(), |input| modulo(&files, input))
            .unwrap();
        assert_eq!(drv, complete, "{path}");
        assert_eq!(done.path, *path);
        assert_eq!(done.modulo, modulo(&files, path).unwrap());
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

#[test]
fn ways_to_fetch_the_same_are_the_same_downstream() {
    let files = files();
    let fetching: Vec<_> = files
        .keys()
        .filter(|path| path.name() == "fixed.drv")
        .collect();
    assert_eq!(fetching.len(), 2);
    assert_eq!(
        modulo(&files, fetching[0]).unwrap(),
        modulo(&files, fetching[1]).unwrap()
    );
}

#[test]
fn placeholders_are_those_that_nix_wrote() {
    let files = files();
    let find = |name: &str| files.keys().find(|path| path.name() == name).unwrap();
    let env = |name: &str, variable: &str| {
        let drv = parse(find(name), &files[find(name)]);
        String::from_utf8(drv.env[variable.as_bytes()].clone()).unwrap()
    };
    assert_eq!(env("several-1.0.drv", "devPath"), hash_placeholder("dev"));
    assert_eq!(env("floating.drv", "bin"), hash_placeholder("bin"));
    let floating = find("floating.drv");
    for (variable, output) in [("a", "out"), ("bin", "bin")] {
        let placeholder = Placeholder::unknown_ca_output(floating, output);
        assert_eq!(env("on-floating.drv", variable), placeholder.render());
    }
    let producing = Placeholder::unknown_ca_output(find("producing.drv.drv"), "out");
    assert_eq!(env("dynamic.drv", "b"), producing.render());
    assert_eq!(
        env("dynamic.drv", "a"),
        producing.unknown_derivation("out").render()
    );
}

#[test]
fn bytes_that_are_no_text_survive_and_are_no_json() {
    let mut drv = Derivation {
        name: "bytes".to_owned(),
        outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
        env: [(b"\xff".to_vec(), b"\0\xfe\n".to_vec())].into(),
        ..Derivation::default()
    };
    let store_dir = StoreDir::default();
    let done = drv
        .instantiate(&store_dir, |_| Err(DerivationError::NoOutput))
        .unwrap();
    assert_eq!(
        Derivation::parse_aterm(&store_dir, "bytes", &done.aterm).unwrap(),
        drv
    );
    assert!(matches!(drv.to_json(), Err(DerivationError::NotUtf8(_))));
}

fn refusal(text: &str) -> String {
    Derivation::parse_aterm(&StoreDir::default(), "x", text.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn malformed_texts_are_refused_with_the_place() {
    assert_eq!(
        refusal(""),
        "expected 'Derive(' or 'DrvWithVersion(' at byte 0"
    );
    assert_eq!(
        refusal("Derive([(\"out"),
        "expected the string's end at byte 10"
    );
    assert_eq!(
        refusal("DrvWithVersion(\"xp-new\",[])"),
        "Unknown derivation ATerm format version 'xp-new'"
    );
    let valid = r#"Derive([("out","","","")],[],[],"s","b",[],[])"#;
    assert_eq!(refusal(&format!("{valid} ")), "expected the end at byte 46");
    assert_eq!(
        refusal(&valid.replace("],[])", r#"],[("a",""),("a","")])"#)),
        "'a' is given twice"
    );
    assert_eq!(
        refusal(&valid.replace("\"out\"", r#""o\"ut""#)),
        "expected a string without escapes at byte 9"
    );
    assert_eq!(
        refusal(&valid.replace(r#""","","""#, r#""/elsewhere","","""#)),
        "path '/elsewhere' is not in the Nix store"
    );
    assert_eq!(
        refusal(&valid.replace("],[])", r#"],[("__json","[1]")])"#)),
        "cannot process __json attribute: invalid type: sequence, expected a map at line 1 column 0"
    );
}

#[test]
fn a_fixed_path_that_is_not_its_hash_s_is_refused() {
    let (path, text) = files()
        .into_iter()
        .find(|(path, _)| path.name() == "fixed-md5.drv")
        .unwrap();
    let drv = parse(&path, &text);
    let right = String::from_utf8(drv.env[b"out".as_slice()].clone()).unwrap();
    let wrong = right
        .replacen("/nix/store/", "/nix/store/0", 1)
        .replacen("-fixed", "fixed", 1);
    let wrong = format!("{}-fixed-md5", &wrong[..43]);
    let text = text.replacen(&right, &wrong, 1);
    let refused = Derivation::parse_aterm(&StoreDir::default(), "fixed-md5", text.as_bytes());
    assert!(
        matches!(refused, Err(DerivationError::WrongFixedPath { .. })),
        "{refused:?}"
    );
}

#[test]
fn outputs_of_different_kinds_are_refused() {
    let floating = |algorithm| DerivationOutput::Floating {
        method: nix_formats::ContentAddressMethod::Recursive,
        algorithm,
    };
    let kind = |outputs: &[(&str, DerivationOutput)]| {
        let outputs = outputs
            .iter()
            .map(|(name, output)| ((*name).to_owned(), output.clone()));
        Derivation {
            outputs: outputs.collect(),
            ..Derivation::default()
        }
        .kind()
    };
    use nix_formats::HashAlgorithm::{Sha1, Sha256};
    assert_eq!(kind(&[]), Err(DerivationError::NoOutput));
    assert_eq!(
        kind(&[("a", DerivationOutput::Deferred), ("b", floating(Sha256))]),
        Err(DerivationError::MixedOutputs)
    );
    assert_eq!(
        kind(&[("a", floating(Sha1)), ("b", floating(Sha256))]),
        Err(DerivationError::MixedAlgorithms)
    );
    let ca = "fixed:md5:00000000000000000000000000".parse().unwrap();
    assert_eq!(
        kind(&[("a", DerivationOutput::FixedOutput(ca))]),
        Err(DerivationError::FixedOutputName)
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = Derivation::parse_aterm(&StoreDir::default(), "x", text.as_bytes());
    }

    #[test]
    fn damaged_derivations_are_read_or_refused(
        pick in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let files: Vec<_> = files().into_values().collect();
        let mut text = pick.get(&files).clone().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(drv) = Derivation::parse_aterm(&StoreDir::default(), "x", &text) {
            let printed = drv.to_aterm(&StoreDir::default()).unwrap();
            prop_assert_eq!(
                Derivation::parse_aterm(&StoreDir::default(), "x", &printed).unwrap(),
                drv
            );
        }
    }

    #[test]
    fn any_environment_survives(
        env in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..12),
            prop::collection::vec(any::<u8>(), 0..60),
            0..8,
        ),
        args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
    ) {
        let mut drv = Derivation {
            name: "x".to_owned(),
            outputs: [("out".to_owned(), DerivationOutput::Deferred)].into(),
            env,
            args,
            ..Derivation::default()
        };
        drv.env.remove(b"__json".as_slice());
        let store_dir = StoreDir::default();
        let done = drv.instantiate(&store_dir, |_| Err(DerivationError::NoOutput)).unwrap();
        prop_assert_eq!(Derivation::parse_aterm(&store_dir, "x", &done.aterm).unwrap(), drv);
    }
}

/// Built by Nix 2.34.8: a floating output, two derivations that depend on it, and the same two resolved; what its build trace
/// knows them by.
#[test]
fn build_traces_name_derivations_as_nix_does() {
    const DERIVATIONS: [(&str, &str, &str); 5] = [
        (
            "qrzxvj7gpcc55s6cixahari3cycw0qx5-ca.drv",
            r#"Derive([("out","","r:sha256","")],[],[],"x86_64-linux","/bin/sh",["-c","echo hi > $out"],[("builder","/bin/sh"),("name","ca"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])"#,
            "sha256:12b4babb21a9e09f635f491da600e7f1111f0374b376c1884b3bfd7490e5d492",
        ),
        (
            "i034q4122n77dg5fv0x0w8nr2zxl9zz8-causer.drv",
            r#"Derive([("out","","","")],[("/nix/store/qrzxvj7gpcc55s6cixahari3cycw0qx5-ca.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo $c > $out"],[("builder","/bin/sh"),("c","/0p8sb26lv1cghnxxdd612z42wz6acmyhqwpwmv574vfrjq6p72zq"),("name","causer"),("out",""),("system","x86_64-linux")])"#,
            "sha256:fdeee0a831624f7ab38abaaedf672460adcb1bfc296becaf41c56417ab84105f",
        ),
        (
            "q09hpgl4ka8z01wzz4c4avy53xx1gkdp-top.drv",
            r#"Derive([("out","","","")],[("/nix/store/i034q4122n77dg5fv0x0w8nr2zxl9zz8-causer.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo hi > $out"],[("a","/1dxbdcpvcm3s640g3wpn8n5zhdlxq9lygb7qaj19742a9vhpx99h"),("builder","/bin/sh"),("name","top"),("out",""),("system","x86_64-linux")])"#,
            "sha256:2941a856d40200b9db5c0e0ecbd7ae051a6327e699fa2812ee4977f300321b5d",
        ),
        (
            "44r15qp3hx522xqaf9szcv8j812p14b7-causer.drv",
            r#"Derive([("out","/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer","","")],[],["/nix/store/jg3iyw19sm3aqibd9m0bpimiz60gk2nl-ca"],"x86_64-linux","/bin/sh",["-c","echo $c > $out"],[("builder","/bin/sh"),("c","/nix/store/jg3iyw19sm3aqibd9m0bpimiz60gk2nl-ca"),("name","causer"),("out","/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer"),("system","x86_64-linux")])"#,
            "sha256:fa686f29170c7e6eaf8eb26c4731c094fa2632df7e72b8d5b472727ac8e32af1",
        ),
        (
            "pjilkmix39i651yy16azprk53z3arn46-top.drv",
            r#"Derive([("out","/nix/store/9vwbwr6vqbq1i0dn487jarwflkxjg84y-top","","")],[],["/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer"],"x86_64-linux","/bin/sh",["-c","echo hi > $out"],[("a","/nix/store/qmajf1gl25gwikfmv34rpi4wkghyzr3w-causer"),("builder","/bin/sh"),("name","top"),("out","/nix/store/9vwbwr6vqbq1i0dn487jarwflkxjg84y-top"),("system","x86_64-linux")])"#,
            "sha256:0850ff3b219c62f983d87ca15e2304560b1664687d801cfc4387db65e7667954",
        ),
    ];
    let store_dir = StoreDir::default();
    let mut known = BTreeMap::new();
    for (path, text, expected) in DERIVATIONS {
        let path = StorePath::from_base_name(path).unwrap();
        let name = path.name().strip_suffix(".drv").unwrap();
        let derivation = Derivation::parse_aterm(&store_dir, name, text.as_bytes()).unwrap();
        let hash = derivation
            .trace_hash::<DerivationError>(&store_dir, |input| Ok(known[input]))
            .unwrap();
        assert_eq!(hash.outputs.to_string(HashFormat::Base16, true), expected);
        known.insert(path, hash.as_input);
    }
}
