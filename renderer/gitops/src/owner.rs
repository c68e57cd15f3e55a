//! Which flake an environment's files belong to.

use std::fmt;

/// A flake, by where its repository is and which folder of it the flake is in: `github.com/acme/shop?dir=apps/web`.
///
/// The scheme, the user, the port and `.git` are left out: one repository is cloned by SSH here and by HTTPS there. So are queries,
/// which may hold secrets, and branches: an environment may be rendered from one branch today and from another tomorrow.
#[derive(Debug, Clone)]
pub struct Owner(String);

impl Owner {
    /// Of a repository's URL, an address as SSH has it (`git@github.com:acme/shop.git`), a flake reference such as
    /// `github:acme/shop/main`, or a path; and the flake's folder in it, empty for the top.
    pub fn new(repository: &str, dir: &str) -> Self {
        let mut owner = place(repository);
        let dir = dir.trim_matches('/');
        if !dir.is_empty() {
            owner.extend(["?dir=", dir]);
        }
        Self(owner)
    }

    /// As an environment's lock has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a lock's owner is this one. Servers and people differ on upper and lower case.
    pub(crate) fn is(&self, recorded: &str) -> bool {
        self.0.eq_ignore_ascii_case(recorded)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of servers in flake references.
const FORGES: [(&str, &str); 3] = [
    ("github", "github.com"),
    ("gitlab", "gitlab.com"),
    ("sourcehut", "git.sr.ht"),
];

fn place(repository: &str) -> String {
    let (address, query) = repository.split_once('?').unwrap_or((repository, ""));
    if let Some((scheme, rest)) = address.split_once(':')
        && let Some((_, server)) = FORGES.iter().find(|(name, _)| *name == scheme)
    {
        let host = query.split('&').find_map(|pair| pair.strip_prefix("host="));
        let path: Vec<&str> = rest.split('/').take(2).collect();
        // GitLab's groups within groups are one part of a reference.
        let path = path.join("/").replace("%2F", "/").replace("%2f", "/");
        return with_host(host.unwrap_or(server), &path);
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme.ends_with("file") || authority.is_empty() {
            return on_this_machine(&format!("/{path}"));
        }
        return with_host(authority, path);
    }
    if let Some(path) = address.strip_prefix("path:") {
        return on_this_machine(path);
    }
    match address.split_once(':') {
        // As Git has it: a slash before the colon makes it a path.
        Some((host, path)) if !host.contains('/') => with_host(host, path),
        _ => on_this_machine(address),
    }
}

fn with_host(authority: &str, path: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{}/{path}", host.to_ascii_lowercase())
}

fn on_this_machine(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    let trimmed = trimmed.strip_suffix("/.git").unwrap_or(trimmed);
    if trimmed.is_empty() { "/" } else { trimmed }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_owner_however_it_is_reached() {
        for address in [
            "https://github.com/acme/shop",
            "https://github.com/acme/shop.git/",
            "https://user:secret@GitHub.com:443/acme/shop.git?token=secret",
            "git+https://github.com/acme/shop?ref=main",
            "ssh://git@github.com:22/acme/shop.git",
            "git+ssh://git@github.com/acme/shop.git",
            "git@github.com:acme/shop.git",
            "github.com:acme/shop",
            "github:acme/shop",
            "github:acme/shop/release-2",
            "gitlab:acme/shop?host=github.com&ref=main",
        ] {
            assert_eq!(
                Owner::new(address, "").as_str(),
                "github.com/acme/shop",
                "{address}"
            );
        }
        for address in [
            "/srv/shop",
            "path:/srv/shop",
            "file:///srv/shop/",
            "git+file:///srv/shop/.git",
        ] {
            assert_eq!(Owner::new(address, "/").as_str(), "/srv/shop", "{address}");
        }
        for address in [
            "gitlab:acme%2Fweb/shop",
            "https://gitlab.com/acme/web/shop.git",
        ] {
            let owner = Owner::new(address, "");
            assert_eq!(owner.as_str(), "gitlab.com/acme/web/shop", "{address}");
        }
    }

    #[test]
    fn other_flakes_are_other_owners() {
        let owners = [
            ("https://github.com/acme/shop", "apps/a"),
            ("https://github.com/acme/shop", "apps/b"),
            ("https://github.com/acme/shop", ""),
            ("https://github.com/acme/shop2", ""),
            ("https://gitlab.com/acme/shop", ""),
            ("sourcehut:~acme/shop", ""),
            ("path:/acme/shop", ""),
            ("path:/", ""),
        ];
        let owners = owners.map(|(repository, dir)| Owner::new(repository, dir).to_string());
        let expected = [
            "github.com/acme/shop?dir=apps/a",
            "github.com/acme/shop?dir=apps/b",
            "github.com/acme/shop",
            "github.com/acme/shop2",
            "gitlab.com/acme/shop",
            "git.sr.ht/~acme/shop",
            "/acme/shop",
            "/",
        ];
        assert_eq!(owners, expected);
    }

    #[test]
    fn case_of_letters_does_not_make_another_owner() {
        assert!(Owner::new("https://github.com/Acme/Shop", "").is("github.com/acme/shop"));
        assert!(!Owner::new("https://github.com/acme/shop", "a").is("github.com/acme/shop"));
    }
}
