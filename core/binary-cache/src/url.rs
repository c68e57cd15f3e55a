//! Where a cache is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use niphas_http::{Secret, redacted};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::Url;

use crate::netrc::Netrc;
use crate::s3_url::{self, S3Url};

/// A cache's URL: `file:///folder`, `http://…`, `https://…` or
/// `s3://bucket?region=…&endpoint=…&scheme=…&profile=…`, with
/// `priority=<number>` if its own priority is not to count.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheUrl {
    pub(crate) scheme: Scheme,
    pub(crate) priority: Option<u32>,
    pub(crate) login: Option<Login>,
}

/// What is behind the scheme.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// A folder.
    File(PathBuf),
    /// A server; the path ends with a slash.
    Http(Url),
    /// A bucket.
    S3(S3Url),
}

/// How to show who asks. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Password { user: String, password: Secret },
    TokenFile(PathBuf),
}

/// Why a text is not a cache's URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CacheUrlError {
    /// Not a URL at all.
    #[error("'{url}' is not a URL, like 'https://cache.example.org' or 'file:///folder'")]
    NotAUrl {
        /// The text.
        url: String,
        /// What is wrong.
        source: url::ParseError,
    },
    /// A scheme that is not read.
    #[error(
        "'{url}' has the scheme '{scheme}'; caches are at file://, http://, https:// and s3://"
    )]
    Scheme {
        /// The text.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A file URL with a host or a relative path.
    #[error("'{0}' must have three slashes and an absolute path, like 'file:///folder'")]
    FilePath(String),
    /// No bucket.
    #[error("'{0}' names no bucket, as 's3://bucket' does")]
    Bucket(String),
    /// A setting that means nothing here.
    #[error(
        "'{url}' has the setting '{name}'; known are priority and, for s3://, region, profile, endpoint and scheme"
    )]
    Setting {
        /// The text.
        url: String,
        /// The setting.
        name: String,
    },
    /// A priority that is not a number.
    #[error("'{url}' has the priority '{value}', which is not a whole number")]
    Priority {
        /// The text.
        url: String,
        /// What stands there.
        value: String,
    },
}

impl CacheUrl {
    /// The server's URL, if it is one.
    pub(crate) fn server(&self) -> Option<&Url> {
        match &self.scheme {
            Scheme::Http(url) => Some(url),
            Scheme::File(_) | Scheme::S3(_) => None,
        }
    }

    /// Whether it is a server for which there is no login yet.
    pub fn needs_login(&self) -> bool {
        let is_bare = |url: &Url| url.username().is_empty() && url.password().is_none();
        self.login.is_none() && self.server().is_some_and(is_bare)
    }

    /// With what a netrc file says of its host, if anything. Login and password
    /// in the URL itself go before that.
    #[must_use]
    pub fn with_netrc(mut self, netrc: &Netrc) -> Self {
        if let Some(url) = self.server()
            && url.username().is_empty()
            && url.password().is_none()
            && let Some(host) = url.host_str()
            && let Some(login) = netrc.login(host)
        {
            self.login = Some(Login::Password {
                user: login.user.clone(),
                password: login.password.clone(),
            });
        }
        self
    }

    /// With a bearer token from a file, which is read again when it changes. It
    /// is sent to this server only, not to one that it redirects to.
    #[must_use]
    pub fn with_token_file(mut self, file: PathBuf) -> Self {
        if self.server().is_some() {
            self.login = Some(Login::TokenFile(file));
        }
        self
    }
}

impl FromStr for CacheUrl {
    type Err = CacheUrlError;

    fn from_str(text: &str) -> Result<Self, CacheUrlError> {
        let mut url = Url::parse(text).map_err(|source| CacheUrlError::NotAUrl {
            url: redacted(text),
            source,
        })?;
        // From here on, messages must not repeat a password.
        let shown = redacted(url.as_str());
        let mut priority = None;
        let is_s3 = url.scheme() == "s3";
        let bucket = is_s3.then(|| S3Url::new(&url));
        for (name, value) in url.query_pairs() {
            if is_s3 && s3_url::SETTINGS.contains(&&*name) {
                continue;
            }
            if name != "priority" {
                return Err(CacheUrlError::Setting {
                    url: shown,
                    name: name.into_owned(),
                });
            }
            priority = Some(value.parse().map_err(|_| CacheUrlError::Priority {
                url: shown.clone(),
                value: value.into_owned(),
            })?);
        }
        url.set_query(None);
        url.set_fragment(None);
        let scheme = match url.scheme() {
            "file" => {
                let path = percent_decode_str(url.path()).decode_utf8();
                match path {
                    Ok(path) if !url.has_host() && path.starts_with('/') => {
                        Scheme::File(PathBuf::from(path.into_owned()))
                    }
                    _ => return Err(CacheUrlError::FilePath(shown)),
                }
            }
            "http" | "https" => {
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                Scheme::Http(url)
            }
            "s3" => match bucket.flatten() {
                Some(bucket) => Scheme::S3(bucket),
                None => return Err(CacheUrlError::Bucket(shown)),
            },
            scheme => {
                return Err(CacheUrlError::Scheme {
                    scheme: scheme.to_owned(),
                    url: shown,
                });
            }
        };
        Ok(Self {
            scheme,
            priority,
            login: None,
        })
    }
}

/// The URL without settings, slash at the end, user and password.
impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Scheme::File(path) => write!(f, "file://{}", path.display()),
            Scheme::Http(url) => f.write_str(redacted(url.as_str()).trim_end_matches('/')),
            Scheme::S3(url) => f.write_str(&redacted(&url.to_string())),
        }
    }
}

impl fmt::Debug for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<CacheUrl>().unwrap_err().to_string()
    }

    #[test]
    fn urls_are_read_and_printed_without_what_is_secret() {
        let print = |text: &str| text.parse::<CacheUrl>().unwrap().to_string();
        assert_eq!(
            print("https://cache.example.org"),
            "https://cache.example.org"
        );
        assert_eq!(
            print("http://u:p@host:8080/a/b/?priority=3"),
            "http://host:8080/a/b"
        );
        assert_eq!(print("file:///a%20b"), "file:///a b");
        assert_eq!(
            print("s3://bucket?endpoint=host:9000&scheme=http&region=eu&profile=p&priority=1"),
            "s3://bucket?endpoint=http://host:9000"
        );
        assert_eq!(print("s3://bucket/a/b/?region=eu"), "s3://bucket/a/b");
        let url: CacheUrl = "file:///a?priority=7".parse().unwrap();
        assert_eq!(url.priority, Some(7));
    }

    #[test]
    fn what_is_no_cache_url_is_refused_with_a_hint() {
        assert_eq!(
            refusal("cache"),
            "'cache' is not a URL, like 'https://cache.example.org' or 'file:///folder'"
        );
        assert_eq!(
            refusal("ssh://host"),
            "'ssh://host' has the scheme 'ssh'; caches are at file://, http://, https:// and s3://"
        );
        assert_eq!(
            refusal("https://u:secret@x?trusted=1"),
            "'https://x/?trusted=1' has the setting 'trusted'; known are priority and, for s3://, \
             region, profile, endpoint and scheme"
        );
        assert_eq!(
            refusal("https://x?priority=high"),
            "'https://x/?priority=high' has the priority 'high', which is not a whole number"
        );
        assert_eq!(
            refusal("file://folder/x"),
            "'file://folder/x' must have three slashes and an absolute path, like 'file:///folder'"
        );
    }
}
