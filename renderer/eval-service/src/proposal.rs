//! The pull request by which a run proposes its files, in `target.mode: PullRequest`.

use niphas_api::source::{NiphasSourceSpec, Proposal, RunResult};
use niphas_forges::{Branches, Client, Markdown, Part};
use niphas_review::Review;

use crate::queue::Key;
use crate::reports::short;
use crate::run::Failure;

/// The branch of a source's pull request. No two sources of a cluster share one.
pub(crate) fn branch(key: &Key) -> String {
    format!("niphas/{}/{}", key.namespace, key.name)
}

/// What a pull request proposes.
pub(crate) struct Proposed<'a> {
    pub(crate) key: &'a Key,
    pub(crate) spec: &'a NiphasSourceSpec,
    /// The commit of the flake.
    pub(crate) revision: &'a str,
    /// The commit of the branch.
    pub(crate) commit: &'a str,
    pub(crate) review: &'a Review,
}

impl Proposed<'_> {
    /// Opens the pull request, or brings the open one up to date.
    pub(crate) async fn open(&self, host: Option<&Client>) -> Result<Proposal, Failure> {
        let Some(host) = host else {
            return Err(Failure::settled(
                RunResult::RenderFailed,
                "target.mode PullRequest needs a login for the API of the Git host; give the Secret of target.secretRef the entry 'token'",
            ));
        };
        let opened = host.propose(&self.text()).await.map_err(|error| {
            let why = nix_formats::chain(&error);
            Failure::passing(
                RunResult::RenderFailed,
                format!("failed to open the pull request: {why}"),
            )
        })?;
        let is_web = opened.link.starts_with("https://") || opened.link.starts_with("http://");
        Ok(Proposal {
            number: i64::try_from(opened.number).unwrap_or(i64::MAX),
            commit: self.commit.to_owned(),
            link: Some(opened.link).filter(|link| is_web && link.len() <= 2048),
        })
    }

    fn text(&self) -> niphas_forges::Proposal {
        let environments: Vec<&str> = self
            .review
            .environments
            .iter()
            .map(String::as_str)
            .collect();
        let mut body = Markdown::default();
        body.paragraph(&[
            Part::Text("Rendered from commit "),
            Part::Code(self.revision),
            Part::Text(" of "),
            Part::Code(&niphas_http::redacted(&self.spec.flake.url)),
            Part::Text(". Each push brings this pull request up to date; commits of others on its branch end that."),
        ]);
        body.report(self.review.markdown(None));
        niphas_forges::Proposal {
            branches: Branches {
                head: branch(self.key),
                base: self.spec.target.branch.clone(),
            },
            title: format!(
                "{}: render {} at {}",
                self.key,
                environments.join(", "),
                short(self.revision)
            ),
            body,
            labels: Vec::new(),
        }
    }
}
