//! Statuses of commits.

use std::fmt;

use nix_formats::shortened;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::forge::Forge;

/// What a status is about. There are three for a commit, however many workloads and derivations it has: hosts limit statuses, and
/// people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// The evaluation of the flake.
    Evaluate,
    /// The builds of what the cache lacks.
    Build,
    /// The rendered files, and their commit.
    Render,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Evaluate, Self::Build, Self::Render];

    /// Its name at the host.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "niphas/evaluate",
            Self::Build => "niphas/build",
            Self::Render => "niphas/render",
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How it stands with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits.
    Pending,
    /// It is under way.
    Running,
    /// It succeeded.
    Success,
    /// It failed by what the commit holds.
    Failure,
    /// It failed by something else: a cache that is down, a credential that ended.
    Error,
    /// A newer commit took its place.
    Cancelled,
}

impl State {
    /// Whether it stays as it is unless the commit is run again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// What is said of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status {
    /// How it stands.
    pub state: State,
    /// One line. It is cut to what the host takes.
    pub description: String,
    /// Where more is found.
    pub link: Option<Url>,
}

impl Status {
    /// The description as this host takes it: one line, without control characters, not too long.
    pub(crate) fn description(&self, forge: Forge) -> String {
        one_line(&self.description, forge.limits().description)
    }

    /// The link, if this host takes one so long.
    pub(crate) fn link(&self, forge: Forge) -> Option<&str> {
        let link = self.link.as_ref().map(Url::as_str)?;
        let is_web = link.starts_with("https://") || link.starts_with("http://");
        (is_web && link.len() <= forge.limits().link).then_some(link)
    }
}

/// A text in one line, of at most this many bytes.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let words: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    shortened(&words, limit).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_one_line_that_fits() {
        let status = |description: &str| Status {
            state: State::Failure,
            description: description.to_owned(),
            link: None,
        };
        let two = status("one\n\u{1b}[31mtwo\u{7}  three");
        assert_eq!(two.description(Forge::GitHub), "one [31mtwo three");
        for text in ["x".repeat(1000), "ö".repeat(1000), "a b\n".repeat(300)] {
            for forge in Forge::ALL {
                let fits = status(&text).description(forge);
                assert!(fits.len() <= forge.limits().description, "{fits}");
                assert!(fits.len() > 100, "{fits}");
            }
        }
    }

    #[test]
    fn only_links_to_pages_are_sent() {
        let link = |text: &str| Status {
            state: State::Success,
            description: String::new(),
            link: Some(Url::parse(text).expect("a URL")),
        };
        let short = link("https://ci.example/runs/1");
        assert_eq!(short.link(Forge::GitLab), Some("https://ci.example/runs/1"));
        let long = link(&format!("https://ci.example/{}", "x".repeat(300)));
        assert_eq!(long.link(Forge::GitLab), None);
        assert!(long.link(Forge::GitHub).is_some());
        assert_eq!(link("javascript:alert(1)").link(Forge::GitHub), None);
    }
}
