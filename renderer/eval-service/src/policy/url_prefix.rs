//! What a URL may begin with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use url::Url;

/// A server, and a folder of it: `https://git.example.org/shop/`. It covers the URLs of that server below that folder, however they
/// are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPrefix {
    scheme: String,
    host: String,
    port: Option<u16>,
    segments: Vec<String>,
}

/// A text that is no [`UrlPrefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}': expected https://HOST/FOLDER or ssh://HOST/FOLDER, without a login, a query or a fragment"
)]
pub struct BadUrlPrefix(String);

impl FromStr for UrlPrefix {
    type Err = BadUrlPrefix;

    fn from_str(text: &str) -> Result<Self, BadUrlPrefix> {
        let bad = || BadUrlPrefix(niphas_http::redacted(text));
        let url = Url::parse(text).map_err(|_| bad())?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let prefix = Self::of(&url).ok_or_else(bad)?;
        if is_plain { Ok(prefix) } else { Err(bad()) }
    }
}

impl UrlPrefix {
    /// None for what could mean another place than it says.
    fn of(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        if !matches!(scheme, "https" | "ssh") {
            return None;
        }
        let path = url.path();
        // A server may read these as the '/' or the '..' that they stand for.
        let lower = path.to_ascii_lowercase();
        if ["%2f", "%5c", "%2e", "%25", "\\"]
            .iter()
            .any(|odd| lower.contains(odd))
        {
            return None;
        }
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let segments: Vec<String> = segments.map(str::to_owned).collect();
        if segments
            .iter()
            .any(|segment| segment == "." || segment == "..")
        {
            return None;
        }
        Some(Self {
            scheme: scheme.to_owned(),
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port(),
            segments,
        })
    }

    /// Whether a URL is at this place, or below.
    pub fn covers(&self, url: &str) -> bool {
        let url = Url::parse(url).ok().and_then(|url| Self::of(&url));
        url.is_some_and(|url| {
            (&url.scheme, &url.host, url.port) == (&self.scheme, &self.host, self.port)
                && url.segments.starts_with(&self.segments)
        })
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl<'de> Deserialize<'de> for UrlPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::UrlPrefix;

    #[test]
    fn a_prefix_covers_whole_names_of_one_server() {
        let prefix: UrlPrefix = "https://git.example.org/shop/".parse().unwrap();
        assert_eq!(prefix.to_string(), "https://git.example.org/shop");
        for covered in [
            "https://git.example.org/shop",
            "https://git.example.org/shop/web.git",
            "https://GIT.example.org:443/shop//web.git?ref=main",
            "https://user@git.example.org/shop/web",
            "https://git.example.org/other/../shop/web",
        ] {
            assert!(prefix.covers(covered), "{covered}");
        }
        for other in [
            "https://git.example.org/shopping",
            "https://git.example.org/",
            "https://git.example.org/shop/../other",
            "https://git.example.org/shop/%2e%2e/other",
            "https://git.example.org/shop/..%2fother",
            "https://git.example.org/shop/%252e%252e/other",
            "https://git.example.org:8443/shop/web",
            "http://git.example.org/shop/web",
            "ssh://git.example.org/shop/web",
            "https://git.example.org@evil.org/shop/web",
            "https://git.example.org.evil.org/shop/web",
            "https://evil.org/#https://git.example.org/shop",
            "git.example.org/shop",
            "",
        ] {
            assert!(!prefix.covers(other), "{other}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_url() {
        for bad in [
            "git.example.org",
            "http://git.example.org/",
            "file:///srv",
            "https://user@git.example.org/",
            "https://git.example.org/?a",
            "https://git.example.org/a%2fb",
            "*",
        ] {
            assert!(bad.parse::<UrlPrefix>().is_err(), "{bad}");
        }
        let all: UrlPrefix = "https://git.example.org".parse().unwrap();
        assert!(all.covers("https://git.example.org/any/thing"));
    }
}
