//! Repositories, found from the URLs that they are cloned from.

use niphas_http::Redacted;
use thiserror::Error;
use url::Url;

use crate::forge::Forge;

/// Longer URLs are refused.
const URL_LIMIT: usize = 2048;
/// GitLab's groups are nested at most 20 deep.
const MOST_SEGMENTS: usize = 22;

/// A repository at a Git host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    forge: Forge,
    /// Where the API is; its path ends with a slash.
    api: Url,
    /// Groups or owner, and the name last.
    path: Vec<String>,
}

/// Why no repository is found from a URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RepositoryError {
    /// The URL of the repository.
    #[error(
        "expected a repository's URL as https://…, ssh://… or user@host:path, found '{url}': {why}"
    )]
    Clone {
        /// It.
        url: Redacted,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The URL of the API.
    #[error("expected the URL of an API as https://host/path, found '{url}': {why}")]
    Api {
        /// It.
        url: Redacted,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What a clone URL says.
struct Remote {
    /// The URL's own scheme, if the API may be spoken to by it.
    web: Option<(String, Option<u16>)>,
    host: String,
    path: Vec<String>,
}

impl Repository {
    /// The repository that is cloned from `url`, which is of https, http, ssh, or in the form `user@host:path`; `git+` before the
    /// scheme, a user, a password and `.git` at the end do not count. `api` is where the host's API is, if not where the host has it
    /// by default; of Bitbucket Server it is the path up to `/rest`.
    pub fn new(forge: Forge, url: &str, api: Option<&str>) -> Result<Self, RepositoryError> {
        let refuse = |why| RepositoryError::Clone {
            url: Redacted::from(nix_formats::shortened(url, 200).as_ref()),
            why,
        };
        if url.len() > URL_LIMIT {
            return Err(refuse("it is too long"));
        }
        let mut remote = remote(url).map_err(refuse)?;
        let api = match api {
            Some(api) => api_of(api)?,
            None => default_api(forge, &mut remote).map_err(refuse)?,
        };
        if remote.web.is_some() {
            leave_out_prefix(forge, &api, &mut remote.path);
        }
        if forge == Forge::BitbucketServer && remote.path.first().is_some_and(|part| part == "scm")
        {
            remote.path.remove(0);
        }
        let count = remote.path.len();
        if let (2, _) | (3..=MOST_SEGMENTS, Forge::GitLab) = (count, forge) {
            let path = remote.path;
            Ok(Self { forge, api, path })
        } else {
            Err(refuse("its path is not one of a repository at this host"))
        }
    }

    /// The host.
    pub fn forge(&self) -> Forge {
        self.forge
    }

    /// Where its API is.
    pub fn api(&self) -> &Url {
        &self.api
    }

    /// Owner and name, or groups and name: `owner/name`.
    pub fn full_name(&self) -> String {
        self.path.join("/")
    }

    pub(crate) fn owner(&self) -> &str {
        &self.path[0]
    }

    pub(crate) fn name(&self) -> &str {
        &self.path[self.path.len() - 1]
    }

    /// The URL of the API below which these segments are. What is in a segment stays in it.
    pub(crate) fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn remote(url: &str) -> Result<Remote, &'static str> {
    let url = url.strip_prefix("git+").unwrap_or(url);
    if url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("it has characters that no such URL has");
    }
    let Some((scheme, _)) = url.split_once("://") else {
        return scp_form(url);
    };
    let parsed = Url::parse(url).map_err(|_| "it is not a URL")?;
    let host = parsed.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or("it names no host")?.to_ascii_lowercase();
    let web = match scheme {
        "https" | "http" => Some((scheme.to_owned(), parsed.port())),
        "ssh" => None,
        _ => return Err("its scheme is another one"),
    };
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("it has more than a path");
    }
    // Not the parsed path: `..` in it would be gone, and a slash too many would be taken for none.
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.is_empty() {
        return Err("it names no host");
    }
    let path = segments(path)?;
    Ok(Remote { web, host, path })
}

/// `user@host:path`, as ssh and scp take it.
fn scp_form(url: &str) -> Result<Remote, &'static str> {
    let (host, path) = url
        .split_once(':')
        .ok_or("it has neither scheme nor host")?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(is_part) {
        return Err("it names no host");
    }
    Ok(Remote {
        web: None,
        host: host.to_ascii_lowercase(),
        path: segments(path.trim_start_matches('/'))?,
    })
}

fn segments(path: &str) -> Result<Vec<String>, &'static str> {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-~+".contains(c);
    let parts = path.split('/');
    let is_name = |part: &str| {
        (1..=255).contains(&part.len())
            && part.chars().all(is_part)
            && !part.chars().all(|c| c == '.')
    };
    if !parts.clone().all(is_name) {
        return Err("its path holds what no name of a repository does");
    }
    Ok(parts.map(str::to_owned).collect())
}

fn default_api(forge: Forge, remote: &mut Remote) -> Result<Url, &'static str> {
    let Remote { web, host, .. } = remote;
    let is_there = |name: &str| {
        host.as_str() == name
            || host
                .strip_suffix(name)
                .is_some_and(|sub| matches!(sub, "ssh." | "altssh." | "www."))
    };
    let text = match forge {
        Forge::GitHub if is_there("github.com") => "https://api.github.com/".to_owned(),
        Forge::GitLab if is_there("gitlab.com") => "https://gitlab.com/api/v4/".to_owned(),
        Forge::BitbucketCloud if is_there("bitbucket.org") => {
            "https://api.bitbucket.org/2.0/".to_owned()
        }
        Forge::BitbucketCloud => return Err("Bitbucket Cloud is at bitbucket.org"),
        _ => {
            let (scheme, port) = web.clone().unwrap_or(("https".to_owned(), None));
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let mut below = match forge {
                Forge::GitHub => "api/v3/",
                Forge::GitLab => "api/v4/",
                Forge::Gitea | Forge::Forgejo => "api/v1/",
                _ => "rest/",
            }
            .to_owned();
            // A Bitbucket Server may be below a path; `scm` ends it.
            if forge == Forge::BitbucketServer
                && web.is_some()
                && let Some(at) = remote.path.iter().position(|part| part == "scm")
            {
                let before: Vec<String> = remote.path.drain(..at).collect();
                for part in before.iter().rev() {
                    below = format!("{part}/{below}");
                }
            }
            format!("{scheme}://{host}{port}/{below}")
        }
    };
    Url::parse(&text).map_err(|_| "its host is not one")
}

fn api_of(api: &str) -> Result<Url, RepositoryError> {
    let refuse = |why| RepositoryError::Api {
        url: Redacted::from(nix_formats::shortened(api, 200).as_ref()),
        why,
    };
    let mut url = Url::parse(api).map_err(|_| refuse("it is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(refuse("its scheme is another one"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a user or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has more than a path"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// A host below a path has it before its API, and before its repositories.
fn leave_out_prefix(forge: Forge, api: &Url, path: &mut Vec<String>) {
    let end = match forge {
        Forge::GitHub => "/api/v3/",
        Forge::GitLab => "/api/v4/",
        Forge::Gitea | Forge::Forgejo => "/api/v1/",
        Forge::BitbucketServer => "/rest/",
        Forge::BitbucketCloud => return,
    };
    let Some(prefix) = api.path().strip_suffix(end) else {
        return;
    };
    let prefix: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    let is_before = path.len() > prefix.len() && path.iter().zip(&prefix).all(|(a, b)| a == b);
    if is_before {
        path.drain(..prefix.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of URLs")]
    fn repositories_are_found_from_clone_urls() {
        use Forge::{BitbucketCloud, BitbucketServer, Forgejo, GitHub, GitLab, Gitea};
        for (forge, url, api, name) in [
            (
                GitHub,
                "https://github.com/o/r",
                "https://api.github.com/",
                "o/r",
            ),
            (
                GitHub,
                "git@github.com:o/r.git",
                "https://api.github.com/",
                "o/r",
            ),
            (
                GitHub,
                "ssh://git@ssh.github.com:443/o/r.git",
                "https://api.github.com/",
                "o/r",
            ),
            (
                GitHub,
                "git+https://x:token@github.com/o/r.git/",
                "https://api.github.com/",
                "o/r",
            ),
            (
                GitHub,
                "https://git.corp/o/r",
                "https://git.corp/api/v3/",
                "o/r",
            ),
            (
                GitLab,
                "https://gitlab.com/g/h/r.git",
                "https://gitlab.com/api/v4/",
                "g/h/r",
            ),
            (
                GitLab,
                "git@altssh.gitlab.com:g/r.git",
                "https://gitlab.com/api/v4/",
                "g/r",
            ),
            (
                Gitea,
                "http://gitea.git.svc:3000/o/r",
                "http://gitea.git.svc:3000/api/v1/",
                "o/r",
            ),
            (
                Forgejo,
                "ssh://git@forge.example:2222/o/r",
                "https://forge.example/api/v1/",
                "o/r",
            ),
            (
                BitbucketCloud,
                "git@bitbucket.org:w/r.git",
                "https://api.bitbucket.org/2.0/",
                "w/r",
            ),
            (
                BitbucketServer,
                "https://b.corp/scm/PRJ/r.git",
                "https://b.corp/rest/",
                "PRJ/r",
            ),
            (
                BitbucketServer,
                "https://b.corp/x/scm/~u/r.git",
                "https://b.corp/x/rest/",
                "~u/r",
            ),
            (
                BitbucketServer,
                "ssh://git@b.corp:7999/PRJ/r.git",
                "https://b.corp/rest/",
                "PRJ/r",
            ),
        ] {
            let found = Repository::new(forge, url, None).expect(url);
            assert_eq!(
                (found.api().as_str(), found.full_name().as_str()),
                (api, name),
                "{url}"
            );
        }
    }

    #[test]
    fn an_api_that_is_named_counts() {
        for (forge, url, api, name) in [
            (
                Forge::GitLab,
                "https://h/gitlab/g/r",
                "https://h/gitlab/api/v4",
                "g/r",
            ),
            (
                Forge::GitLab,
                "git@h:g/r",
                "https://h/gitlab/api/v4/",
                "g/r",
            ),
            (
                Forge::Gitea,
                "https://h/git/o/r.git",
                "http://gitea.svc/git/api/v1",
                "o/r",
            ),
            (
                Forge::BitbucketServer,
                "https://h/b/scm/P/r",
                "https://h/b/rest",
                "P/r",
            ),
        ] {
            let found = Repository::new(forge, url, Some(api)).expect(url);
            assert_eq!(found.full_name(), name);
            assert_eq!(
                found.api().as_str().trim_end_matches('/'),
                api.trim_end_matches('/')
            );
        }
        for api in ["ftp://h/", "https://u:p@h/", "https://h/?x", "h/api"] {
            let refused = Repository::new(Forge::Gitea, "https://h/o/r", Some(api));
            assert!(matches!(refused, Err(RepositoryError::Api { .. })), "{api}");
        }
    }

    #[test]
    fn urls_of_no_repository_are_refused() {
        for url in [
            "",
            "o/r",
            "https://github.com/",
            "https://github.com/o",
            "https://github.com/o/r/tree",
            "https://github.com/o/../r",
            "https://github.com/../r",
            "https://github.com/o/r?x=1",
            "https://github.com/o/r#x",
            "https://github.com/o%2fx/r",
            "https://github.com/o/r\n",
            "https://github.com\\@evil/o/r",
            "file:///o/r",
            "git@:o/r",
            "git@[::1]:o/r",
            "https:///o/r",
        ] {
            let refused = Repository::new(Forge::GitHub, url, None);
            assert!(
                matches!(refused, Err(RepositoryError::Clone { .. })),
                "{url}: {refused:?}"
            );
        }
        let secret = Repository::new(Forge::GitHub, "https://u:marker@h/o", None);
        assert!(
            !format!("{secret:?} {}", secret.clone().expect_err("no repository"))
                .contains("marker")
        );
        let cloud = Repository::new(
            Forge::BitbucketCloud,
            "https://bitbucket.org.evil/w/r",
            None,
        );
        assert!(cloud.is_err());
    }

    #[test]
    fn segments_of_requests_stay_segments() {
        let repository =
            Repository::new(Forge::GitLab, "https://h/g/r", None).expect("a repository");
        let url = repository.url(["projects", "g/r", "a?b#c %2e"]);
        assert_eq!(
            url.as_str(),
            "https://h/api/v4/projects/g%2Fr/a%3Fb%23c%20%252e"
        );
    }
}
