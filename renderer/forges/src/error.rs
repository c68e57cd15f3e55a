//! What goes wrong with hosts.

use std::time::Duration;

use niphas_http::{Redacted, RedirectError, SetupError};
use nix_formats::{printable, shortened};
use serde_json::Value;
use thiserror::Error;

use crate::answer::{Answer, ReadError};
use crate::auth::KeyError;

/// Longer messages of hosts are cut.
const MESSAGE_LIMIT: usize = 300;

/// Why a host did not do what it was asked for. Requests are named by method and path.
#[derive(Debug, Error)]
pub enum ForgeError {
    /// The client can't be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The key of an app.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The credentials cannot be sent in a header.
    #[error("the credentials hold characters that no header does")]
    Credentials,
    /// No whole answer.
    #[error("failed to send {request}")]
    Send {
        /// The request.
        request: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer takes too long.
    #[error("the answer to {request} is not here after {} s", after.as_secs())]
    Slow {
        /// The request.
        request: String,
        /// The time.
        after: Duration,
    },
    /// The answer is too large.
    #[error("the answer to {request} is larger than {limit} bytes")]
    TooLarge {
        /// The request.
        request: String,
        /// The most that is read.
        limit: usize,
    },
    /// The host sends the request to another place.
    #[error("the answer to {request} leads to '{to}'")]
    Redirect {
        /// The request.
        request: String,
        /// The place.
        to: Redacted,
        /// Why the request does not go there.
        #[source]
        source: RedirectError,
    },
    /// The host sends the request to another host, where the credentials do not belong.
    #[error(
        "the answer to {request} leads to another host, '{to}': expected the API there, or none"
    )]
    OtherHost {
        /// The request.
        request: String,
        /// The place.
        to: Redacted,
    },
    /// The host takes no more requests for some time.
    #[error("the host takes no more requests for {} s", pause.as_secs())]
    Limited {
        /// How long.
        pause: Duration,
    },
    /// The host said no.
    #[error("the host refused {request} with status {status}: {message}")]
    Refused {
        /// The request.
        request: String,
        /// The status.
        status: u16,
        /// What the host says about it: one line, bounded.
        message: Redacted,
    },
    /// The answer is another one.
    #[error("failed to read the answer to {request}")]
    Read {
        /// The request.
        request: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The commit of a pull request is not one.
    #[error("the host gave '{0}' as the commit of a pull request")]
    Commit(String),
}

impl ForgeError {
    /// How long to wait before the next attempt, if the host said that.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Limited { pause } => Some(*pause),
            _ => None,
        }
    }

    /// Whether the host refused, with one of these statuses.
    pub(crate) fn is_refusal(&self, statuses: &[u16]) -> bool {
        matches!(self, Self::Refused { status, .. } if statuses.contains(status))
    }
}

/// What an answer that refuses says about it. Each host has its own place for that.
pub(crate) fn message(answer: &Answer) -> Redacted {
    let places = [
        "/message",
        "/error/message",
        "/errors/0/message",
        "/error_description",
        "/error",
    ];
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let mut texts: Vec<String> = Vec::new();
    if let Some(body) = &body {
        let found = places.iter().filter_map(|place| body.pointer(place));
        texts.extend(found.take(1).map(|found| match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
        // GitHub's reason.
        let detail = body.pointer("/errors/0/message").and_then(Value::as_str);
        texts.extend(detail.map(str::to_owned));
        texts.dedup();
    }
    let text = if texts.is_empty() {
        let start = &answer.body[..answer.body.len().min(MESSAGE_LIMIT)];
        String::from_utf8_lossy(start).into_owned()
    } else {
        texts.join(": ")
    };
    let text = printable(text.as_bytes(), false);
    let text = String::from_utf8_lossy(&text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Redacted::from(shortened(&line, MESSAGE_LIMIT).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_all_hosts_are_found() {
        for (body, text) in [
            (
                r#"{"message":"Validation Failed","errors":[{"message":"No commits between main and x"}]}"#,
                "Validation Failed: No commits between main and x",
            ),
            (
                r#"{"message":{"base":["Source branch is missing"]}}"#,
                r#"{"base":["Source branch is missing"]}"#,
            ),
            (
                r#"{"type":"error","error":{"message":"Repository not found"}}"#,
                "Repository not found",
            ),
            (
                r#"{"errors":[{"context":null,"message":"You are not permitted"}]}"#,
                "You are not permitted",
            ),
            (
                r#"{"error":"invalid_token","error_description":"Token was revoked."}"#,
                "Token was revoked.",
            ),
            ("<html>\n bad \u{1b}[31mgateway", "<html> bad gateway"),
            ("", ""),
        ] {
            let answer = Answer {
                body: body.as_bytes().to_vec(),
                ..Answer::default()
            };
            assert_eq!(message(&answer).to_string(), text);
        }
        let long = Answer {
            body: format!("{{\"message\":\"{}\"}}", "x".repeat(10_000)).into_bytes(),
            ..Answer::default()
        };
        assert!(message(&long).to_string().len() <= MESSAGE_LIMIT);
    }
}
