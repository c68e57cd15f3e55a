//! What to do where no cache gives a path, in terms of the options of this crate and of the program that pushes.

use binary_cache::{Remedy, Unavailable};

/// What to do about a path that no cache gives.
pub fn unavailable_hint(unavailable: &Unavailable) -> String {
    let path = unavailable.store_dir.print(&unavailable.path);
    words(unavailable.remedy(), &path, unavailable.path.hash_part())
}

fn words(remedy: Remedy<'_>, path: &str, hash: &str) -> String {
    let push_to = |to: &str| format!("niphas cache push --to {to} --sign-key <secret key> {path}");
    let push = |cache: &str| push_to(&format!("'{cache}'"));
    match remedy {
        Remedy::NameCache => {
            "name a binary cache that has it with --cache or NIPHAS_CACHES".to_owned()
        }
        Remedy::NameKey => {
            "no public key is trusted, so no signature counts: name the key that signs your builds \
             with --trusted-public-key or --key-file"
                .to_owned()
        }
        Remedy::Sign { cache } => format!("sign it: {}", push(cache)),
        Remedy::TrustOrSign { cache, keys } => format!(
            "trust one of the keys {}, or sign with a key that is trusted: {}",
            keys.join(", "),
            push(cache)
        ),
        Remedy::CompareKeys { cache, keys } => format!(
            "compare the trusted key {} with the one that signs: if it was replaced, trust the new one; if not, the \
             signatures in {cache} are forged",
            keys.join(", ")
        ),
        Remedy::SignWithMore { cache, keys } => format!(
            "sign it with another trusted key ({}) as well: {}",
            keys.join(", "),
            push(cache)
        ),
        Remedy::Login { cache } => login_hint(cache),
        Remedy::S3Keys { cache } => format!(
            "give the keys for {cache}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        ),
        Remedy::TrustCertificate { cache } => format!(
            "let SSL_CERT_FILE name a file that also has the certificate of the authority that {cache} is certified by"
        ),
        Remedy::SpareMemory => {
            "try again later, or give this closure fewer and smaller paths".to_owned()
        }
        Remedy::Reach { cache } => format!(
            "see whether {cache} is right and can be reached from here, or name another cache"
        ),
        Remedy::Replace { cache } => format!(
            "remove {hash}.narinfo from the cache, then: {}",
            push(cache)
        ),
        Remedy::Push { cache: Some(cache) } => format!("build it, then push it: {}", push(cache)),
        Remedy::Push { cache: None } => format!(
            "build it, then push it to one of the caches: {}",
            push_to("<cache>")
        ),
    }
}

/// What to do about a cache that demands a login.
pub fn login_hint(cache: &str) -> String {
    format!(
        "give the login for {cache} in a file: --netrc-file or ~/.netrc for user and password, \
         --cache-token-file for a bearer token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str =
        "niphas cache push --to 'https://a.example' --sign-key <secret key> /nix/store/x";

    #[test]
    fn each_remedy_is_worded_with_what_to_run() {
        let (cache, keys) = ("https://a.example", &["k-1".to_owned(), "k-2".to_owned()]);
        for (remedy, hint) in [
            (Remedy::Sign { cache }, format!("sign it: {PUSH}")),
            (
                Remedy::TrustOrSign { cache, keys },
                format!("trust one of the keys k-1, k-2, or sign with a key that is trusted: {PUSH}"),
            ),
            (
                Remedy::CompareKeys { cache, keys: &keys[..1] },
                "compare the trusted key k-1 with the one that signs: if it was replaced, trust the new one; if not, the \
                 signatures in https://a.example are forged"
                    .to_owned(),
            ),
            (
                Remedy::SignWithMore { cache, keys },
                format!("sign it with another trusted key (k-1, k-2) as well: {PUSH}"),
            ),
            (
                Remedy::Replace { cache },
                format!("remove x.narinfo from the cache, then: {PUSH}"),
            ),
            (
                Remedy::Push { cache: Some(cache) },
                format!("build it, then push it: {PUSH}"),
            ),
            (
                Remedy::Push { cache: None },
                "build it, then push it to one of the caches: \
                 niphas cache push --to <cache> --sign-key <secret key> /nix/store/x"
                    .to_owned(),
            ),
            (Remedy::Login { cache }, login_hint(cache)),
            (
                Remedy::Reach { cache },
                "see whether https://a.example is right and can be reached from here, or name another cache"
                    .to_owned(),
            ),
        ] {
            assert_eq!(words(remedy, "/nix/store/x", "x"), hint);
        }
    }
}
