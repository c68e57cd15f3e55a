//! What the builtins that fetch ask for, and what they make of the answers.

use std::cell::RefCell;
use std::io;

use nix_evaluator::io::{
    EntryKind, EvalIo, FetchAttribute, FetchAttributes, FetchInput, FetchRequest, Fetched,
    FileType, LocalIo, ParsedFlakeRef, StoreObject,
};
use nix_evaluator::{Bump, Evaluator, Origin, PrintOptions, Settings, Value};

const STORE_PATH: &str = "/nix/store/ddvn1h6sgb0i3hqvmvmpmm1ycqfs8cqd-source";
const HASH: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

/// Fetches the same from everywhere: the file `abc`, or a tree of one revision. Remembers what it was asked.
#[derive(Default)]
struct OneSource {
    local: LocalIo,
    requests: RefCell<Vec<FetchRequest>>,
}

impl EvalIo for OneSource {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        if path == STORE_PATH.as_bytes() {
            return Ok(b"abc".to_vec());
        }
        self.local.read_file(path)
    }

    fn file_type(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        self.local.file_type(path)
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        self.local.read_dir(path)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        self.local.read_link(path)
    }

    fn env_var(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn current_time(&self) -> i64 {
        0
    }

    fn add_to_store(&self, path: &str, object: StoreObject<'_>) -> io::Result<()> {
        self.local.add_to_store(path, object)
    }

    fn store_path_exists(&self, _: &str) -> bool {
        false
    }

    fn fetch(&self, request: &FetchRequest) -> io::Result<Fetched> {
        self.requests.borrow_mut().push(request.clone());
        let attributes = [
            ("narHash", FetchAttribute::String(HASH.to_owned())),
            ("lastModified", FetchAttribute::Int(1)),
            ("submodules", FetchAttribute::Bool(false)),
        ];
        Ok(Fetched {
            store_path: STORE_PATH.to_owned(),
            attributes: attributes
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        })
    }

    fn parse_flake_ref(&self, reference: &str) -> io::Result<ParsedFlakeRef> {
        let attribute = FetchAttribute::String(reference.to_owned());
        Ok(ParsedFlakeRef {
            attributes: FetchAttributes::from([("id".to_owned(), attribute)]),
            locked: reference == "locked",
        })
    }

    fn flake_ref_to_string(&self, attributes: &FetchAttributes) -> io::Result<String> {
        Ok(format!("{attributes:?}"))
    }

    fn message(&self, _: &str) {}
}

/// The printed value or the message, and the requests.
fn run(pure: bool, expression: &str) -> (Result<String, String>, Vec<FetchRequest>) {
    let (arena, io) = (Bump::new(), OneSource::default());
    let settings = Settings {
        pure,
        search_path: vec![(b"far".to_vec(), b"channel:nixos-99".to_vec())],
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    let result = evaluator
        .eval_source(expression.as_bytes(), Origin::String, b"/")
        .and_then(|value| evaluator.force_deep(value))
        .and_then(|value| evaluator.print(value, PrintOptions::INSTANTIATE))
        .map(|text| String::from_utf8(text).expect("attribute names are text"))
        .map_err(|error| error.message);
    (result, io.requests.take())
}

fn attributes(request: &FetchRequest) -> Vec<(&str, &FetchAttribute)> {
    let FetchRequest::Tree {
        input: FetchInput::Attributes(attributes),
        ..
    } = request
    else {
        panic!("{request:?} has no attributes");
    };
    attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

#[test]
fn a_fetched_tree_has_its_attributes_and_refers_to_its_path() {
    let (value, _) = run(
        false,
        r#"let tree = fetchTree "github:a/b"; in [ tree (builtins.attrNames (builtins.getContext tree.outPath)) ]"#,
    );
    assert_eq!(
        value.unwrap(),
        format!(
            r#"[ {{ lastModified = 1; narHash = "{HASH}"; outPath = "{STORE_PATH}"; submodules = false; }} [ "{STORE_PATH}" ] ]"#
        )
    );
}

#[test]
fn git_inputs_get_the_defaults_that_nix_gives_them() {
    let string = |text: &str| FetchAttribute::String(text.to_owned());
    let (git, yes) = (string("git"), FetchAttribute::Bool(true));
    let (_, requests) = run(false, r#"fetchGit { url = "u"; ref = "r"; }"#);
    let wanted = [
        ("exportIgnore", &yes),
        ("ref", &string("r")),
        ("type", &git),
        ("url", &string("u")),
    ];
    assert_eq!(attributes(&requests[0]), wanted);
    let (_, requests) = run(false, r#"fetchGit { url = "u"; submodules = true; }"#);
    let wanted = [("submodules", &yes), ("type", &git), ("url", &string("u"))];
    assert_eq!(attributes(&requests[0]), wanted);
    let (_, requests) = run(false, r#"fetchTree { type = "git"; url = "u"; }"#);
    let wanted = [("shallow", &yes), ("type", &git), ("url", &string("u"))];
    assert_eq!(attributes(&requests[0]), wanted);
}

#[test]
fn a_download_is_checked_against_its_hash() {
    let file = |sha256: &str| {
        format!(r#"builtins.fetchurl {{ url = "http://h/f"; sha256 = "{sha256}"; }}"#)
    };
    let (value, requests) = run(true, &file(HASH));
    assert_eq!(value.unwrap(), format!("\"{STORE_PATH}\""));
    let FetchRequest::Url {
        url,
        name,
        unpack,
        expected,
    } = &requests[0]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (url.as_str(), name.as_str(), *unpack, expected.is_some()),
        ("http://h/f", "f", false, true)
    );
    let zeros = "0000000000000000000000000000000000000000000000000000";
    assert_eq!(
        run(false, &file(zeros)).0.unwrap_err(),
        format!(
            "hash mismatch in file downloaded from 'http://h/f':\n  specified: sha256:{zeros}\n  got:       sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"
        )
    );
}

#[test]
fn pure_evaluation_wants_a_hash_and_a_locked_flake() {
    let error = |expression| run(true, expression).0.unwrap_err();
    assert_eq!(
        error("fetchTarball \"http://h/f\""),
        "in pure evaluation mode, 'fetchTarball' requires a 'sha256' argument"
    );
    assert_eq!(
        error("builtins.getFlake \"nixpkgs\""),
        "cannot call 'getFlake' on unlocked flake reference 'nixpkgs', at «none»:0 (use --impure to override)"
    );
    assert_eq!(
        error("<far>"),
        "cannot look up '<far>' in pure evaluation mode (use '--impure' to override)"
    );
    assert!(matches!(
        run(true, "fetchTree \"x\"").1[..],
        [FetchRequest::Tree { pure: true, .. }]
    ));
}

#[test]
fn an_entry_of_the_look_up_path_may_be_a_channel() {
    let (_, requests) = run(false, "builtins.findFile builtins.nixPath \"far/x\"");
    let [
        FetchRequest::Url {
            url, unpack: true, ..
        },
    ] = &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(url, "https://channels.nixos.org/nixos-99/nixexprs.tar.xz");
}

/// A flake whose only output is what it was called by.
fn named_flake<'a>(
    evaluator: &mut Evaluator<'a>,
    reference: &str,
) -> nix_evaluator::Result<Value<'a>> {
    let source = format!("{{ flake = \"{reference}\"; }}");
    evaluator.eval_source(source.as_bytes(), Origin::String, b"/")
}

#[test]
fn a_flake_is_evaluated_by_whoever_knows_how() {
    let (arena, io) = (Bump::new(), OneSource::default());
    let settings = Settings {
        pure: true,
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    evaluator.set_get_flake(&named_flake);
    let value = evaluator
        .eval_source(
            b"(builtins.getFlake \"locked\").flake",
            Origin::String,
            b"/",
        )
        .unwrap();
    let text = evaluator.print(value, PrintOptions::INSTANTIATE).unwrap();
    assert_eq!(text, b"\"locked\"");
}
