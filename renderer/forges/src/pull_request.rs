//! Pull requests and their comments.

use serde_json::Value;

use crate::markdown::Markdown;

/// A pull request, or GitLab's merge request, as the host has it. Its texts are its author's.
#[derive(Debug, Clone, PartialEq)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: u64,
    /// Whether it is neither merged nor closed.
    pub is_open: bool,
    /// Whether it is not ready yet.
    pub is_draft: bool,
    /// The login of its author.
    pub author: String,
    /// Where people read it.
    pub link: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// What it would merge.
    pub head: Head,
    /// The branch that it would merge into.
    pub base: String,
    /// What an update must send back.
    pub(crate) kept: Value,
}

/// What a pull request would merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The branch. Two repositories have branches of the same name.
    pub branch: String,
    /// Its newest commit. Bitbucket Cloud gives the first digits of it, and [`crate::Client::pull_request`] finds the rest.
    pub commit: String,
    /// The repository that has it, if it is still there.
    pub repository: Option<String>,
    /// Whether that is another repository, or is not there: what is in the branch then comes from people who may not write here.
    pub is_fork: bool,
}

/// The branches of a pull request from the repository itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branches {
    /// The branch to merge.
    pub head: String,
    /// The branch to merge it into.
    pub base: String,
}

/// The pull request that there should be.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its branches. There is at most one open pull request of them.
    pub branches: Branches,
    /// Its title: one line, cut to what the host takes.
    pub title: String,
    /// Its text.
    pub body: Markdown,
    /// Labels, which are added to those that it has. Bitbucket has none.
    pub labels: Vec<String>,
}

/// A comment of a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// Which version of it this is, where an update must name that.
    pub version: Option<u64>,
    /// What its author is known by: a user, and the app that wrote it for one.
    pub authors: Vec<String>,
    /// The text.
    pub body: String,
}

/// Texts are equal if the host has changed only ends of lines.
pub(crate) fn is_same_text(a: &str, b: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.trim_end().lines();
        lines.map(|line| line.trim_end().to_owned()).collect()
    };
    lines(a) == lines(b)
}
