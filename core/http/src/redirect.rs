//! Which redirects are followed, and what goes along.

use reqwest::redirect::Policy;
use thiserror::Error;
use url::{Host, Url};

use crate::within::Names;

/// A request is sent on this often.
const MOST_HOPS: usize = 10;

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedirectError {
    /// A circle, or as good as one.
    #[error("too many redirects")]
    TooMany,
    /// Others on the way could read and change what follows.
    #[error("a redirect from https to http")]
    Insecure,
    /// A server on the internet would learn what there is at an address that only the client reaches.
    #[error("a redirect from the internet to an address that is not on the internet")]
    Within,
    /// The header `Location` is not a URL.
    #[error("a redirect to something that is not a URL")]
    Location,
}

/// Whether the request that went to `from` may go to `to`, after it was sent on `hops` times.
fn check(from: &Url, to: &Url, hops: usize) -> Result<(), RedirectError> {
    if hops > MOST_HOPS {
        return Err(RedirectError::TooMany);
    }
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(RedirectError::Insecure);
    }
    Ok(())
}

/// Where the server at `from` sends a request with `location`, the `hops`-th time.
pub fn next_hop(from: &Url, location: &str, hops: usize) -> Result<Url, RedirectError> {
    let to = from.join(location).map_err(|_| RedirectError::Location)?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(RedirectError::Location);
    }
    check(from, &to, hops)?;
    Ok(to)
}

/// Whether credentials for one are for the other: scheme, host and port are the same.
pub fn is_same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Whether requests to this URL stay on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// For clients that follow redirects themselves: they leave out `Authorization` and cookies where host or port differ, and
/// no other header, so that tokens must not be in any other.
pub(crate) fn policy(names: Names) -> Policy {
    Policy::custom(move |attempt| {
        let hops = attempt.previous().len();
        let checked = match attempt.previous().last() {
            Some(from) => check(from, attempt.url(), hops),
            None => Ok(()),
        };
        let is_allowed = |first| names.allows(first, attempt.url());
        match checked {
            Ok(()) if attempt.previous().first().is_none_or(is_allowed) => attempt.follow(),
            Ok(()) => attempt.error(RedirectError::Within),
            Err(error) => attempt.error(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn redirects_lead_to_places_as_safe_as_the_first() {
        let hop = |from, to| next_hop(&url(from), to, 1).map(String::from);
        assert_eq!(hop("https://a/x/y", "../z"), Ok("https://a/z".to_owned()));
        assert_eq!(hop("http://a/", "https://b/"), Ok("https://b/".to_owned()));
        assert_eq!(hop("https://a/", "http://a/"), Err(RedirectError::Insecure));
        assert_eq!(
            hop("http://a/", "file:///etc/passwd"),
            Err(RedirectError::Location)
        );
        assert_eq!(hop("http://a/", "http://["), Err(RedirectError::Location));
        let far = next_hop(&url("http://a"), "/", MOST_HOPS + 1);
        assert_eq!(far, Err(RedirectError::TooMany));
    }

    #[test]
    fn scheme_host_and_port_make_an_origin() {
        let same = |a, b| is_same_origin(&url(a), &url(b));
        assert!(same("https://a/x", "https://a:443/y"));
        assert!(!same("https://a", "https://b"));
        assert!(!same("https://a", "http://a"));
        assert!(!same("http://a:80", "http://a:81"));
    }

    #[test]
    fn loopback_is_this_machine() {
        for (text, loopback) in [
            ("http://localhost:80", true),
            ("http://127.1.2.3", true),
            ("http://[::1]/", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&url(text)), loopback, "{text}");
        }
    }
}
