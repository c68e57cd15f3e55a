//! Who may read a cache.

use std::fmt;

use data_encoding::BASE64;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use niphas_http::Secret;
use nix_formats::HashAlgorithm;
use subtle::{Choice, ConstantTimeEq};

/// The longest header that is looked at.
const MAX_HEADER: usize = 8 * 1024;

/// Tokens by which a cache may be read: several, so that they can be changed one after the other. Only hashes of them are kept.
#[derive(Clone, Default)]
pub struct ReadTokens(Vec<[u8; 32]>);

impl ReadTokens {
    /// Whether a request has one of the tokens: as a bearer token, or as the password of any user, as Nix sends what netrc has.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(given) = given(headers) else {
            return false;
        };
        let given = hash(&given);
        let same = self.0.iter().map(|token| token.ct_eq(&given));
        // All are compared, whichever it is.
        same.fold(Choice::from(0), |any, same| any | same).into()
    }
}

/// Empty tokens are none.
impl FromIterator<Secret> for ReadTokens {
    fn from_iter<T: IntoIterator<Item = Secret>>(tokens: T) -> Self {
        let tokens = tokens.into_iter().filter(|token| !token.is_empty());
        Self(
            tokens
                .map(|token| hash(token.expose().as_bytes()))
                .collect(),
        )
    }
}

impl fmt::Debug for ReadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadTokens({})", self.0.len())
    }
}

/// Hashes all have one length, so that comparing them says nothing of a token's.
fn hash(token: &[u8]) -> [u8; 32] {
    let digest = HashAlgorithm::Sha256.digest(token);
    digest.as_bytes().try_into().unwrap_or([0; 32])
}

/// The token of a request.
fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    if value.len() > MAX_HEADER {
        return None;
    }
    let space = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let login = BASE64.decode(rest).ok()?;
    let colon = login.iter().position(|&byte| byte == b':')?;
    Some(login[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_come_as_bearer_tokens_and_as_passwords() {
        let tokens: ReadTokens = ["first", "", "second:x"]
            .map(Secret::from)
            .into_iter()
            .collect();
        assert_eq!(format!("{tokens:?}"), "ReadTokens(2)");
        let basic = |login: &str| format!("Basic {}", BASE64.encode(login.as_bytes()));
        for (header, expected) in [
            ("Bearer first".to_owned(), true),
            ("bearer  second:x".to_owned(), true),
            (basic("anyone:first"), true),
            (basic(":first"), true),
            (basic("a:second:x"), true),
            (basic("first"), false),
            (basic("first:"), false),
            (basic("a:firs"), false),
            ("Bearer ".to_owned(), false),
            ("Bearer".to_owned(), false),
            ("Bearer firstx".to_owned(), false),
            ("Basic !".to_owned(), false),
            ("Digest first".to_owned(), false),
            (format!("Bearer {}", "x".repeat(9000)), false),
        ] {
            let value = HeaderValue::try_from(&header).unwrap();
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            assert_eq!(tokens.allow(&headers), expected, "{header}");
        }
        assert!(!tokens.allow(&HeaderMap::new()));
        assert!(!ReadTokens::default().allow(&HeaderMap::new()));
    }
}
