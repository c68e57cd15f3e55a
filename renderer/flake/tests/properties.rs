//! What holds for all references and lock files.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

use nix_flake::{Attr, Attrs, FlakeRef, LockFile, ParseOptions, Url};
use proptest::prelude::*;

fn any_reference() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just("path:"),
        Just("github:"),
        Just("gitlab:"),
        Just("sourcehut:"),
        Just("git+https:"),
        Just("git+file:"),
        Just("git+ssh:"),
        Just("git:"),
        Just("tarball+https:"),
        Just("https:"),
        Just("file:"),
        Just("flake:"),
        Just(""),
    ];
    let rest = "[a-zA-Z0-9:/@%._~+^ \"\\[\\]-]{0,24}";
    let query = "([a-z]{1,8}=[a-zA-Z0-9/%+=._-]{0,10}&?){0,3}";
    let name = prop_oneof![
        Just("dir"),
        Just("ref"),
        Just("rev"),
        Just("narHash"),
        Just("shallow"),
        Just("lastModified")
    ];
    let known = (name, "[a-zA-Z0-9/._-]{0,12}").prop_map(|(name, value)| format!("{name}={value}"));
    (
        scheme,
        rest,
        proptest::option::of(prop_oneof![query.prop_map(|q: String| q), known]),
    )
        .prop_map(|(scheme, rest, query)| match query {
            Some(query) => format!("{scheme}{rest}?{query}"),
            None => format!("{scheme}{rest}"),
        })
}

fn any_attrs() -> impl Strategy<Value = Attrs> {
    let kind = prop_oneof![
        Just("git"),
        Just("path"),
        Just("github"),
        Just("tarball"),
        Just("file"),
        Just("indirect"),
        Just("other")
    ];
    let name = prop_oneof![
        Just("url"),
        Just("path"),
        Just("owner"),
        Just("repo"),
        Just("ref"),
        Just("rev"),
        Just("dir"),
        Just("id"),
        Just("narHash"),
        Just("shallow"),
        Just("revCount"),
    ];
    let value = prop_oneof![
        "[a-zA-Z0-9:/@%._ -]{0,20}".prop_map(Attr::from),
        any::<u64>().prop_map(Attr::from),
        any::<bool>().prop_map(Attr::from)
    ];
    (kind, proptest::collection::vec((name, value), 0..6)).prop_map(|(kind, attrs)| {
        let mut all: Attrs = attrs.into_iter().collect();
        all.set("type", kind);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_parses_or_fails(text in ".{0,60}") {
        let _ = FlakeRef::parse_with_fragment(&text, &ParseOptions::absolute());
        let _ = FlakeRef::parse_with_fragment(&text, &ParseOptions::input(false));
        let _ = Url::parse(&text);
        let _ = nix_flake::fix_git_url(&text);
    }

    #[test]
    fn what_parses_prints_to_what_parses_the_same(text in any_reference()) {
        let Ok(reference) = FlakeRef::parse(&text, &ParseOptions::absolute()) else {
            return Ok(());
        };
        let again = FlakeRef::from_attrs(reference.to_attrs());
        prop_assert_eq!(again.as_ref(), Ok(&reference));
        // Printing may fail (a commit that isn't one), and loses what URLs have no room for.
        let Ok(url) = reference.to_url() else {
            return Ok(());
        };
        let printed = url.expose();
        if let Ok(parsed) = FlakeRef::parse(&printed, &ParseOptions::absolute()) {
            prop_assert_eq!(parsed.expose(), printed);
        }
    }

    #[test]
    fn urls_print_to_what_parses_the_same(text in any_reference()) {
        let Ok(url) = Url::parse_lenient(&text) else {
            return Ok(());
        };
        if !url.path.starts_with(&[String::new(), String::new()]) || url.authority.is_some() {
            prop_assert_eq!(Url::parse(&url.expose()), Ok(url));
        }
    }

    #[test]
    fn any_attributes_make_a_reference_or_fail(attrs in any_attrs()) {
        if let Ok(reference) = FlakeRef::from_attrs(attrs) {
            let _ = reference.to_string();
            let _ = reference.input.is_locked();
            let _ = reference.input.nar_hash();
            prop_assert_eq!(FlakeRef::from_attrs(reference.to_attrs()), Ok(reference));
        }
    }

    #[test]
    fn any_text_is_a_lock_file_or_not(text in ".{0,80}") {
        let _ = LockFile::parse(&text, "flake.lock");
    }

    #[test]
    fn lock_files_print_to_what_parses_the_same(
        names in proptest::collection::vec("[a-c]{1,2}(_2)?", 1..12),
        parents in proptest::collection::vec(0..12_usize, 12),
        follows in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        // Node n is an input of one of those before it.
        let mut inputs = vec![serde_json::Map::new(); names.len() + 1];
        for (index, name) in names.iter().enumerate() {
            let parent = parents[index] % (index + 1);
            let target = if follows[index] && index > 0 {
                serde_json::json!([names[0]])
            } else {
                serde_json::json!(format!("n{}", index + 1))
            };
            inputs[parent].insert(name.clone(), target);
        }
        let nodes: serde_json::Map<_, _> = inputs.into_iter().enumerate().map(|(index, inputs)| {
            let node = if index == 0 {
                serde_json::json!({ "inputs": inputs })
            } else {
                let locked = serde_json::json!({ "type": "path", "path": format!("/{index}"), "narHash": hash });
                serde_json::json!({ "inputs": inputs, "locked": locked, "original": { "type": "path", "path": "/x" } })
            };
            (format!("n{index}"), node)
        }).collect();
        let text = serde_json::json!({ "version": 7, "root": "n0", "nodes": nodes }).to_string();
        let file = LockFile::parse(&text, "flake.lock").expect("a lock file");
        let printed = file.to_json();
        let again = LockFile::parse(&printed, "flake.lock").expect("a lock file");
        prop_assert_eq!(again.to_json(), printed);
        prop_assert_eq!(again.diff(&file), "");
    }
}
