//! Where webhooks of sources arrive, and what of a push counts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use kube::{Client, ResourceExt as _};
use niphas_api::source::{NiphasSource, Provider, Webhook};
use niphas_webhooks::{Change, Push};
use sha2::{Digest as _, Sha256};

use crate::cluster::{ClusterError, Sources, key_of, secret};
use crate::queue::Key;

/// How often the secrets of all sources are read for an address that is not known.
const PAUSE: Duration = Duration::from_secs(5);

/// A secret that signs webhooks. It is not printed.
pub(crate) struct HookSecret(pub(crate) Vec<u8>);

/// The address of a source's webhook: it cannot be guessed without the secret.
pub(crate) fn id(source: &NiphasSource, secret: &HookSecret) -> String {
    let mut hasher = Sha256::new();
    let key = key_of(source);
    let uid = source.uid().unwrap_or_default();
    let (namespace, name) = (key.namespace.as_bytes(), key.name.as_bytes());
    for part in [
        &b"niphas hook"[..],
        namespace,
        name,
        uid.as_bytes(),
        &secret.0,
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    BASE32_NOPAD.encode(&digest[..20]).to_lowercase()
}

/// The path of a source's webhook, by its first secret.
pub(crate) fn path(source: &NiphasSource, secrets: &[HookSecret]) -> Option<String> {
    Some(format!("/hooks/{}", id(source, secrets.first()?)))
}

/// The secrets of a source's webhook, as far as they are there.
pub(crate) async fn secrets(
    client: &Client,
    source: &NiphasSource,
) -> Result<Vec<HookSecret>, ClusterError> {
    let namespace = source.namespace().unwrap_or_default();
    let mut secrets = Vec::new();
    for reference in source
        .spec
        .webhook
        .iter()
        .flat_map(|webhook| &webhook.secret_refs)
    {
        let found = secret(client, &namespace, &reference.name).await?;
        let data = found.and_then(|found| found.data);
        if let Some(value) = data.and_then(|mut data| data.remove(&reference.key)) {
            let value = value.0.trim_ascii_end().to_vec();
            // An empty one is known to all.
            if !value.is_empty() {
                secrets.push(HookSecret(value));
            }
        }
    }
    Ok(secrets)
}

pub(crate) fn provider(webhook: &Webhook) -> niphas_webhooks::Provider {
    use niphas_webhooks::Provider as Host;
    match webhook.provider {
        Provider::GitHub => Host::GitHub,
        Provider::GitLab => Host::GitLab,
        Provider::Gitea => Host::Gitea,
        Provider::Forgejo => Host::Forgejo,
        Provider::Bitbucket => Host::BitbucketCloud,
        Provider::BitbucketServer => Host::BitbucketServer,
        Provider::Generic => Host::Generic,
    }
}

/// Which source a webhook is for.
#[derive(Debug, Default)]
pub(crate) struct HookIndex {
    sources: HashMap<String, Key>,
    read_at: Option<Instant>,
}

impl HookIndex {
    /// The source of an address. Secrets are read again for one that is not known, but not often: anybody may ask.
    pub(crate) async fn find(
        &mut self,
        client: &Client,
        sources: &Sources,
        id: &str,
    ) -> Result<Option<Key>, ClusterError> {
        let known = self.sources.get(id);
        let is_recent = self.read_at.is_some_and(|at| at.elapsed() < PAUSE);
        if known.is_some() || is_recent {
            return Ok(known.cloned());
        }
        let Some(all) = sources.all() else {
            return Ok(None);
        };
        self.read_at = Some(Instant::now());
        let mut found = HashMap::new();
        for source in all.iter().filter(|source| source.spec.webhook.is_some()) {
            for secret in secrets(client, source).await? {
                found.insert(self::id(source, &secret), key_of(source));
            }
        }
        self.sources = found;
        Ok(self.sources.get(id).cloned())
    }
}

/// Why a push does not count; none if it does.
pub(crate) fn why_skipped(source: &NiphasSource, push: &Push) -> Option<String> {
    let wanted = &source.spec.flake.branch;
    if push.branch != *wanted {
        return Some(format!("the source is of the branch '{wanted}'"));
    }
    if push.revision.is_none() {
        return Some("the branch was deleted".to_owned());
    }
    if source.spec.suspend {
        return Some("the source is suspended".to_owned());
    }
    let patterns = source.spec.webhook.as_ref()?.paths.as_ref()?;
    let Change::Paths(paths) = &push.change else {
        return None;
    };
    let counts = paths
        .iter()
        .any(|path| patterns.iter().any(|pattern| matches(pattern, path)));
    (!counts).then(|| "it changes no file that webhook.paths matches".to_owned())
}

/// Whether a pattern matches a path: `*` stands for any part of a name, `**` for any number of folders.
fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    // The prefixes of the path that the pattern up to here matches, by their length: no pattern takes long.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for length in 0..=path.len() {
            if part == "**" {
                next[length] = reached[length] || (length > 0 && next[length - 1]);
            } else if length > 0 {
                next[length] = reached[length - 1] && matches_name(part, path[length - 1]);
            }
        }
        reached = next;
    }
    reached[path.len()]
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn source(paths: Option<&[&str]>) -> NiphasSource {
        let mut webhook = json!({ "provider": "github", "secretRefs": [{ "name": "hook" }] });
        if let Some(paths) = paths {
            webhook["paths"] = json!(paths);
        }
        serde_json::from_value(json!({
            "apiVersion": "niphas.io/v1alpha1",
            "kind": "NiphasSource",
            "metadata": { "name": "web", "namespace": "shop", "uid": "1" },
            "spec": {
                "flake": { "url": "https://git.example.org/web", "branch": "main" },
                "target": { "url": "https://git.example.org/gitops", "branch": "main" },
                "webhook": webhook,
            },
        }))
        .unwrap()
    }

    fn push(branch: &str, paths: &[&str]) -> Push {
        let paths: BTreeSet<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Push {
            branch: branch.to_owned(),
            revision: Some("a".repeat(40)),
            change: Change::Paths(paths),
        }
    }

    #[test]
    fn patterns_are_of_names_and_folders() {
        for (pattern, path, expected) in [
            ("flake.nix", "flake.nix", true),
            ("flake.nix", "web/flake.nix", false),
            ("/flake.nix", "flake.nix", true),
            ("*.nix", "flake.nix", true),
            ("*.nix", "web/flake.nix", false),
            ("**/*.nix", "a/b/flake.nix", true),
            ("**/*.nix", "flake.nix", true),
            ("web/**", "web/a/b", true),
            ("web/**", "website/a", false),
            ("**", "any/thing", true),
            ("a*b*c", "aXbYc", true),
            ("a*a", "a", false),
            ("web/*/c", "web/b/c", true),
            ("web/*/c", "web/b/b/c", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        // Many ways to match take no longer than one.
        let many = "**/".repeat(80) + "b";
        assert!(!matches(&many, &("a/".repeat(2000) + "a")));
        assert!(matches(&many, &("a/".repeat(2000) + "b")));
    }

    #[test]
    fn only_pushes_of_the_branch_and_its_paths_count() {
        let all = source(None);
        assert_eq!(why_skipped(&all, &push("main", &["x"])), None);
        let other = why_skipped(&all, &push("dev", &["x"])).unwrap();
        assert_eq!(other, "the source is of the branch 'main'");
        let some = source(Some(&["web/**"]));
        assert_eq!(
            why_skipped(&some, &push("main", &["docs/a", "web/b"])),
            None
        );
        assert!(why_skipped(&some, &push("main", &["docs/a"])).is_some());
        let unknown = Push {
            change: Change::Unknown,
            ..push("main", &[])
        };
        assert_eq!(why_skipped(&some, &unknown), None);
        let deleted = Push {
            revision: None,
            ..push("main", &["web/b"])
        };
        assert!(why_skipped(&some, &deleted).is_some());
    }

    #[test]
    fn an_address_is_of_one_source_and_secret() {
        let secret = |text: &str| HookSecret(text.as_bytes().to_vec());
        let web = source(None);
        let ours = id(&web, &secret("a"));
        assert_eq!(ours.len(), 32);
        assert_ne!(ours, id(&web, &secret("b")));
        let mut other = web.clone();
        other.metadata.uid = Some("2".to_owned());
        assert_ne!(ours, id(&other, &secret("a")));
        assert_eq!(path(&web, &[secret("a")]), Some(format!("/hooks/{ours}")));
        assert_eq!(path(&web, &[]), None);
    }
}
