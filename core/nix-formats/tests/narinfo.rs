//! narinfo and signatures that real Nix made: `vectors/narinfo`.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; clippy knows only their functions"
)]

use nix_formats::content_address::ContentAddress;
use nix_formats::narinfo::{
    MAX_REFERENCES, MAX_SIGNATURES, MAX_SIGNATURES_OF_NAME, MAX_SIZE, NarInfoError,
};
use nix_formats::{
    Compression, ContentAddressMethod, HashAlgorithm, NarInfo, PublicKey, PublicKeys, SecretKey,
    Signature, StoreDir, StorePath,
};
use proptest::prelude::*;

const SIGNED: &str = include_str!("vectors/narinfo/signed.narinfo");
const TREE: &str = include_str!("vectors/narinfo/recursive.narinfo");
const FLAT: &str = include_str!("vectors/narinfo/flat.narinfo");
const TEXT: &str = include_str!("vectors/narinfo/text.narinfo");

fn store_dir() -> StoreDir {
    StoreDir::new("/tmp/nix-vectors/store").unwrap()
}

fn parse(text: &str) -> NarInfo {
    NarInfo::parse(&store_dir(), text).unwrap()
}

fn keys() -> PublicKeys {
    PublicKeys::from_iter([include_str!("vectors/public-key")
        .parse::<PublicKey>()
        .unwrap()])
}

#[test]
fn narinfo_of_nix_prints_as_it_was_read() {
    for text in [SIGNED, TREE, FLAT, TEXT] {
        assert_eq!(parse(text).print(&store_dir()), text);
    }
}

#[test]
fn signatures_of_nix_are_verified_and_made() {
    let info = parse(SIGNED);
    assert_eq!(info.signers(&store_dir(), &keys()), ["vectors-1"]);
    let secret: SecretKey = include_str!("vectors/secret-key").parse().unwrap();
    assert_eq!(secret.public_key(), *keys().iter().next().unwrap());
    assert_eq!(
        secret.to_secret_string(),
        include_str!("vectors/secret-key").trim()
    );
    let mut again = NarInfo {
        signatures: Vec::new(),
        ..info.clone()
    };
    again.sign(&store_dir(), &secret);
    again.sign(&store_dir(), &secret);
    assert_eq!(again, info);
    assert!(!format!("{secret:?}").contains(&secret.to_secret_string()[10..20]));
}

#[test]
fn nothing_is_trusted_without_keys() {
    assert!(
        parse(SIGNED)
            .signers(&store_dir(), &PublicKeys::default())
            .is_empty()
    );
    assert!(!parse(SIGNED).is_content_addressed(&store_dir()));
}

#[test]
fn every_signed_field_is_signed() {
    let info = parse(SIGNED);
    let other = parse(TREE);
    let changed = [
        NarInfo {
            path: other.path.clone(),
            ..info.clone()
        },
        NarInfo {
            nar_hash: other.nar_hash,
            ..info.clone()
        },
        NarInfo {
            nar_size: info.nar_size + 1,
            ..info.clone()
        },
        NarInfo {
            references: [other.path].into(),
            ..info.clone()
        },
        NarInfo {
            references: [].into(),
            ..info.clone()
        },
    ];
    for info in changed {
        assert!(info.signers(&store_dir(), &keys()).is_empty());
    }
    // Another store folder is another path.
    assert!(info.signers(&StoreDir::default(), &keys()).is_empty());
}

#[test]
fn a_key_does_not_verify_under_another_name() {
    let mut info = parse(SIGNED);
    info.signatures[0].key_name = "other-1".to_owned();
    assert!(info.signers(&store_dir(), &keys()).is_empty());
    let other = SecretKey::from_seed("vectors-1", [7; 32]);
    info.signatures.clear();
    info.sign(&store_dir(), &other);
    assert!(info.signers(&store_dir(), &keys()).is_empty());
}

#[test]
fn content_addressed_paths_are_known_by_their_address() {
    for text in [TREE, FLAT, TEXT] {
        let info = parse(text);
        assert!(info.is_content_addressed(&store_dir()), "{text}");
        let other = parse(SIGNED);
        let lying = NarInfo {
            path: other.path.clone(),
            ..info.clone()
        };
        assert!(!lying.is_content_addressed(&store_dir()));
        let lying = NarInfo {
            references: [other.path].into(),
            ..info
        };
        assert!(!lying.is_content_addressed(&store_dir()));
    }
    let lying = NarInfo {
        nar_hash: parse(FLAT).nar_hash,
        ..parse(TREE)
    };
    assert!(!lying.is_content_addressed(&store_dir()));
}

#[test]
fn fields_that_are_missing_double_or_wrong_are_named() {
    let refusal = |from: &str, to: &str| {
        let text = SIGNED.replacen(from, to, 1);
        assert_ne!(text, SIGNED);
        NarInfo::parse(&store_dir(), &text).unwrap_err()
    };
    assert_eq!(
        refusal("StorePath:", "Storepath:"),
        NarInfoError::Missing("StorePath")
    );
    assert_eq!(
        refusal("NarHash:", "Narhash:"),
        NarInfoError::Missing("NarHash")
    );
    assert_eq!(
        refusal("URL: ", "URL: x\nURL: "),
        NarInfoError::Duplicate("URL")
    );
    assert_eq!(
        refusal("NarSize: ", "no colon\nNarSize: "),
        NarInfoError::NoColon(7)
    );
    assert_eq!(
        refusal("NarSize: ", "NarSize: -"),
        NarInfoError::Number {
            field: "NarSize",
            value: "-240".to_owned()
        }
    );
    assert_eq!(
        refusal("NarHash: sha256:", "NarHash: sha256:1"),
        NarInfoError::Hash {
            field: "NarHash",
            source: nix_formats::Hash::parse_any_prefixed(&format!(
                "sha256:1{}",
                SIGNED
                    .split("NarHash: sha256:")
                    .nth(1)
                    .unwrap()
                    .lines()
                    .next()
                    .unwrap()
            ))
            .unwrap_err(),
        }
    );
    let cut = &SIGNED[..SIGNED.len() - 1];
    assert_eq!(
        NarInfo::parse(&store_dir(), cut),
        Err(NarInfoError::Truncated(10))
    );
    assert!(matches!(
        NarInfo::parse(&StoreDir::default(), SIGNED),
        Err(NarInfoError::StorePath {
            field: "StorePath",
            ..
        })
    ));
}

#[test]
fn a_missing_compression_is_bzip2() {
    let text = SIGNED.replacen("Compression: none\n", "", 1);
    assert_eq!(parse(&text).compression, Compression::Bzip2);
    let text = SIGNED.replacen("Compression: none\n", "Compression: lzip\n", 1);
    assert_eq!(
        parse(&text).compression,
        Compression::Other("lzip".to_owned())
    );
}

proptest! {
    #[test]
    fn damaged_narinfo_is_read_or_refused(at in 0..SIGNED.len(), byte in 0u8..128) {
        let mut text = SIGNED.as_bytes().to_vec();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Ok(info) = NarInfo::parse(&store_dir(), &text) {
            prop_assert_eq!(&parse(&info.print(&store_dir())), &info);
            // Whatever was changed, either it is not signed or it says the same.
            let original = parse(SIGNED);
            if !info.signers(&store_dir(), &keys()).is_empty() {
                prop_assert_eq!(info.fingerprint(&store_dir()), original.fingerprint(&store_dir()));
            }
        }
    }

    #[test]
    fn signatures_survive(name in "[^:]{1,20}", bytes in prop::collection::vec(any::<u8>(), 1..80)) {
        let signature = Signature { key_name: name, bytes };
        prop_assert_eq!(signature.to_string().parse(), Ok(signature));
    }
}

fn junk(name: &str, number: usize) -> String {
    let bytes = number.to_le_bytes().repeat(8);
    let key_name = name.to_owned();
    format!("Sig: {}\n", Signature { key_name, bytes })
}

#[test]
fn signatures_are_bounded_and_no_junk_displaces_a_good_one() {
    let good = parse(SIGNED).signatures[0].clone();
    let body = SIGNED.replace(&format!("Sig: {good}\n"), "");
    let junk: String = (0..5000)
        .map(|n| junk(&format!("junk-{}", n % 700), n))
        .collect();
    let mut texts = Vec::new();
    for of_good in [1, 500] {
        let good = format!("Sig: {good}\n").repeat(of_good);
        texts.push(format!("{body}{junk}{good}"));
        texts.push(format!("{body}{good}{junk}"));
    }
    for text in texts {
        let info = NarInfo::parse_preferring(&store_dir(), &text, |name| name == good.key_name);
        let info = info.unwrap();
        assert_eq!(info.signatures.len(), MAX_SIGNATURES);
        let of_good = info.signatures.iter().filter(|it| **it == good);
        assert_eq!(of_good.count(), 1);
        assert_eq!(info.signers(&store_dir(), &keys()), ["vectors-1"]);
        // The same signatures each time, in their order, and those of a text that was printed.
        assert_eq!(parse(&info.print(&store_dir())), info);
    }
}

#[test]
fn of_one_name_a_few_signatures_are_kept() {
    let junk: String = (0..5000).map(|number| junk("one", number)).collect();
    let info = parse(&format!("{SIGNED}{junk}"));
    assert_eq!(info.signatures.len(), 1 + MAX_SIGNATURES_OF_NAME);
    assert_eq!(info.signatures[0], parse(SIGNED).signatures[0]);
}

#[test]
fn narinfos_that_are_too_large_are_refused() {
    let other = "Other: ".to_owned() + &"x".repeat(MAX_SIZE) + "\n";
    let refused = NarInfo::parse(&store_dir(), &format!("{SIGNED}{other}"));
    assert!(matches!(
        refused,
        Err(NarInfoError::TooLarge {
            limit: MAX_SIZE,
            ..
        })
    ));
    let with = |count: usize| {
        let references: Vec<String> = (0..count).map(|n| format!("{n:032}-a")).collect();
        let references = references.join(" ");
        let start = SIGNED.find("References:").unwrap();
        let end = start + SIGNED[start..].find('\n').unwrap();
        let text = format!(
            "{}References: {references}{}",
            &SIGNED[..start],
            &SIGNED[end..]
        );
        NarInfo::parse(&store_dir(), &text)
    };
    assert_eq!(
        with(MAX_REFERENCES).unwrap().references.len(),
        MAX_REFERENCES
    );
    assert_eq!(
        with(MAX_REFERENCES + 1),
        Err(NarInfoError::TooManyReferences)
    );
}

#[test]
fn narinfos_that_were_accepted_earlier_are_read() {
    let mut info = parse(SIGNED);
    let reference = |n: usize| StorePath::from_base_name(format!("{n:032}-a")).unwrap();
    info.references = (0..30_000).map(reference).collect();
    let text = info.print(&store_dir());
    assert!(text.len() > MAX_SIZE, "{}", text.len());
    assert_eq!(NarInfo::parse_kept(&store_dir(), &text), Ok(info));
    let longer = text + "Other: " + &"x".repeat(MAX_SIZE) + "\n";
    let refused = NarInfo::parse_kept(&store_dir(), &longer);
    assert!(matches!(refused, Err(NarInfoError::TooLarge { .. })));
}

#[test]
fn addresses_by_weak_hashes_prove_nothing() {
    let info = parse(TREE);
    for algorithm in HashAlgorithm::ALL {
        let ca = ContentAddress {
            method: ContentAddressMethod::Flat,
            hash: algorithm.digest(b"contents"),
        };
        let path = store_dir().make_fixed_output_path(&ca.into(), "a").unwrap();
        let info = NarInfo {
            path,
            references: [].into(),
            ca: Some(ca),
            ..info.clone()
        };
        let is_weak = matches!(algorithm, HashAlgorithm::Md5 | HashAlgorithm::Sha1);
        assert_eq!(
            info.is_content_addressed(&store_dir()),
            !is_weak,
            "{algorithm}"
        );
    }
}
