//! Commits as the archives that GitHub, GitLab and `SourceHut` make of them.

use niphas_http::Secret;
use serde::Deserialize;

use super::cache::Key;
use super::tarball::Shape;
use super::{Fetcher, Found, MAX_ANSWER};
use crate::error::FlakeError;
use crate::input::{Forge, Input};

type Headers = Vec<(String, Secret)>;

/// What tells answers to requests with credentials from public ones: what a server shows to a token is not for a run that
/// has none.
pub(super) fn asked_as(headers: &[(String, Secret)]) -> &'static str {
    if headers.is_empty() {
        "anonymous"
    } else {
        "authenticated"
    }
}

/// An input at a forge, in its parts.
struct Place<'a> {
    forge: Forge,
    host: &'a str,
    owner: &'a str,
    repo: &'a str,
}

impl<'a> Place<'a> {
    fn of(input: &'a Input) -> Result<Self, FlakeError> {
        let forge = input
            .scheme()
            .and_then(Forge::of)
            .ok_or_else(|| FlakeError::UnsupportedInput(input.attrs().to_json()))?;
        let attrs = input.attrs();
        Ok(Self {
            forge,
            host: attrs.string("host")?.unwrap_or(forge.default_host()),
            owner: attrs.required_string("owner")?,
            repo: attrs.required_string("repo")?,
        })
    }

    /// Where to ask for the commit that `reference` is at.
    fn commit_url(&self, reference: &str) -> String {
        let Self {
            host, owner, repo, ..
        } = self;
        match self.forge {
            Forge::GitHub if *host == "github.com" => {
                format!("https://api.{host}/repos/{owner}/{repo}/commits/{reference}")
            }
            Forge::GitHub => {
                format!("https://{host}/api/v3/repos/{owner}/{repo}/commits/{reference}")
            }
            Forge::GitLab => format!(
                "https://{host}/api/v4/projects/{owner}%2F{repo}/repository/commits?ref_name={reference}"
            ),
            Forge::SourceHut => format!("https://{host}/{owner}/{repo}/info/refs"),
        }
    }

    fn archive_url(&self, rev: &str, with_token: bool) -> String {
        let Self {
            host, owner, repo, ..
        } = self;
        match self.forge {
            Forge::GitHub if *host != "github.com" => {
                format!("https://{host}/api/v3/repos/{owner}/{repo}/tarball/{rev}")
            }
            // Without a token the archive's public address has no rate limit.
            Forge::GitHub if with_token => {
                format!("https://api.{host}/repos/{owner}/{repo}/tarball/{rev}")
            }
            Forge::GitLab => format!(
                "https://{host}/api/v4/projects/{owner}%2F{repo}/repository/archive.tar.gz?sha={rev}"
            ),
            Forge::GitHub | Forge::SourceHut => {
                format!("https://{host}/{owner}/{repo}/archive/{rev}.tar.gz")
            }
        }
    }

    /// Nothing ties an archive to its commit but the word of this forge.
    fn commit_key(&self, rev: &str, headers: &Headers) -> Key {
        let Self {
            forge,
            host,
            owner,
            repo,
        } = self;
        let asked_as = asked_as(headers);
        Key::new("commit", &[forge.name(), host, owner, repo, rev, asked_as])
    }

    fn token_header(&self, token: &Secret) -> (String, Secret) {
        let (name, value) = self.token_header_parts(token.expose());
        (name, value.into())
    }

    fn token_header_parts(&self, token: &str) -> (String, String) {
        match self.forge {
            Forge::GitHub => ("Authorization".to_owned(), format!("token {token}")),
            Forge::SourceHut => ("Authorization".to_owned(), format!("Bearer {token}")),
            Forge::GitLab => match token.split_once(':') {
                Some(("OAuth2", secret)) => {
                    ("Authorization".to_owned(), format!("Bearer {secret}"))
                }
                Some(("PAT", secret)) => ("Private-token".to_owned(), secret.to_owned()),
                Some((name, secret)) => (name.to_owned(), secret.to_owned()),
                None => ("Private-token".to_owned(), token.to_owned()),
            },
        }
    }
}

#[derive(Deserialize)]
struct GitHubCommit {
    sha: String,
}

#[derive(Deserialize)]
struct GitLabCommit {
    id: String,
}

impl Fetcher {
    pub(super) fn find_forge(&self, input: &Input) -> Result<Found, FlakeError> {
        let place = Place::of(input)?;
        let headers = self.forge_headers(&place);
        let rev = match input.rev()? {
            Some(rev) => rev,
            None => self.forge_rev(&place, input.reference()?.unwrap_or("HEAD"), &headers)?,
        };
        let url = place.archive_url(&rev, !headers.is_empty());
        // A forge's archive of a commit doesn't change: its first answer is as good as any.
        let key = place.commit_key(&rev, &headers);
        let content = if let Some(content) = self.known_content(&key)? {
            content
        } else {
            let content =
                self.download(&url, &headers, Shape::Archive, self.settings.max_download)?;
            self.cache.remember(&key, &content.attrs())?;
            content
        };
        let mut input = input.clone();
        let attrs = input.attrs_mut();
        attrs.remove("ref");
        attrs.set("rev", rev);
        attrs.set("lastModified", content.last_modified);
        Ok(Found {
            input,
            tree: content.tree,
            nar_hash: Some(content.nar_hash),
        })
    }

    fn forge_headers(&self, place: &Place<'_>) -> Headers {
        let Place {
            host, owner, repo, ..
        } = place;
        let address = format!("{host}/{owner}/{repo}");
        // The longest that fits counts.
        self.settings
            .access_tokens
            .iter()
            .filter(|(prefix, _)| {
                address
                    .strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, token)| vec![place.token_header(token)])
            .unwrap_or_default()
    }

    /// The commit that a branch or tag is at.
    fn forge_rev(
        &self,
        place: &Place<'_>,
        reference: &str,
        headers: &Headers,
    ) -> Result<String, FlakeError> {
        let url = place.commit_url(reference);
        let answer = self.read_answer(&url, headers)?;
        let unexpected = |reason: String| FlakeError::ForgeAnswer {
            url: url.as_str().into(),
            reason,
        };
        let rev = match place.forge {
            Forge::GitHub => {
                serde_json::from_str::<GitHubCommit>(&answer)
                    .map_err(|error| unexpected(error.to_string()))?
                    .sha
            }
            Forge::GitLab => {
                serde_json::from_str::<Vec<GitLabCommit>>(&answer)
                    .map_err(|error| unexpected(error.to_string()))?
                    .into_iter()
                    .next()
                    .ok_or_else(|| unexpected(format!("there is no commit at '{reference}'")))?
                    .id
            }
            Forge::SourceHut => {
                let names = if reference == "HEAD" {
                    let Place {
                        host, owner, repo, ..
                    } = place;
                    let head = format!("https://{host}/{owner}/{repo}/HEAD");
                    let head = self.read_answer(&head, headers)?;
                    let target = head
                        .lines()
                        .next()
                        .and_then(|line| line.strip_prefix("ref: "));
                    vec![target.unwrap_or_default().trim().to_owned()]
                } else {
                    vec![
                        format!("refs/heads/{reference}"),
                        format!("refs/tags/{reference}"),
                    ]
                };
                find_ref(&answer, &names)
                    .ok_or_else(|| unexpected(format!("there is no ref '{reference}'")))?
                    .to_owned()
            }
        };
        if rev.len() != 40 || !rev.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(unexpected(format!("'{rev}' is not a commit")));
        }
        Ok(rev)
    }

    fn read_answer(&self, url: &str, headers: &Headers) -> Result<String, FlakeError> {
        let file = self.download(url, headers, Shape::File, MAX_ANSWER)?;
        let path = file.tree.root();
        regular_file::read_to_string(path).map_err(FlakeError::io("reading file", path))
    }
}

/// The commit of the first of `names` that a list as of `git ls-remote` holds.
fn find_ref<'a>(list: &'a str, names: &[String]) -> Option<&'a str> {
    list.lines().find_map(|line| {
        let (rev, name) = line.split_once('\t')?;
        names.iter().any(|wanted| wanted == name).then_some(rev)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix_formats::hash::HashFormat;

    use super::*;
    use crate::attrs::Attrs;
    use crate::fetch::FetchSettings;

    fn place(forge: Forge, host: &'static str) -> Place<'static> {
        Place {
            forge,
            host,
            owner: "o",
            repo: "r",
        }
    }

    #[test]
    fn archives_are_asked_for_where_the_forge_has_them() {
        let urls = [
            place(Forge::GitHub, "github.com").archive_url("c", false),
            place(Forge::GitHub, "github.com").archive_url("c", true),
            place(Forge::GitHub, "git.example.org").archive_url("c", true),
            place(Forge::GitLab, "gitlab.com").archive_url("c", false),
            place(Forge::SourceHut, "git.sr.ht").archive_url("c", false),
        ];
        assert_eq!(
            urls,
            [
                "https://github.com/o/r/archive/c.tar.gz",
                "https://api.github.com/repos/o/r/tarball/c",
                "https://git.example.org/api/v3/repos/o/r/tarball/c",
                "https://gitlab.com/api/v4/projects/o%2Fr/repository/archive.tar.gz?sha=c",
                "https://git.sr.ht/o/r/archive/c.tar.gz",
            ]
        );
    }

    #[test]
    fn commits_are_asked_for_where_the_forge_tells_them() {
        let urls = [
            place(Forge::GitHub, "github.com").commit_url("main"),
            place(Forge::GitHub, "git.example.org").commit_url("main"),
            place(Forge::GitLab, "gitlab.com").commit_url("main"),
            place(Forge::SourceHut, "git.sr.ht").commit_url("main"),
        ];
        assert_eq!(
            urls,
            [
                "https://api.github.com/repos/o/r/commits/main",
                "https://git.example.org/api/v3/repos/o/r/commits/main",
                "https://gitlab.com/api/v4/projects/o%2Fr/repository/commits?ref_name=main",
                "https://git.sr.ht/o/r/info/refs",
            ]
        );
    }

    #[test]
    fn an_archive_counts_only_for_the_forge_and_repository_that_gave_it() {
        let root = tempfile::tempdir().expect("a folder");
        let fetcher = Fetcher::new(FetchSettings::new(root.path().join("cache")));
        let scratch = fetcher.cache.scratch().expect("a folder");
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).expect("a folder");
        let (nar_hash, _) = fetcher.cache.adopt(&tree).expect("a tree");
        let rev = "a".repeat(40);
        let hash = nar_hash.to_string(HashFormat::Sri, true);
        let attrs = Attrs::from_iter([("narHash", hash)]);
        let none = Headers::new();
        let asked = place(Forge::GitHub, "git.example.org");
        let key = asked.commit_key(&rev, &none);
        fetcher.cache.remember(&key, &attrs).expect("an entry");
        let known = |place: &Place<'_>, headers: &Headers| {
            let key = place.commit_key(&rev, headers);
            fetcher.known_content(&key).expect("an answer").is_some()
        };
        assert!(known(&asked, &none));
        assert!(!known(&place(Forge::GitHub, "github.com"), &none));
        assert!(!known(&place(Forge::GitLab, "git.example.org"), &none));
        let other = |owner, repo| Place {
            owner,
            repo,
            ..place(Forge::GitHub, "git.example.org")
        };
        assert!(!known(&other("x", "r"), &none));
        assert!(!known(&other("o", "x"), &none));
        assert!(!known(&other("o/r", ""), &none));
        let token = vec![asked.token_header(&"secret".into())];
        assert!(!known(&asked, &token));
    }

    #[test]
    fn refs_are_found_by_their_whole_name() {
        let list = "aaa\trefs/heads/main2\nbbb\trefs/heads/main\n";
        assert_eq!(find_ref(list, &["refs/heads/main".to_owned()]), Some("bbb"));
        assert_eq!(find_ref(list, &["refs/heads/mai".to_owned()]), None);
    }
}
