//! Where a GitOps repository is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use niphas_http::redacted;
use percent_encoding::percent_decode_str;
use url::Url;

/// A repository on this machine, or one to fetch from and push to.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder: a bare repository, or one with a work tree.
    Path(PathBuf),
    /// `https://`, `http://`, `ssh://` or `user@host:path`; it holds no password, but its user may be a token.
    Remote(String),
}

/// A text that is no [`Location`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// A scheme that is not spoken here.
    #[error("'{0}': expected a path, file://, https://, http://, ssh:// or user@host:path")]
    Scheme(String),
    /// A secret where everybody can read it. The text is not repeated.
    #[error(
        "the repository's URL has a password in it; give a token by file, by environment or by git's credential helper"
    )]
    Password,
    /// Not a URL.
    #[error("'{url}' is not a URL: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(match text.split_once(':') {
                // As git does: a colon before any slash separates a host from a path.
                Some((host, _)) if !host.is_empty() && !host.contains('/') => {
                    Self::Remote(text.to_owned())
                }
                _ => Self::Path(PathBuf::from(text)),
            });
        };
        match scheme {
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                let path = percent_decode_str(path).decode_utf8().ok();
                match path.filter(|path| path.starts_with('/')) {
                    Some(path) => Ok(Self::Path(PathBuf::from(path.into_owned()))),
                    None => Err(BadLocation::Url {
                        url: text.to_owned(),
                        reason: "expected an absolute path after file://".to_owned(),
                    }),
                }
            }
            "https" | "http" | "ssh" => match Url::parse(text) {
                Ok(url) if url.password().is_some() => Err(BadLocation::Password),
                Ok(_) => Ok(Self::Remote(text.to_owned())),
                // The text may hold a secret, so it is not repeated behind an '@'.
                Err(error) => Err(BadLocation::Url {
                    url: format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
                    reason: error.to_string(),
                }),
            },
            _ => Err(BadLocation::Scheme(
                text.rsplit('@').next().unwrap_or_default().to_owned(),
            )),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Remote(url) => f.write_str(&redacted(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        let path = |path: &str| Ok(Location::Path(PathBuf::from(path)));
        let remote = |url: &str| Ok(Location::Remote(url.to_owned()));
        for (text, expected) in [
            ("deploy", path("deploy")),
            ("./a:b", path("./a:b")),
            ("/srv/git", path("/srv/git")),
            ("file:///srv/my%20git", path("/srv/my git")),
            ("file://localhost/srv", path("/srv")),
            (
                "git@example.org:team/deploy.git",
                remote("git@example.org:team/deploy.git"),
            ),
            (
                "https://example.org/deploy.git",
                remote("https://example.org/deploy.git"),
            ),
            (
                "ssh://git@example.org/deploy",
                remote("ssh://git@example.org/deploy"),
            ),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    #[test]
    fn bad_urls_are_refused_and_secrets_not_repeated() {
        let errors: Vec<String> = [
            "https://user:secret@example.org/x",
            "ssh://git:secret@example.org/x",
            "https://user:secret@[::1/x",
            "git://example.org/x",
            "file://host/x",
            "ftp://user:secret@host/x",
        ]
        .iter()
        .map(|text| text.parse::<Location>().unwrap_err().to_string())
        .collect();
        assert!(!errors.concat().contains("secret"), "{errors:?}");
        insta::assert_snapshot!(errors.join("\n"), @r#"
        the repository's URL has a password in it; give a token by file, by environment or by git's credential helper
        the repository's URL has a password in it; give a token by file, by environment or by git's credential helper
        'https://[::1/x' is not a URL: invalid IPv6 address
        'git://example.org/x': expected a path, file://, https://, http://, ssh:// or user@host:path
        'file://host/x' is not a URL: expected an absolute path after file://
        'host/x': expected a path, file://, https://, http://, ssh:// or user@host:path
        "#);
    }
}
