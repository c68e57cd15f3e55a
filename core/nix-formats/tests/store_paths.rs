//! Store paths and hashes that real Nix computed: `vectors/facts.txt`.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use std::collections::{BTreeMap, BTreeSet};

use nix_formats::store_path::StorePathError;
use nix_formats::{
    ContentAddress, ContentAddressMethod, FixedOutput, Hash, HashAlgorithm, HashFormat, StoreDir,
    StorePath, check_name,
};
use proptest::prelude::*;

fn facts() -> BTreeMap<&'static str, &'static str> {
    include_str!("vectors/facts.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect()
}

#[test]
fn hashes_print_and_parse_as_in_nix() {
    let facts = facts();
    for algorithm in HashAlgorithm::ALL {
        let hash = algorithm.digest(b"hello");
        for (name, format) in [
            ("base16", HashFormat::Base16),
            ("nix32", HashFormat::Nix32),
            ("base64", HashFormat::Base64),
            ("sri", HashFormat::Sri),
        ] {
            assert_eq!(name.parse(), Ok(format));
            let text = facts[format!("hash-{algorithm}-{name}").as_str()];
            assert_eq!(hash.to_string(format, false), text);
            assert_eq!(
                Hash::parse_any_with_format(text, Some(algorithm)),
                Ok((hash, format))
            );
            assert_eq!(
                Hash::parse_any_prefixed(&hash.to_string(format, true)),
                Ok(hash)
            );
        }
        assert_eq!(
            Hash::parse_sri(facts[format!("hash-{algorithm}-sri").as_str()]),
            Ok(hash)
        );
    }
}

#[test]
fn hashes_are_refused_with_nix_s_messages() {
    let parse = |text: &str, algorithm| Hash::parse_any(text, algorithm).unwrap_err().to_string();
    let sha256 = Some(HashAlgorithm::Sha256);
    assert_eq!(
        parse("abc", None),
        "hash 'abc' does not include a type, nor is the type otherwise known from context"
    );
    assert_eq!(
        parse("abc", sha256),
        "hash 'abc' has wrong length for hash algorithm 'sha256'"
    );
    assert_eq!(
        parse("md5:abc", sha256),
        "hash 'md5:abc' should have type 'sha256'"
    );
    assert_eq!(
        parse("sha3:abc", None),
        "unknown hash algorithm 'sha3', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'"
    );
    assert_eq!(
        parse("sha256-AAAA", None),
        "invalid SRI hash 'AAAA', length 3 != expected length 32"
    );
    let bad = "e".repeat(52);
    assert_eq!(
        parse(&bad, sha256),
        format!("invalid nix32 hash '{bad}', length 0 != expected length 32")
    );
}

#[test]
fn fixed_paths_are_those_of_nix() {
    let facts = facts();
    let store_dir = StoreDir::default();
    let tree = include_bytes!("vectors/tree.nar");
    for algorithm in [
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
    ] {
        let path = |method, hash, name| {
            let output = FixedOutput::from(ContentAddress { method, hash });
            store_dir.print(&store_dir.make_fixed_output_path(&output, name).unwrap())
        };
        assert_eq!(
            path(
                ContentAddressMethod::Recursive,
                algorithm.digest(tree),
                "tree"
            ),
            facts[format!("recursive-{algorithm}").as_str()]
        );
        assert_eq!(
            path(
                ContentAddressMethod::Flat,
                algorithm.digest(b"#!/bin/sh\n"),
                "run"
            ),
            facts[format!("flat-{algorithm}").as_str()]
        );
    }
}

#[test]
fn text_paths_are_those_of_nix() {
    let facts = facts();
    let store_dir = StoreDir::default();
    let text = store_dir
        .make_text_path("text", b"text\n", &BTreeSet::new())
        .unwrap();
    assert_eq!(store_dir.print(&text), facts["text"]);
    let contents = format!("{}\n", store_dir.print(&text));
    let refers = store_dir
        .make_text_path("refers", contents.as_bytes(), &BTreeSet::from([text]))
        .unwrap();
    assert_eq!(store_dir.print(&refers), facts["text-refers"]);
}

#[test]
fn git_hashes_and_references_have_their_limits() {
    let store_dir = StoreDir::default();
    let md5 = HashAlgorithm::Md5.digest(b"");
    let git = ContentAddress {
        method: ContentAddressMethod::Git,
        hash: md5,
    };
    assert_eq!(
        store_dir.make_fixed_output_path(&git.into(), "x"),
        Err(StorePathError::GitAlgorithm(HashAlgorithm::Md5))
    );
    let flat = ContentAddress {
        method: ContentAddressMethod::Flat,
        hash: md5,
    };
    let output = FixedOutput {
        self_reference: true,
        ..flat.into()
    };
    assert_eq!(
        store_dir.make_fixed_output_path(&output, "x"),
        Err(StorePathError::FixedOutputReferences("x".to_owned()))
    );
}

#[test]
fn names_are_refused_with_nix_s_messages() {
    let refusal = |name: &str| check_name(name).unwrap_err().to_string();
    assert_eq!(refusal(""), "name must not be empty");
    assert_eq!(refusal("."), "name '.' is not valid");
    assert_eq!(refusal(".."), "name '..' is not valid");
    assert_eq!(
        refusal(".-a"),
        "name '.-a' is not valid: first dash-separated component must not be '.'"
    );
    assert_eq!(
        refusal("..-a"),
        "name '..-a' is not valid: first dash-separated component must not be '..'"
    );
    assert_eq!(refusal("a b"), "name 'a b' contains illegal character ' '");
    let long = "a".repeat(212);
    assert_eq!(
        refusal(&long),
        format!("name '{long}' must be no longer than 211 characters")
    );
    for name in [".a", "...", "..a-b", "a+b-c._d?e=f", &long[..211]] {
        assert_eq!(check_name(name), Ok(()));
    }
}

#[test]
fn base_names_are_refused_with_nix_s_messages() {
    let refusal = |name: &str| StorePath::from_base_name(name).unwrap_err().to_string();
    assert_eq!(
        refusal("abc"),
        "'abc' is too short to be a valid store path"
    );
    let zeros = "0".repeat(32);
    assert_eq!(
        refusal(&format!("{zeros}0-a")),
        format!(
            "'{zeros}0-a' can't name a store path because the hash part is not followed by a '-'"
        )
    );
    assert_eq!(
        refusal(&format!("e{}-a", &zeros[1..])),
        format!(
            "store path 'e{}-a' contains illegal base-32 character 'e'",
            &zeros[1..]
        )
    );
    assert_eq!(
        refusal(&format!("{zeros}-")),
        format!("path '{zeros}-' is not a valid store path: name must not be empty")
    );
}

#[test]
fn paths_are_taken_apart() {
    let store_dir = StoreDir::default();
    let full = facts()["tree"];
    let path = store_dir.parse(full).unwrap();
    assert_eq!(path.name(), "tree");
    assert_eq!(
        StorePath::from_parts(path.hash_bytes(), "tree").unwrap(),
        path
    );
    assert_eq!(
        store_dir
            .parse(format!("/nix//x/.././store/./{path}/"))
            .unwrap(),
        path
    );
    let inside = format!("{full}/bin/sh");
    assert_eq!(
        store_dir.parse_subpath(&inside).unwrap(),
        (path.clone(), b"/bin/sh".as_slice())
    );
    assert_eq!(
        store_dir.parse_subpath(full).unwrap(),
        (path, b"".as_slice())
    );
    assert_eq!(
        store_dir.parse(&inside),
        Err(StorePathError::NotInStore(inside.clone()))
    );
    assert_eq!(
        store_dir.parse("nix/store"),
        Err(StorePathError::NotAbsolute("nix/store".into()))
    );
    assert_eq!(store_dir.parse(""), Err(StorePathError::EmptyPath));
}

proptest! {
    #[test]
    fn any_bytes_are_a_base_name_or_not(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(path) = StorePath::from_base_name(&bytes) {
            prop_assert_eq!(path.base_name().as_bytes(), &bytes);
        }
    }

    #[test]
    fn parts_make_the_base_name(hash in any::<[u8; 20]>(), name in "[a-zA-Z0-9+_?=-][a-zA-Z0-9+._?=-]{0,210}") {
        let path = StorePath::from_parts(hash, &name).unwrap();
        prop_assert_eq!(path.hash_bytes(), hash);
        prop_assert_eq!(path.name(), &name);
        prop_assert_eq!(&StorePath::from_base_name(path.base_name()).unwrap(), &path);
    }

    #[test]
    fn content_addresses_survive(
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        algorithm in prop::sample::select(HashAlgorithm::ALL.to_vec()),
        method in prop::sample::select(vec![
            ContentAddressMethod::Flat,
            ContentAddressMethod::Recursive,
            ContentAddressMethod::Git,
            ContentAddressMethod::Text,
        ]),
    ) {
        let ca = ContentAddress { method, hash: algorithm.digest(&bytes) };
        prop_assert_eq!(ca.to_string().parse(), Ok(ca));
    }
}
