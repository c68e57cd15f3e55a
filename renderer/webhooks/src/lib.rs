//! Reads webhooks of Git hosts.
//!
//! A webhook is a request from a stranger until one of the hook's secrets turns out to have signed it. [`Hook::read`] does that
//! first, in constant time, and only then looks into the body. What comes out is an [`Event`], which is a hint: a branch was pushed,
//! a pull request changed. A program that acts on it asks the repository itself what is there now, so a request that was recorded and is
//! sent once more has no effect but a look at the repository. [`Replays`] refuses most of those, too.
//!
//! The crate is pure: it is given headers and a body, and opens no connection.

mod event;
mod provider;
mod replays;
mod signature;

pub use event::{Change, Event, PullRequest, PullRequestAction, Push};
pub use provider::{Provider, UnknownProvider};
pub use replays::{Replay, Replays};
pub use signature::SignatureError;

use http::HeaderMap;

/// The largest body that is read, in bytes. GitHub's largest are 25 MiB, of pushes with thousands of commits; those are refused,
/// and polling finds what they were about.
pub const MAX_BODY: usize = 4 << 20;

/// Where a webhook arrives: the host that sends it, and its secrets.
#[derive(Clone, Copy)]
pub struct Hook<'h> {
    /// The Git host.
    pub provider: Provider,
    /// The secrets that count at this time: more than one while one replaces another.
    pub secrets: &'h [&'h [u8]],
}

/// A request whose signature was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The host's own name for this delivery, the same when it sends it again. It is not signed.
    pub id: Option<String>,
    /// What it is about.
    pub event: Event,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The sender did not show that it knows the secret.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The body is too large.
    #[error("the body has {0} bytes, expected at most {MAX_BODY}")]
    TooLarge(usize),
    /// A header is missing.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The body does not have the host's form.
    #[error("the body of a '{event}' event is not what {provider} sends: {message}")]
    Body {
        /// The host.
        provider: Provider,
        /// The event, as the header names it.
        event: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Hook<'_> {
    /// Checks the signature of a request that arrived at `now`, in seconds since 1970, and reads it.
    pub fn read(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: i64,
    ) -> Result<Delivery, WebhookError> {
        if body.len() > MAX_BODY {
            return Err(WebhookError::TooLarge(body.len()));
        }
        signature::verify(self.provider, self.secrets, headers, body, now)?;
        let event = event::read(self.provider, headers, body)?;
        let mut names = self.provider.delivery_headers().iter();
        let id = names.find_map(|name| text(headers, name));
        Ok(Delivery {
            id: id.map(str::to_owned),
            event,
        })
    }
}

/// A header that is text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}
