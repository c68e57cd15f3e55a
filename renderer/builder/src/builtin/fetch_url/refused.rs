//! Why a file was not fetched, in the words of curl, which Nix fetches with.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::super::failure::{Failure, description, shown};

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Refused {
    /// In Nix's words, with colours.
    pub(super) text: String,
    /// The first pause before the next attempt. None: another one does not help.
    pub(super) pause: Option<Duration>,
}

/// Between the first two attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// The same if there were too many requests.
const LONG_PAUSE: Duration = Duration::from_mins(1);
/// Answers up to this size are shown.
const SHOWN: usize = 1024;

impl Refused {
    /// An error that has a number with curl. It is about a URL that [`Refused::about`] adds.
    pub(super) fn curl(kind: &str, number: u32, details: &str) -> Self {
        Self {
            text: format!("{} ({}) {}", shown(kind), shown(number), shown(details)),
            pause: None,
        }
    }

    /// The same, which may pass.
    pub(super) fn passing(kind: &str, number: u32, details: &str) -> Self {
        Self {
            pause: Some(PAUSE),
            ..Self::curl(kind, number, details)
        }
    }

    /// What was fetched cannot be kept.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn write(error: io::Error) -> Self {
        let text = description(&error);
        Self::curl(
            "Failed writing received data to disk/application",
            23,
            &text,
        )
    }

    /// No answer.
    pub(super) fn request(error: &reqwest::Error, host: &str, port: u16, waited: Duration) -> Self {
        let causes = causes(error);
        if niphas_http::is_of_certificates(error) {
            return Self::passing(
                "SSL peer certificate or SSH remote key was not OK",
                60,
                &causes,
            );
        }
        if error.is_timeout() {
            return Self::passing("Timeout was reached", 28, &causes);
        }
        if error.is_connect() {
            if causes.contains("dns error") {
                let text = format!("Could not resolve host: {host}");
                return Self::passing("Could not resolve hostname", 6, &text);
            }
            let text = format!(
                "Failed to connect to {host}:{port} after {} ms: Could not connect to server",
                waited.as_millis()
            );
            return Self::passing("Could not connect to server", 7, &text);
        }
        Self::passing("Failure when receiving data from the peer", 56, &causes)
    }

    /// An answer that is no file.
    pub(super) fn status(status: u16, body: &[u8]) -> Self {
        let pause = match status {
            429 => Some(LONG_PAUSE),
            408 => Some(PAUSE),
            400..=499 | 501 | 505 | 511 => None,
            _ => Some(PAUSE),
        };
        let mut text = format!("HTTP error {}{}", shown(status), shown(""));
        let body = String::from_utf8_lossy(body);
        if !body.is_empty() && (body.len() < SHOWN || body.contains("<html>")) {
            text.extend(["\n\nresponse body:\n\n", &shown(body.trim_end())]);
        }
        Self { text, pause }
    }

    /// Names the URL.
    #[must_use]
    pub(super) fn about(self, url: &str) -> Self {
        let url = shown(niphas_http::redacted(url));
        Self {
            text: format!("unable to download '{url}': {}", self.text),
            ..self
        }
    }

    pub(super) fn failure(self) -> Failure {
        Failure::error(self.text)
    }

    /// As an error that came up while something else was done.
    pub(super) fn failure_within(self, doing: &str) -> Failure {
        Failure::traced(doing, self.text)
    }
}

/// An error's causes, without itself, which repeats the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}
