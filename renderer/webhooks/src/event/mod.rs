//! What a webhook is about.

mod bitbucket;
mod bitbucket_server;
mod github;
mod gitlab;

use std::collections::BTreeSet;

use http::HeaderMap;
use serde::Deserialize;

use crate::provider::Provider;
use crate::{WebhookError, text};

/// The most paths that are kept of a push. One with more counts as one of which the paths are not known.
const MAX_PATHS: usize = 10_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The host tries whether the hook answers.
    Ping,
    /// Branches were pushed, each with what is known of it. Tags are not among them.
    Push(Vec<Push>),
    /// A pull request changed.
    PullRequest(PullRequest),
    /// Something else, by the host's name for it.
    Other(String),
}

/// A branch that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The commit that it names now; none if it was deleted.
    pub revision: Option<String>,
    /// The files that changed.
    pub change: Change,
}

/// The files that a push changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These: added, changed or removed.
    Paths(BTreeSet<String>),
    /// The host does not say, or not all.
    Unknown,
}

/// A pull request, or a merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// What happened to it.
    pub action: PullRequestAction,
    /// The last commit of what it offers.
    pub revision: String,
    /// The branch that it is for.
    pub base: String,
    /// What it offers lies in another repository than the one that it is for.
    pub is_from_fork: bool,
}

/// What happened to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullRequestAction {
    /// It was opened, or opened again.
    Opened,
    /// It has other commits.
    Pushed,
    /// It was given a label, by someone who may do that.
    Labelled(String),
    /// A person said whether it may be merged. What was said, and who may say it, the host is asked.
    Reviewed,
    /// It was merged, or closed without that.
    Closed,
    /// Something that changes no commit.
    Other,
}

pub(crate) fn read(
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Event, WebhookError> {
    let names = provider.event_headers();
    let name = match names.first() {
        // Its bodies are all of one kind.
        None => "push",
        Some(first) => {
            let name = names.iter().find_map(|name| text(headers, name));
            name.ok_or(WebhookError::MissingHeader(first))?
        }
    };
    let event = match provider {
        Provider::GitHub | Provider::Gitea | Provider::Forgejo | Provider::Generic => {
            github::read(name, body)
        }
        Provider::GitLab => gitlab::read(name, body),
        Provider::BitbucketCloud => bitbucket::read(name, body),
        Provider::BitbucketServer => bitbucket_server::read(name, body),
    };
    event.map_err(|error| WebhookError::Body {
        provider,
        event: name.chars().take(64).collect(),
        message: error.to_string(),
    })
}

/// The branch that a reference names.
fn branch(reference: &str) -> Option<String> {
    reference.strip_prefix("refs/heads/").map(str::to_owned)
}

/// A commit; the name of zeros stands for none.
fn revision(hash: String) -> Option<String> {
    (!hash.bytes().all(|byte| byte == b'0')).then_some(hash)
}

/// A commit of a push, in the form that GitHub, GitLab, Gitea and Forgejo share.
#[derive(Deserialize)]
struct Commit {
    #[serde(default)]
    added: Option<Vec<String>>,
    #[serde(default)]
    modified: Option<Vec<String>>,
    #[serde(default)]
    removed: Option<Vec<String>>,
}

/// The files that commits changed. `are_all` tells whether there are no other commits.
fn change(commits: Vec<Commit>, are_all: bool) -> Change {
    // A branch that is new, or was set to another history, comes without commits.
    if commits.is_empty() || !are_all {
        return Change::Unknown;
    }
    let mut paths = BTreeSet::new();
    for commit in commits {
        let lists = [commit.added, commit.modified, commit.removed];
        for list in lists {
            let Some(list) = list else {
                return Change::Unknown;
            };
            paths.extend(list);
        }
        if paths.len() > MAX_PATHS {
            return Change::Unknown;
        }
    }
    Change::Paths(paths)
}
