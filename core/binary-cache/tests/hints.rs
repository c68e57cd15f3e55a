//! What is advised where no cache gives a path: what helps with the refusal that came nearest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use binary_cache::{FetchError, Refusal, Unavailable};
use nix_formats::{NarInfo, StoreDir};
use std::sync::Arc;

const PATH: &str = "/nix/store/7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-konsole-18.12.3";
const PUSH: &str = "niphas cache push --to 'https://a.example' --sign-key <secret key>";

/// The advice where `https://a.example` says the first of these, and so on.
fn hint(refusals: &[Refusal]) -> String {
    let store_dir = StoreDir::default();
    let caches = [
        "https://a.example",
        "https://b.example",
        "https://c.example",
    ];
    let caches = caches.iter().map(ToString::to_string);
    let unavailable = Unavailable {
        path: store_dir.parse(PATH).unwrap(),
        store_dir,
        needed_by: None,
        refusals: Arc::new(caches.zip(refusals.iter().cloned()).collect()),
        without_keys: false,
    };
    unavailable.hint()
}

fn failed() -> Refusal {
    let name = "nix-cache-info".to_owned();
    Refusal::Failed(FetchError::Timeout { name })
}

#[test]
fn each_refusal_has_its_own() {
    let unsigned = Refusal::Untrusted(Vec::new());
    assert_eq!(hint(&[unsigned]), format!("sign it: {PUSH} {PATH}"));
    let other_key = Refusal::Untrusted(vec!["theirs-1".to_owned()]);
    assert_eq!(
        hint(&[other_key]),
        format!(
            "trust one of the keys theirs-1, or sign with a key that is trusted: {PUSH} {PATH}"
        )
    );
    let damaged = NarInfo::parse(&StoreDir::default(), "garbage").unwrap_err();
    assert_eq!(
        hint(&[Refusal::Malformed(damaged)]),
        format!(
            "remove 7h7qgvs4kgzsn8a6rb273saxyqh4jxlz.narinfo from the cache, then: {PUSH} {PATH}"
        )
    );
    assert_eq!(
        hint(&[Refusal::Denied(401)]),
        "give the login for https://a.example, in a netrc file or a token file"
    );
    let denied = object_store::Error::PermissionDenied {
        path: "nix-cache-info".to_owned(),
        source: "403".into(),
    };
    let denied = FetchError::S3 {
        name: "nix-cache-info".to_owned(),
        error: Arc::new(denied),
    };
    assert_eq!(
        hint(&[Refusal::Failed(denied)]),
        "give the keys for https://a.example: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
    );
    assert_eq!(
        hint(&[failed()]),
        "see whether https://a.example is right and can be reached from here, or name another cache"
    );
    assert_eq!(
        hint(&[Refusal::Missing]),
        format!("build it, then push it: {PUSH} {PATH}")
    );
    assert_eq!(hint(&[]), "name a binary cache that has it");
}

#[test]
fn the_nearest_refusal_counts() {
    let unsigned = Refusal::Untrusted(Vec::new());
    let told = hint(&[Refusal::Missing, failed(), unsigned]);
    assert!(
        told.starts_with("sign it: niphas cache push --to 'https://c.example'"),
        "{told}"
    );
    let told = hint(&[Refusal::Missing, failed()]);
    assert!(told.starts_with("see whether https://b.example"), "{told}");
    // Nobody knows which of them is pushed to.
    let told = hint(&[Refusal::Missing, Refusal::Missing]);
    assert!(told.contains("--to <cache>"), "{told}");
}
