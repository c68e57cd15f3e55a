//! What to do where no cache gives a path, in terms of the options of this crate.

use binary_cache::{Refusal, Unavailable};

/// What to do about a path that no cache gives.
pub fn unavailable_hint(unavailable: &Unavailable) -> String {
    match unavailable.nearest() {
        None => "name a binary cache that has it with --cache or NIPHAS_CACHES".to_owned(),
        Some((cache, Refusal::Denied(_))) => login_hint(cache),
        Some((_, refusal)) if refusal.is_for_trust() && unavailable.without_keys => {
            "no public key is trusted, so no signature counts: name the key that signs your builds \
             with --trusted-public-key or --key-file"
                .to_owned()
        }
        Some(_) => unavailable.hint(),
    }
}

/// What to do about a cache that demands a login.
pub fn login_hint(cache: &str) -> String {
    format!(
        "give the login for {cache} in a file: --netrc-file or ~/.netrc for user and password, \
         --cache-token-file for a bearer token"
    )
}
