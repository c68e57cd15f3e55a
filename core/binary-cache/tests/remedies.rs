//! What helps where no cache gives a path: it follows from the refusal that came nearest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use binary_cache::{FetchError, Refusal, Remedy, Unavailable};
use nix_formats::{HashAlgorithm, NarInfo, StoreDir};

const PATH: &str = "/nix/store/7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-konsole-18.12.3";
const A: &str = "https://a.example";
const B: &str = "https://b.example";

/// Where `a.example` says the first of these, and so on.
fn refused(refusals: &[Refusal], without_keys: bool) -> Unavailable {
    let store_dir = StoreDir::default();
    let caches = [A, B, "https://c.example"].map(ToOwned::to_owned);
    Unavailable {
        path: store_dir.parse(PATH).unwrap(),
        store_dir,
        needed_by: None,
        refusals: Arc::new(caches.into_iter().zip(refusals.iter().cloned()).collect()),
        without_keys,
    }
}

fn failed() -> Refusal {
    let name = "nix-cache-info".to_owned();
    Refusal::Failed(FetchError::Timeout { name })
}

fn denied_by_s3() -> Refusal {
    let error = object_store::Error::PermissionDenied {
        path: "nix-cache-info".to_owned(),
        source: "403".into(),
    };
    Refusal::Failed(FetchError::S3 {
        name: "nix-cache-info".to_owned(),
        error: Arc::new(error),
    })
}

#[test]
fn each_refusal_has_its_own() {
    let keys = ["theirs-1".to_owned()];
    let too_few = Refusal::TooFewSignatures {
        signers: vec!["ours-1".to_owned()],
        missing: keys.to_vec(),
        required: 2,
    };
    let damaged = NarInfo::parse(&StoreDir::default(), "garbage").unwrap_err();
    for (refusal, remedy) in [
        (Refusal::Untrusted(Vec::new()), Remedy::Sign { cache: A }),
        (
            Refusal::Untrusted(keys.to_vec()),
            Remedy::TrustOrSign {
                cache: A,
                keys: &keys,
            },
        ),
        (
            Refusal::FalseSignatures(keys.to_vec()),
            Remedy::CompareKeys {
                cache: A,
                keys: &keys,
            },
        ),
        (
            too_few,
            Remedy::SignWithMore {
                cache: A,
                keys: &keys,
            },
        ),
        (
            Refusal::WeakAddress(HashAlgorithm::Sha1),
            Remedy::Sign { cache: A },
        ),
        (Refusal::Malformed(damaged), Remedy::Replace { cache: A }),
        (Refusal::Denied(401), Remedy::Login { cache: A }),
        (denied_by_s3(), Remedy::S3Keys { cache: A }),
        (
            Refusal::Failed(FetchError::Memory { limit: 1 }),
            Remedy::SpareMemory,
        ),
        (failed(), Remedy::Reach { cache: A }),
        (Refusal::Missing, Remedy::Push { cache: Some(A) }),
    ] {
        let unavailable = refused(std::slice::from_ref(&refusal), false);
        assert_eq!(unavailable.remedy(), remedy, "{refusal:?}");
    }
    assert_eq!(refused(&[], false).remedy(), Remedy::NameCache);
    let unsigned = Refusal::Untrusted(Vec::new());
    assert_eq!(refused(&[unsigned], true).remedy(), Remedy::NameKey);
}

#[test]
fn the_nearest_refusal_counts() {
    let unsigned = Refusal::Untrusted(Vec::new());
    let unavailable = refused(&[Refusal::Missing, failed(), unsigned], false);
    let cache = "https://c.example";
    assert_eq!(unavailable.remedy(), Remedy::Sign { cache });
    let unavailable = refused(&[Refusal::Missing, failed()], false);
    assert_eq!(unavailable.remedy(), Remedy::Reach { cache: B });
    // It is not known which of them is pushed to.
    let unavailable = refused(&[Refusal::Missing, Refusal::Missing], false);
    assert_eq!(unavailable.remedy(), Remedy::Push { cache: None });
}
