//! Why a program failed, on standard error.

use std::error::Error;
use std::io::{Write, stderr};

use niphas_http::redacted;
use nix_formats::printable;

use crate::in_colour;

/// Prints an error, its causes, and what the reader can do about it.
pub fn report(error: &(dyn Error + 'static), hint: Option<&str>) {
    print(lines(error, hint).as_bytes());
}

/// Prints a report that is in its form already: it begins with `error:`.
pub fn report_text(text: &[u8]) {
    match str::from_utf8(text) {
        Ok(text) => print(redacted(text).as_bytes()),
        Err(_) => print(text),
    }
}

fn lines(error: &(dyn Error + 'static), hint: Option<&str>) -> String {
    let mut lines = vec![format!("error: {error}")];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(format!("  caused by: {error}"));
        cause = error.source();
    }
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    redacted(&lines.join("\n"))
}

fn print(text: &[u8]) {
    // Names and messages in it are those of flakes, caches and servers.
    let text = printable(text, in_colour());
    let report = match text.strip_prefix(b"error:") {
        Some(rest) if in_colour() => [b"\x1b[31;1merror:\x1b[0m", rest, b"\n"].concat(),
        _ => [&text[..], b"\n"].concat(),
    };
    // There is no other place to report that standard error is closed.
    let _ = stderr().write_all(&report);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to fetch https://user:secret@cache.example.org/x")]
    struct Fetch(#[source] std::io::Error);

    #[test]
    fn causes_and_hint_follow_the_error_and_secrets_are_left_out() {
        let error = Fetch(std::io::Error::other("connection refused"));
        let text = lines(&error, Some("check the address"));
        assert!(text.starts_with("error: failed to fetch https://"));
        assert!(text.ends_with("\n  caused by: connection refused\nhint: check the address"));
        assert!(!text.contains("secret"), "{text}");
    }
}
