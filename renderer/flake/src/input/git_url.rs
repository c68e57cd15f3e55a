//! What Git accepts as the address of a repository, made a URL.

use crate::error::UrlError;
use crate::url::{Authority, Url, split_scheme};

/// Makes a URL of a Git address: `user@host:path` becomes `ssh://user@host/path`, a path becomes
/// a `file` URL, and a leading `git+` goes.
pub fn fix_git_url(text: &str) -> Result<Url, UrlError> {
    let text = match split_scp(text) {
        Some((user, host, path)) => format!("ssh://{user}@{host}/{path}"),
        None => text.to_owned(),
    };
    if !text.starts_with("file:") && !text.starts_with("git+file:") && !text.contains("://") {
        // Nothing is the root, as `file:` is.
        let text = if text.is_empty() {
            "/".to_owned()
        } else {
            text
        };
        let path: Vec<String> = text.split('/').map(str::to_owned).collect();
        if path.first().is_some_and(|first| first.contains(':')) {
            return Err(UrlError::ScpLike(text.into()));
        }
        return Ok(Url {
            scheme: "file".to_owned(),
            authority: text.starts_with('/').then(Authority::default),
            path,
            query: std::collections::BTreeMap::new(),
            fragment: String::new(),
        });
    }
    let mut url = Url::parse(&text)?;
    if let (Some("git"), transport) = split_scheme(&url.scheme) {
        url.scheme = transport.to_owned();
    }
    Ok(url)
}

/// `user@host:path`, where no slash stands before the `@`; of several `@` and `:` the last ones
/// that fit separate.
fn split_scp(text: &str) -> Option<(&str, &str, &str)> {
    if text.starts_with('/') || text.contains('\n') {
        return None;
    }
    let head = &text[..text.find('/').unwrap_or(text.len())];
    head.rmatch_indices('@').find_map(|(at, _)| {
        let (host, path) = text[at + 1..].rsplit_once(':')?;
        Some((&text[..at], host, path))
    })
}

#[cfg(test)]
mod tests {
    use super::fix_git_url;

    fn fixed(text: &str) -> String {
        match fix_git_url(text) {
            Ok(url) => url.expose(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn scp_addresses_become_ssh_urls() {
        assert_eq!(fixed("git@host:a/b.git"), "ssh://git@host/a/b.git");
        assert_eq!(fixed("git@host:22:a"), "ssh://git@host:22/a");
    }

    #[test]
    fn paths_become_file_urls() {
        assert_eq!(fixed("/a/b c"), "file:///a/b%20c");
        assert_eq!(fixed("a/b"), "file:a/b");
    }

    #[test]
    fn the_git_prefix_goes() {
        assert_eq!(fixed("git+https://h/x?y=z"), "https://h/x?y=z");
        assert_eq!(fixed("git+file:///x"), "file:///x");
    }

    #[test]
    fn a_host_without_user_is_refused() {
        assert_eq!(
            fixed("host:a/b"),
            "error: SCP-like URL 'host:a/b' is not supported; use SSH URL syntax instead (ssh://...)"
        );
    }
}
