//! The comment that a pull request gets, and its statuses; pure.

use niphas_api::source::{PullRequestRun, RunResult};
use niphas_forges::{Commit, Context, Markdown, Part, State, Status};
use niphas_review::Review;
use url::Url;

use crate::reports::{CommitStatus, first_line};
use crate::run::{Failure, Step, Success};

/// Lines of an error that are shown.
const LINES: usize = 30;

/// What a comment is about.
pub(super) struct About<'a> {
    pub(super) commit: &'a Commit,
    /// The page of the source.
    pub(super) page: Option<&'a Url>,
}

impl About<'_> {
    /// The comment on a run that came to its end.
    pub(super) fn comment(&self, result: &Result<Success, Failure>) -> Markdown {
        let mut text = Markdown::default();
        let commit = self.commit.as_str();
        match result {
            Ok(success) => {
                text.paragraph(&[
                    Part::Text("If commit "),
                    Part::Code(commit),
                    Part::Text(" is merged, this changes in the GitOps repository:"),
                ]);
                let none = Review::default();
                let (review, patch) = match &success.review {
                    Some((review, patch)) => (review, Some(patch.as_str())),
                    None => (&none, None),
                };
                text.report(review.markdown(patch));
            }
            Err(failure) => {
                text.heading(&[Part::Text(match failure.result {
                    RunResult::EvaluationFailed => "The evaluation failed",
                    RunResult::BuildFailed => "Not everything is built",
                    _ => "The files cannot be rendered",
                })]);
                text.paragraph(&[Part::Text("Commit "), Part::Code(commit), Part::Text(":")]);
                text.log(&failure.message, LINES);
            }
        }
        if let Some(page) = self.page {
            text.paragraph(&[Part::Link("All runs", page)]);
        }
        text
    }

    fn status(&self, context: Context, state: State, description: String) -> CommitStatus {
        CommitStatus {
            commit: self.commit.clone(),
            context,
            status: Status {
                state,
                description,
                link: self.page.cloned(),
            },
        }
    }

    /// A status of a pull request whose commit has no approval.
    pub(super) fn waits(&self, label: &str) -> Vec<CommitStatus> {
        let said = format!("waits for an approving review of this commit, or the label '{label}'");
        vec![self.status(Context::Evaluate, State::Pending, said)]
    }

    /// The status as a run begins.
    pub(super) fn began(&self) -> Vec<CommitStatus> {
        let said = "the flake is evaluated".to_owned();
        vec![self.status(Context::Evaluate, State::Running, said)]
    }

    /// The statuses as it comes further.
    pub(super) fn came(&self, step: &Step) -> Vec<CommitStatus> {
        match step {
            Step::Fetched(_) | Step::Building(_) => Vec::new(),
            Step::Evaluated => vec![
                self.evaluated(),
                self.status(
                    Context::Build,
                    State::Running,
                    "closures are looked for in caches".to_owned(),
                ),
            ],
            Step::Built => vec![
                self.built(),
                self.status(
                    Context::Render,
                    State::Running,
                    "the files are rendered".to_owned(),
                ),
            ],
        }
    }

    /// The statuses of a run that came to its end.
    pub(super) fn ended(&self, result: &Result<Success, Failure>) -> Vec<CommitStatus> {
        let failure = match result {
            Ok(success) => {
                let said = said(success);
                return vec![
                    self.evaluated(),
                    self.built(),
                    self.status(Context::Render, State::Success, said),
                ];
            }
            Err(failure) => failure,
        };
        let context = match failure.result {
            RunResult::EvaluationFailed => Context::Evaluate,
            RunResult::BuildFailed => Context::Build,
            _ => Context::Render,
        };
        let state = if failure.is_passing {
            State::Error
        } else {
            State::Failure
        };
        let mut all = vec![self.evaluated(), self.built()];
        all.retain(|status| status.context < context);
        all.push(self.status(context, state, first_line(&failure.message).to_owned()));
        all
    }

    fn evaluated(&self) -> CommitStatus {
        let said = "the environments were evaluated".to_owned();
        self.status(Context::Evaluate, State::Success, said)
    }

    fn built(&self) -> CommitStatus {
        let said = "all closures are in caches".to_owned();
        self.status(Context::Build, State::Success, said)
    }
}

fn said(success: &Success) -> String {
    let changes = success.review.as_ref().map(|(review, _)| review);
    match changes.map_or(0, |review| review.workloads.len()) {
        0 => format!("none of {} workloads would change", success.workloads),
        changed => format!("{changed} of {} workloads would change", success.workloads),
    }
}

/// What the status of the source says of a run that came to its end.
pub(super) fn outcome(
    number: u64,
    commit: &Commit,
    result: &Result<Success, Failure>,
) -> PullRequestRun {
    let (outcome, message) = match result {
        Ok(success) => {
            let is_empty = success
                .review
                .as_ref()
                .is_none_or(|(review, _)| review.is_empty());
            let outcome = if is_empty {
                RunResult::Unchanged
            } else {
                RunResult::Rendered
            };
            (outcome, said(success))
        }
        Err(failure) => (failure.result, first_line(&failure.message).to_owned()),
    };
    PullRequestRun {
        number: i64::try_from(number).unwrap_or(i64::MAX),
        revision: commit.to_string(),
        result: Some(outcome),
        message: Some(nix_formats::shortened(&message, 500).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use niphas_forges::Forge;

    use super::*;

    fn commit() -> Commit {
        Commit::new(&"a".repeat(40)).unwrap()
    }

    fn success() -> Success {
        Success {
            revision: "a".repeat(40),
            commit: None,
            environments: 1,
            workloads: 3,
            proposal: None,
            review: Some((
                Review::unchanged(["production".to_owned()]),
                "+ replicas: 2\n".to_owned(),
            )),
        }
    }

    fn told(statuses: Vec<CommitStatus>) -> Vec<String> {
        let told = statuses.into_iter().map(|of| {
            format!(
                "{} {:?} {}",
                of.context, of.status.state, of.status.description
            )
        });
        told.collect()
    }

    #[test]
    fn an_error_is_shown_as_code_and_only_its_stage_is_red() {
        let (commit, page) = (commit(), Url::parse("https://ci.example/x").unwrap());
        let about = About {
            commit: &commit,
            page: Some(&page),
        };
        let message = "error: ```\n/merge\n@everyone undefined variable".to_owned();
        let failed = Err(Failure::settled(RunResult::BuildFailed, message));
        let text = about.comment(&failed).for_host(Forge::GitLab);
        assert!(
            text.starts_with("### Not everything is built\n\n"),
            "{text}"
        );
        assert!(
            text.contains("[All runs](<https://ci.example/x>)"),
            "{text}"
        );
        let fences = text.lines().filter(|line| line.starts_with("```"));
        assert_eq!(fences.count(), 2, "{text}");
        assert_eq!(
            told(about.ended(&failed)),
            [
                "niphas/evaluate Success the environments were evaluated",
                "niphas/build Failure error: ```",
            ]
        );
        let run = outcome(7, &commit, &failed);
        assert_eq!(run.result, Some(RunResult::BuildFailed));
        let passing = Err(Failure::passing(RunResult::EvaluationFailed, "no answer"));
        assert_eq!(
            told(about.ended(&passing)),
            ["niphas/evaluate Error no answer"]
        );
    }

    #[test]
    fn a_comment_has_the_review_and_the_patch() {
        let commit = commit();
        let about = About {
            commit: &commit,
            page: None,
        };
        let text = about.comment(&Ok(success())).for_host(Forge::GitHub);
        assert!(text.contains("If commit `aaaa"), "{text}");
        assert!(text.contains("### Changes of `production`"), "{text}");
        assert!(text.contains("+ replicas: 2"), "{text}");
        let last = told(about.ended(&Ok(success()))).pop();
        let expected = "niphas/render Success none of 3 workloads would change";
        assert_eq!(last.as_deref(), Some(expected));
        assert_eq!(
            outcome(7, &commit, &Ok(success())).result,
            Some(RunResult::Unchanged)
        );
    }
}
