//! Who sent it: signatures by a shared secret.
//!
//! | Host | Header | Value |
//! |---|---|---|
//! | GitHub | `X-Hub-Signature-256` | `sha256=` and HMAC-SHA256 of the body in hexadecimal digits |
//! | GitLab | `webhook-signature` | `v1,` and HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64, from <https://www.standardwebhooks.com>; several, separated by spaces |
//! | GitLab | `X-Gitlab-Token` | the secret itself |
//! | Gitea, Forgejo | `X-Gitea-Signature`, `X-Forgejo-Signature` | HMAC-SHA256 in hexadecimal digits |
//! | Bitbucket | `X-Hub-Signature` | as GitHub's |
//! | others | `X-Signature` | `sha256=` or `sha512=` and the HMAC in hexadecimal digits |
//!
//! GitHub's `X-Hub-Signature` is HMAC-SHA1, and is not looked at.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::HeaderMap;
use ring::hmac::{self, Algorithm, HMAC_SHA256, HMAC_SHA512, Key};

use crate::provider::Provider;
use crate::text;

/// How far the clock of a host that signs the time may be from ours, in seconds.
const CLOCK_SKEW: i64 = 300;

/// What a secret of Standard Webhooks begins with; base64 follows.
const STANDARD_SECRET: &str = "whsec_";

/// Why a request is not from who knows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no secret to compare with.
    #[error("the hook has no secret; every webhook is refused until it has one")]
    NoSecret,
    /// The request has no signature.
    #[error(
        "the request has no signature: the header {0} is missing; set the hook's secret at the Git host"
    )]
    Missing(&'static str),
    /// The signature does not have the form that it should.
    #[error("the header {header} is not '{form}'")]
    Malformed {
        /// The header.
        header: &'static str,
        /// What was expected.
        form: &'static str,
    },
    /// No secret of the hook makes this signature.
    #[error("the signature is wrong: the Git host has another secret than the hook")]
    Wrong,
    /// The time that was signed is too far from now.
    #[error("the request was signed {0} s from now, expected at most {CLOCK_SKEW} s")]
    Time(i64),
}

pub(crate) fn verify(
    provider: Provider,
    secrets: &[&[u8]],
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<(), SignatureError> {
    // An empty key is known to all.
    if secrets.is_empty() || secrets.iter().any(|secret| secret.is_empty()) {
        return Err(SignatureError::NoSecret);
    }
    let header = |name: &'static str| text(headers, name).ok_or(SignatureError::Missing(name));
    match provider {
        Provider::GitHub => prefixed(
            "X-Hub-Signature-256",
            header("x-hub-signature-256")?,
            &SHA256,
        ),
        Provider::BitbucketCloud | Provider::BitbucketServer => {
            prefixed("X-Hub-Signature", header("x-hub-signature")?, &SHA256)
        }
        Provider::Generic => prefixed("X-Signature", header("x-signature")?, &ANY),
        Provider::Gitea => bare("X-Gitea-Signature", header("x-gitea-signature")?),
        Provider::Forgejo => match text(headers, "x-forgejo-signature") {
            Some(value) => bare("X-Forgejo-Signature", value),
            None => bare("X-Gitea-Signature", header("x-gitea-signature")?),
        },
        Provider::GitLab => return gitlab(secrets, headers, body, now),
    }
    .and_then(|(algorithm, tag)| signed(algorithm, secrets, &[body], &tag))
}

const SHA256: [(&str, Algorithm); 1] = [("sha256=", HMAC_SHA256)];
const ANY: [(&str, Algorithm); 2] = [("sha256=", HMAC_SHA256), ("sha512=", HMAC_SHA512)];

/// A tag after the name of its algorithm.
fn prefixed(
    header: &'static str,
    value: &str,
    algorithms: &[(&str, Algorithm)],
) -> Result<(Algorithm, Vec<u8>), SignatureError> {
    let form = if algorithms.len() == 1 {
        "sha256=DIGITS"
    } else {
        "sha256=DIGITS or sha512=DIGITS"
    };
    let tag = algorithms.iter().find_map(|(prefix, algorithm)| {
        let digits = value.strip_prefix(prefix)?;
        Some((*algorithm, hexadecimal(digits)?))
    });
    tag.ok_or(SignatureError::Malformed { header, form })
}

fn bare(header: &'static str, value: &str) -> Result<(Algorithm, Vec<u8>), SignatureError> {
    let form = "64 hexadecimal digits";
    let tag = hexadecimal(value).ok_or(SignatureError::Malformed { header, form })?;
    Ok((HMAC_SHA256, tag))
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    // No tag is longer; nothing is decoded for one that is.
    (digits.len() <= 128)
        .then(|| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok())
        .flatten()
}

fn gitlab(
    secrets: &[&[u8]],
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<(), SignatureError> {
    let Some(signatures) = text(headers, "webhook-signature") else {
        let token = headers
            .get("x-gitlab-token")
            .ok_or(SignatureError::Missing("X-Gitlab-Token"))?;
        let is_known = |secret: &&[u8]| is_equal(secret, token.as_bytes());
        return known(secrets.iter().any(is_known));
    };
    let header = |name, shown| text(headers, name).ok_or(SignatureError::Missing(shown));
    let id = header("webhook-id", "webhook-id")?;
    let timestamp = header("webhook-timestamp", "webhook-timestamp")?;
    let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::Malformed {
        header: "webhook-timestamp",
        form: "seconds since 1970",
    })?;
    let message: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let keys: Vec<Vec<u8>> = secrets.iter().map(|secret| standard_key(secret)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    // More than one while the host changes its key.
    let tags = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .filter_map(|tag| BASE64.decode(tag.as_bytes()).ok());
    let mut tags = tags.take(8);
    known(tags.any(|tag| signed(HMAC_SHA256, &keys, &message, &tag).is_ok()))?;
    // Only what was signed is worth a message about its time.
    let difference = now.saturating_sub(seconds).saturating_abs();
    if difference > CLOCK_SKEW {
        return Err(SignatureError::Time(difference));
    }
    Ok(())
}

/// The key that a secret of Standard Webhooks stands for.
fn standard_key(secret: &[u8]) -> Vec<u8> {
    let encoded = secret.strip_prefix(STANDARD_SECRET.as_bytes());
    let key = encoded.and_then(|encoded| BASE64.decode(encoded).ok());
    key.unwrap_or_else(|| secret.to_vec())
}

/// Whether one of the secrets made this tag. Each is compared in constant time.
fn signed(
    algorithm: Algorithm,
    secrets: &[&[u8]],
    message: &[&[u8]],
    tag: &[u8],
) -> Result<(), SignatureError> {
    known(secrets.iter().any(|secret| {
        let key = Key::new(algorithm, secret);
        let mut context = hmac::Context::with_key(&key);
        for piece in message {
            context.update(piece);
        }
        is_equal(context.sign().as_ref(), tag)
    }))
}

fn known(is_right: bool) -> Result<(), SignatureError> {
    is_right.then_some(()).ok_or(SignatureError::Wrong)
}

/// Whether two byte strings are equal. How long it takes tells nothing of where they differ: their tags under one key are
/// compared, which no sender can choose.
fn is_equal(expected: &[u8], found: &[u8]) -> bool {
    let key = Key::new(HMAC_SHA256, b"niphas: compare in constant time");
    hmac::verify(&key, found, hmac::sign(&key, expected).as_ref()).is_ok()
}
