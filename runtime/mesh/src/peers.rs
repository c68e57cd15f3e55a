//! Asking peers.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use niphas_mesh_policy::{Fault, Name, Part, Role};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use reqwest::header::AUTHORIZATION;

use crate::file_name::FileName;
use crate::node::Node;

/// The node that asks.
pub(crate) const ASKER: HeaderName = HeaderName::from_static("niphas-mesh-node");
/// As what a peer is asked.
pub(crate) const ROLE: HeaderName = HeaderName::from_static("niphas-mesh-role");
/// Peers that could not serve, separated by commas.
pub(crate) const AVOIDING: HeaderName = HeaderName::from_static("niphas-mesh-avoiding");
/// The bytes of the part that the asker has.
pub(crate) const FROM: HeaderName = HeaderName::from_static("niphas-mesh-from");
/// In answers: bytes of the whole file.
pub(crate) const FILE_SIZE: HeaderName = HeaderName::from_static("niphas-mesh-file-size");
/// In answers without a part: the peer to ask.
pub(crate) const PEER: HeaderName = HeaderName::from_static("niphas-mesh-peer");

/// A peer that does not have a part, and does not fetch it.
pub(crate) const NOT_HERE: StatusCode = StatusCode::CONFLICT;
/// A peer that serves as many as it may.
pub(crate) const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// Roles as headers have them.
pub(crate) const ROLES: [(&str, Role); 4] = [
    ("zone-home", Role::ZoneHome),
    ("home", Role::Home),
    ("holder", Role::Holder),
    ("keeper", Role::Keeper),
];

/// How long a token is shown before its file is read again.
const TOKEN_AGE: Duration = Duration::from_secs(10);

/// What a peer answers.
pub(crate) enum Answer {
    /// The part, from where it was asked for on.
    Part { file_size: u64, bytes: Response },
    /// The name of another peer.
    Elsewhere(Name),
    /// It does not serve the part.
    NotServed,
    /// The origin has no such file, or none that can be shared.
    Missing,
}

impl Node {
    /// Asks a peer for a part, from its byte `from` on.
    pub(crate) async fn ask(
        &self,
        peer: &Name,
        (role, avoiding): (Role, &[Name]),
        (file, part): (&FileName, Part),
        from: u64,
    ) -> Result<Answer, Fault> {
        // One that has left since.
        let Some(address) = self.directory().address(peer) else {
            return Ok(Answer::NotServed);
        };
        let cache = utf8_percent_encode(self.caches[file.cache].as_str(), NON_ALPHANUMERIC);
        let url = format!("http://{address}/part/{cache}/{}/{}", part.index, file.name);
        let mut headers = HeaderMap::new();
        let Some(token) = self.token.header() else {
            return Ok(Answer::NotServed);
        };
        headers.insert(AUTHORIZATION, token);
        headers.insert(ROLE, HeaderValue::from_static(name_of(role)));
        headers.insert(FROM, from.into());
        let avoiding = avoiding.join(",");
        for (name, text) in [(ASKER, &*self.name), (AVOIDING, &*avoiding)] {
            let value = HeaderValue::from_str(text).map_err(|_| Fault::Malformed)?;
            headers.insert(name, value);
        }
        let answer = self.peers.get(url).headers(headers).send().await;
        let answer = answer.map_err(|error| fault_of(&error))?;
        let status = answer.status();
        if status == StatusCode::OK {
            let file_size = number(answer.headers(), &FILE_SIZE).ok_or(Fault::Malformed)?;
            let rest = part
                .size_within(file_size)
                .and_then(|size| size.checked_sub(from));
            if rest.is_none() || answer.content_length() != rest {
                return Err(Fault::Malformed);
            }
            return Ok(Answer::Part {
                file_size,
                bytes: answer,
            });
        }
        let named = answer
            .headers()
            .get(PEER)
            .and_then(|peer| peer.to_str().ok());
        match (status, named) {
            (BUSY, Some(peer)) => Ok(Answer::Elsewhere(peer.into())),
            (StatusCode::NOT_FOUND, _) => Ok(Answer::Missing),
            // One that refuses this node may know it, or the cache, only later.
            (BUSY | NOT_HERE | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                Ok(Answer::NotServed)
            }
            _ => Err(Fault::Malformed),
        }
    }
}

fn name_of(role: Role) -> &'static str {
    let found = ROLES.iter().find(|(_, other)| *other == role);
    found.map_or("holder", |(name, _)| name)
}

/// How a request to a peer failed.
pub(crate) fn fault_of(error: &reqwest::Error) -> Fault {
    if error.is_timeout() && !error.is_connect() {
        Fault::Stalled
    } else {
        Fault::Unreachable
    }
}

/// A header that is a number.
pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The token that shows peers who asks.
pub(crate) struct Token {
    file: PathBuf,
    read: Mutex<Option<(Instant, HeaderValue)>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Token {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            read: Mutex::default(),
        }
    }

    /// The header `Authorization`. None, with a warning, if the file cannot be used.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, value)) = &*read
            && when.elapsed() < TOKEN_AGE
        {
            return Some(value.clone());
        }
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "failed to read the token for peers");
                return None;
            }
        };
        let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", text.trim())) else {
            tracing::warn!(file = %self.file.display(), "the token for peers is not one line of text");
            return None;
        };
        value.set_sensitive(true);
        *read = Some((Instant::now(), value.clone()));
        Some(value)
    }
}
