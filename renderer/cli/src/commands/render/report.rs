//! What `niphas render` prints of what it did, or would do.

use std::collections::BTreeSet;
use std::process::ExitCode;

use niphas_gitops::{ChangeKind, FileChange, GitOpsRepository, Oid, Outcome, Plan, Request};
use niphas_review::Review;
use niphas_terminal::{print_bytes, say};
use serde_json::{Value, json};

use super::documents::{Document, Output, ReportFile, ReportForm, print_summary};
use super::patch;
use crate::failure::Failure;

/// What becomes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are committed.
    Commit,
    /// The changes are listed.
    DryRun,
    /// The changes are printed as a patch.
    Diff,
    /// The changes are listed, and the exit code says whether there are any.
    Check,
}

impl Mode {
    /// Whether nothing is written.
    pub(super) fn only_reports(self) -> bool {
        self != Mode::Commit
    }
}

/// How to print it.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) output: Output,
    pub(super) files: &'a [ReportFile],
    pub(super) mode: Mode,
    /// Whether environments that are no longer in the flake are removed.
    pub(super) prunes: bool,
    /// Whether a patch on a terminal goes through a pager.
    pub(super) uses_pager: bool,
    /// The names of the environments.
    pub(super) environments: &'a BTreeSet<String>,
    /// What was rendered, and from what; if anything had to be.
    pub(super) rendered: Option<&'a Request<'a>>,
}

/// The branch that is written to, and the one that it is made from: most often they are one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branches<'a> {
    branch: &'a str,
    base: &'a str,
}

impl Branches<'_> {
    /// Prints what was done, for people.
    fn say(self, outcome: &Outcome) {
        let Self { branch, base } = self;
        match outcome {
            Outcome::Unchanged { tip, .. } => say_unchanged(branch, *tip),
            Outcome::Committed {
                commit,
                changes,
                replaced,
                review,
                ..
            } => {
                let replaced = replaced.map_or(String::new(), |tip| format!(", in place of {tip}"));
                say!("committed {commit} to {}{replaced}:", self.to());
                print_changes(changes);
                print_summary(review);
            }
            Outcome::NotNeeded { withdrawn, .. } => {
                say!("nothing to commit: branch '{base}' is up to date");
                if let Some(tip) = withdrawn {
                    say!(
                        "branch '{branch}' had a change that is not needed any more, {tip}: it is at '{base}' now"
                    );
                }
            }
        }
    }
}

impl<'a> Branches<'a> {
    pub(super) fn of(repository: &'a GitOpsRepository) -> Self {
        Self {
            branch: repository.branch(),
            base: repository.base(),
        }
    }

    /// For a line about a commit: the branch, and what it is made from.
    fn to(self) -> String {
        let Self { branch, base } = self;
        if branch == base {
            format!("branch '{branch}'")
        } else {
            format!("branch '{branch}', on top of '{base}'")
        }
    }
}

impl Report<'_> {
    /// A branch that is up to date.
    pub(super) fn unchanged(
        self,
        branches: Branches<'_>,
        tip: Oid,
        gone: Vec<String>,
    ) -> Result<(), Failure> {
        if self.mode.only_reports() {
            let nothing = Plan {
                tip: Some(tip),
                changes: Vec::new(),
                diff: String::new(),
                gone,
                withdraws: false,
                review: self.no_change(),
            };
            self.plan(branches, &nothing).map(|_| ())
        } else {
            let tip = Some(tip);
            self.outcome(branches, &Outcome::Unchanged { tip, gone })
        }
    }

    /// What would be committed; the exit code says whether that is asked for and anything would.
    pub(super) fn plan(self, branches: Branches<'_>, plan: &Plan) -> Result<ExitCode, Failure> {
        let Branches { branch, base } = branches;
        let changed = !plan.changes.is_empty() || plan.withdraws;
        self.warn_of_gone(&plan.gone);
        let diff = (self.mode == Mode::Diff).then_some(plan.diff.as_str());
        if self.output == Output::Text {
            match diff {
                _ if plan.withdraws => {
                    say!("would put branch '{branch}' back to '{base}', which has everything");
                }
                Some(diff) => {
                    let summary = if plan.review.is_empty() {
                        String::new()
                    } else {
                        format!("{}\n", plan.review.text())
                    };
                    patch::print(&summary, diff, self.uses_pager);
                }
                None if changed => {
                    say!("would commit to {}:", branches.to());
                    print_changes(&plan.changes);
                    print_summary(&plan.review);
                }
                None => say_unchanged(branch, plan.tip),
            }
        }
        let json = json!({
            "outcome": if changed { "would-commit" } else { "unchanged" },
            "branch": branch,
            "base": base,
            "changes": changes_json(&plan.changes),
            "diff": diff,
            "goneEnvironments": plan.gone,
        });
        self.documents(branches, json, &plan.review, (diff, None))?;
        Ok(
            if changed && matches!(self.mode, Mode::Diff | Mode::Check) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            },
        )
    }

    /// What was committed.
    pub(super) fn outcome(self, branches: Branches<'_>, outcome: &Outcome) -> Result<(), Failure> {
        let (Outcome::Unchanged { gone, .. }
        | Outcome::Committed { gone, .. }
        | Outcome::NotNeeded { gone, .. }) = outcome;
        self.warn_of_gone(gone);
        if self.output == Output::Text {
            branches.say(outcome);
        }
        let Branches { branch, base } = branches;
        let none = self.no_change();
        let (json, commit, review) = match outcome {
            Outcome::Unchanged { tip, gone } => {
                let json = json!({
                    "outcome": "unchanged",
                    "branch": branch,
                    "base": base,
                    "commit": tip.map(|tip| tip.to_string()),
                    "changes": [],
                    "goneEnvironments": gone,
                });
                (json, *tip, &none)
            }
            Outcome::Committed {
                commit,
                changes,
                attempts,
                gone,
                replaced,
                review,
            } => {
                let json = json!({
                    "outcome": "committed",
                    "branch": branch,
                    "base": base,
                    "commit": commit.to_string(),
                    "replaced": replaced.map(|tip| tip.to_string()),
                    "changes": changes_json(changes),
                    "attempts": attempts,
                    "goneEnvironments": gone,
                });
                (json, Some(*commit), review)
            }
            Outcome::NotNeeded {
                base: tip,
                withdrawn,
                gone,
            } => {
                let json = json!({
                    "outcome": if withdrawn.is_some() { "withdrawn" } else { "unchanged" },
                    "branch": if withdrawn.is_some() { branch } else { base },
                    "base": base,
                    "commit": tip.to_string(),
                    "replaced": withdrawn.map(|tip| tip.to_string()),
                    "changes": [],
                    "goneEnvironments": gone,
                });
                (json, Some(*tip), &none)
            }
        };
        self.documents(branches, json, review, (None, commit))
    }

    /// The review of a run that has nothing to do.
    fn no_change(self) -> Review {
        Review::unchanged(self.environments.iter().cloned())
    }

    /// Prints the report unless it is text, and writes the files.
    fn documents(
        self,
        branches: Branches<'_>,
        mut json: Value,
        review: &Review,
        (patch, commit): (Option<&str>, Option<Oid>),
    ) -> Result<(), Failure> {
        json["review"] = json!(review);
        let document = Document {
            json,
            review,
            patch,
            rendered: self.rendered.map(|request| &request.environments),
            facts: self.facts(branches.branch, commit),
        };
        match self.output {
            Output::Text => {}
            Output::Json => say!("{}", document.text(ReportForm::Json)),
            Output::Markdown => print_bytes(document.text(ReportForm::Markdown)),
            Output::Html => print_bytes(document.text(ReportForm::Html)),
        }
        let mut files = self.files.iter();
        files.try_for_each(|file| file.write(&document.text(file.form)))
    }

    /// What the report is about.
    fn facts(self, branch: &str, commit: Option<Oid>) -> Vec<(&'static str, String)> {
        let provenance = self.rendered.map(|request| &request.provenance);
        let flake = provenance.map(|provenance| provenance.repository.clone());
        let revision = provenance.and_then(|provenance| provenance.revision.clone());
        let facts = [
            ("Flake", flake),
            ("Revision", revision),
            ("Branch", Some(branch.to_owned())),
            ("Commit", commit.map(|commit| commit.to_string())),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(what, fact)| Some((what, fact?)));
        known.collect()
    }

    /// Environments that are no longer in the flake stay deployed: that is said on each run.
    fn warn_of_gone(self, gone: &[String]) {
        if gone.is_empty() || self.prunes {
            return;
        }
        let names = gone.iter().map(|name| format!("'{name}'"));
        let names = names.collect::<Vec<_>>().join(", ");
        tracing::warn!(
            "the repository has environments of this flake that are no longer in it: {names}; \
             remove them with --prune-environments"
        );
    }
}

fn say_unchanged(branch: &str, tip: Option<Oid>) {
    match tip {
        Some(_) => say!("nothing to commit: branch '{branch}' is up to date"),
        None => {
            say!("nothing to commit: no workloads to render, and branch '{branch}' has no commit");
        }
    }
}

fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

fn print_changes(changes: &[FileChange]) {
    for change in changes {
        say!("  {:<8} {}", kind_name(change.kind), change.path);
    }
}

fn changes_json(changes: &[FileChange]) -> Value {
    changes
        .iter()
        .map(|change| json!({ "path": change.path, "kind": kind_name(change.kind) }))
        .collect()
}
