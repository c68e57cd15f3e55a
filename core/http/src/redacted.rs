//! Texts with URLs in them, without what is secret about the URLs.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Parameters of URLs that let their holder in, in lower case.
const SECRET_PARAMETERS: &[&str] = &[
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "auth_token",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "credential",
    "id_token",
    "job_token",
    "jwt",
    "oauth_token",
    "passwd",
    "password",
    "private_token",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Whether a parameter of this name in a URL holds a secret, or a part of one.
pub fn is_secret_parameter(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str())
}

/// A text for messages, made by [`redacted`]. Errors hold URLs as this, so that neither their `Display` nor their `Debug`
/// shows a secret.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redacted(String);

impl From<&str> for Redacted {
    fn from(text: &str) -> Self {
        Self(redacted(text))
    }
}

impl From<String> for Redacted {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The text without user and password of each URL in it, and without the values of parameters that are known to hold
/// secrets. The user stays where it is an account's name: with ssh.
pub fn redacted(text: &str) -> String {
    without_secret_parameters(&without_user_info(text))
}

fn without_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(":/") {
        let scheme = &rest[..at];
        let slashes = if rest[at + 1..].starts_with("//") {
            2
        } else {
            1
        };
        let (head, tail) = rest.split_at(at + 1 + slashes);
        out.push_str(head);
        rest = tail;
        // A URL that was taken for a path has only one slash.
        if slashes == 1
            && !["http", "https", "ssh"]
                .iter()
                .any(|end| scheme.ends_with(end))
        {
            continue;
        }
        let ends_authority = |c: char| c.is_whitespace() || "/?#\"<>".contains(c);
        let authority = &tail[..tail.find(ends_authority).unwrap_or(tail.len())];
        if let Some(at) = authority.rfind('@') {
            if scheme.ends_with("ssh") {
                out.push_str(authority[..at].split(':').next().unwrap_or_default());
                out.push('@');
            }
            rest = &tail[at + 1..];
        }
    }
    out.push_str(rest);
    out
}

fn without_secret_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        let ends_parameter = |c: char| c.is_whitespace() || "&#\"'<>".contains(c);
        let parameter = &tail[..tail.find(ends_parameter).unwrap_or(tail.len())];
        if let Some((name, _)) = parameter.split_once('=')
            && is_secret_parameter(name)
        {
            out.push_str(name);
            out.push_str("=…");
            rest = &tail[parameter.len()..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_left_out_wherever_a_url_stands() {
        for (text, shown) in [
            ("https://u:marker@h/p", "https://h/p"),
            ("https://marker@h:8080", "https://h:8080"),
            ("git+https://u:a@marker@h/", "git+https://h/"),
            ("ssh://git@h/o/r", "ssh://git@h/o/r"),
            ("git+ssh://git:marker@h/o", "git+ssh://git@h/o"),
            (
                "'http://u:marker@a/', 'http://marker@b/'",
                "'http://a/', 'http://b/'",
            ),
            ("https://h/a@b", "https://h/a@b"),
            ("path '/w/https:/u:marker@h'", "path '/w/https:/h'"),
            ("file:/a@b", "file:/a@b"),
            ("git@h:o/r", "git@h:o/r"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn secret_parameters_keep_only_their_names() {
        for (text, shown) in [
            (
                "https://h/p?token=marker&x=1#f",
                "https://h/p?token=…&x=1#f",
            ),
            (
                "https://h?x=1&Access_Token=marker",
                "https://h?x=1&Access_Token=…",
            ),
            (
                "'https://h?X-Amz-Signature=marker'",
                "'https://h?X-Amz-Signature=…'",
            ),
            ("https://h?to%6Ben=marker", "https://h?to%6Ben=…"),
            ("https://h?ref=a&rev=b", "https://h?ref=a&rev=b"),
            ("what? yes & no = maybe", "what? yes & no = maybe"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn redacting_twice_changes_nothing() {
        let once = redacted("https://u:p@h/?token=a&sig=b 'ssh://u:p@h?password=x'");
        assert_eq!(redacted(&once), once);
        assert_eq!(
            format!("{:?}", Redacted::from("https://u:p@h")),
            "\"https://h\""
        );
    }
}
