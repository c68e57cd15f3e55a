//! Which pod a request comes from.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use niphas_http::Secret;
use nix_formats::{Hash, HashAlgorithm};
use thiserror::Error;

use super::refusal::Refusal;
use super::spec::BuildSpec;
use crate::protocol::{BuildName, Outcome};

/// What the service knows of builds and their pods.
pub trait Builds: Send + Sync + 'static {
    /// The pod that a token is bound to, if it runs a build of ours. The answer is kept for half a minute.
    fn bearer(&self, token: &Secret) -> impl Future<Output = Result<Bearer, Denied>> + Send;

    /// A build. None: it is none, or no more.
    fn spec(
        &self,
        name: &BuildName,
    ) -> impl Future<Output = Result<Option<Arc<BuildSpec>>, Denied>> + Send;

    /// A build has an outcome. It may be told more than once.
    fn finished(&self, name: &BuildName, outcome: &Outcome) -> impl Future<Output = ()> + Send;
}

/// A pod, and the builds that it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The pod. Another pod of the same build starts from the beginning.
    pub pod: PodId,
    /// Its builds.
    pub builds: BTreeSet<BuildName>,
}

/// Why a token is not good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denied {
    /// It is of no pod of ours.
    #[error("the token is of no build's pod")]
    Unknown,
    /// It cannot be said now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::Unauthenticated,
            Denied::Unavailable(message) => Self::Unavailable(message),
        }
    }
}

/// What tells pods apart: Kubernetes' UID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(String);

/// A text that is no UID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected 1 to 64 letters, digits and dashes")]
pub struct PodIdError;

impl FromStr for PodId {
    type Err = PodIdError;

    fn from_str(text: &str) -> Result<Self, PodIdError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PodIdError)
        }
    }
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long it is remembered whose a token is.
const MEMORY: Duration = Duration::from_secs(30);

/// Tokens that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// The longest token that is looked at.
const MAX_TOKEN: usize = 16 << 10;

/// Whose tokens are, by their hashes. Only good ones are remembered.
#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<HashMap<Hash, (Instant, Bearer)>>);

impl Identities {
    /// Whose the token of a request is.
    pub(super) async fn bearer(
        &self,
        builds: &impl Builds,
        headers: &HeaderMap,
    ) -> Result<Bearer, Refusal> {
        let token = token(headers).ok_or(Refusal::Unauthenticated)?;
        let hash = HashAlgorithm::Sha256.digest(token.expose().as_bytes());
        if let Some((since, bearer)) = self.known().get(&hash)
            && since.elapsed() < MEMORY
        {
            return Ok(bearer.clone());
        }
        let bearer = builds.bearer(&token).await?;
        let mut known = self.known();
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (since, _)| since.elapsed() < MEMORY);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(hash, (Instant::now(), bearer.clone()));
        }
        Ok(bearer)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, (Instant, Bearer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_one =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN;
    is_one.then(|| Secret::from(token))
}
