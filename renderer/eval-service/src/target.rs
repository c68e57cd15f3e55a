//! What a run writes to the GitOps repository: a commit, a proposal for a pull request, or nothing, if it is only to be reviewed.

use std::collections::{BTreeMap, BTreeSet};

use niphas_api::source::{NiphasSourceSpec, RunResult, Target};
use niphas_environments::Origin;
use niphas_git::Login;
use niphas_gitops::{
    Access, Allowed, GitOpsRepository, Location, Outcome, Provenance, Relation, Request,
};
use niphas_render::RenderedEnvironment;
use niphas_review::Review;

use crate::fetch::FetchedFlake;
use crate::run::Failure;

/// How files reach the branch of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are committed to it.
    Commit,
    /// They are committed to a branch of their own, which a pull request proposes.
    Propose {
        /// That branch.
        branch: String,
        /// The commit that a pull request of an earlier run proposes.
        proposed: Option<String>,
    },
    /// They are compared with it.
    Review,
}

/// What a run did to the GitOps repository.
#[derive(Debug)]
pub(crate) enum Written {
    /// The branch has all of it, and there is nothing to propose.
    Nothing,
    /// The branch of the pull request has all of it, which is open, or was closed by a person who does not want it.
    Proposed,
    /// A commit was made.
    Committed(String),
    /// The branch of a pull request has this commit; the pull request has to be opened, or brought up to date.
    ToPropose { commit: String, review: Review },
    /// What would change, and the patch.
    Reviewed { review: Review, patch: String },
}

/// The branch that is rendered to, and how.
pub(crate) struct Writer<'a> {
    pub(crate) spec: &'a NiphasSourceSpec,
    pub(crate) login: &'a Login,
    pub(crate) mode: &'a Mode,
}

impl Writer<'_> {
    /// Writes the files of environments.
    pub(crate) fn write(
        &self,
        flake: &FetchedFlake,
        files: BTreeMap<String, RenderedEnvironment>,
    ) -> Result<Written, Failure> {
        let refused =
            |error: &dyn ToString| Failure::settled(RunResult::RenderFailed, error.to_string());
        let names: BTreeSet<String> = files.keys().cloned().collect();
        let origin = Origin::of_commit(
            &flake.reference,
            &flake.revision,
            &flake.lock_file,
            flake.clone.clone(),
        );
        let origin = origin.map_err(|error| refused(&error))?;
        let history = origin.history();
        // A pull request may have left the branch long ago, and nothing is written for it.
        let any = |_: &str, _: &str| Relation::Older;
        let request = Request {
            environments: files,
            provenance: Provenance {
                owner: origin.owner,
                repository: origin.repository,
                revision: origin.revision,
                flake_lock: Some(origin.flake_lock),
                renderer: concat!("niphas ", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            history: match self.mode {
                Mode::Review => &any,
                Mode::Commit | Mode::Propose { .. } => &history,
            },
            author: None,
            subject: None,
            signing_key: None,
            allow: Allowed::default(),
            all_environments: self.spec.environments.is_none().then_some(names),
            prune: false,
        };
        // What the repository has may change, too: whatever it is, it is tried again.
        self.write_to_branch(&request)
            .map_err(|error| Failure::passing(RunResult::RenderFailed, nix_formats::chain(&error)))
    }

    fn open(&self) -> Result<GitOpsRepository, niphas_gitops::Error> {
        let Target { url, branch, .. } = &self.spec.target;
        let access = Access {
            login: Some(self.login.clone()),
            ..Access::default()
        };
        GitOpsRepository::open(&Location::Remote(url.clone()), Some(branch), access)
    }

    fn write_to_branch(&self, request: &Request<'_>) -> Result<Written, niphas_gitops::Error> {
        let (branch, proposed) = match self.mode {
            Mode::Commit => {
                return Ok(match self.open()?.commit(request)? {
                    Outcome::Committed { commit, .. } => Written::Committed(commit.to_string()),
                    Outcome::Unchanged { .. } | Outcome::NotNeeded { .. } => Written::Nothing,
                });
            }
            Mode::Review => {
                let plan = self.open()?.plan(request)?;
                return Ok(Written::Reviewed {
                    review: plan.review,
                    patch: plan.diff,
                });
            }
            Mode::Propose { branch, proposed } => (branch, proposed),
        };
        Ok(match self.open()?.proposing_on(branch)?.commit(request)? {
            Outcome::NotNeeded { .. } | Outcome::Unchanged { tip: None, .. } => Written::Nothing,
            Outcome::Committed { commit, review, .. } => Written::ToPropose {
                commit: commit.to_string(),
                review,
            },
            Outcome::Unchanged { tip: Some(tip), .. } => {
                let commit = tip.to_string();
                if proposed.as_ref() == Some(&commit) {
                    Written::Proposed
                } else {
                    // The run that pushed it did not come to open the pull request.
                    let review = self.open()?.plan(request)?.review;
                    Written::ToPropose { commit, review }
                }
            }
        })
    }
}
