//! What `niphas render` prints of what it did, or would do.

use std::process::ExitCode;

use niphas_gitops::{ChangeKind, FileChange, GitOpsRepository, Oid, Outcome, Plan};
use niphas_terminal::{OutputFormat, say};
use serde_json::json;

use super::patch;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) output: OutputFormat,
    pub(super) mode: Mode,
    /// Whether environments that are no longer in the flake are removed.
    pub(super) prunes: bool,
    /// Whether a patch on a terminal goes through a pager.
    pub(super) uses_pager: bool,
}

/// The branch that is written to, and the one that it is made from: most often they are one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branches<'a> {
    branch: &'a str,
    base: &'a str,
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

impl Report {
    /// A branch that is up to date.
    pub(super) fn unchanged(self, branches: Branches<'_>, tip: Oid, gone: Vec<String>) {
        if self.mode.only_reports() {
            let nothing = Plan {
                tip: Some(tip),
                changes: Vec::new(),
                diff: String::new(),
                gone,
                withdraws: false,
            };
            self.plan(branches, &nothing);
        } else {
            let tip = Some(tip);
            self.outcome(branches, &Outcome::Unchanged { tip, gone });
        }
    }

    /// What would be committed; the exit code says whether that is asked for and anything would.
    pub(super) fn plan(self, branches: Branches<'_>, plan: &Plan) -> ExitCode {
        let Branches { branch, base } = branches;
        let changed = !plan.changes.is_empty() || plan.withdraws;
        self.warn_of_gone(&plan.gone);
        match (self.output, self.mode) {
            (OutputFormat::Json, mode) => {
                let diff = (mode == Mode::Diff).then_some(&plan.diff);
                let plan = json!({
                    "outcome": if changed { "would-commit" } else { "unchanged" },
                    "branch": branch,
                    "base": base,
                    "changes": changes_json(&plan.changes),
                    "diff": diff,
                    "goneEnvironments": plan.gone,
                });
                say!("{plan}");
            }
            (OutputFormat::Text, Mode::Diff) if !plan.withdraws => {
                patch::print(&plan.diff, self.uses_pager);
            }
            (OutputFormat::Text, _) if plan.withdraws => {
                say!("would put branch '{branch}' back to '{base}', which has everything");
            }
            (OutputFormat::Text, _) if changed => {
                say!("would commit to {}:", branches.to());
                print_changes(&plan.changes);
            }
            (OutputFormat::Text, _) => say_unchanged(branch, plan.tip),
        }
        if changed && matches!(self.mode, Mode::Diff | Mode::Check) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// What was committed.
    pub(super) fn outcome(self, branches: Branches<'_>, outcome: &Outcome) {
        let Branches { branch, base } = branches;
        let (Outcome::Unchanged { gone, .. }
        | Outcome::Committed { gone, .. }
        | Outcome::NotNeeded { gone, .. }) = outcome;
        self.warn_of_gone(gone);
        match (self.output, outcome) {
            (OutputFormat::Json, Outcome::Unchanged { tip, gone }) => {
                let outcome = json!({
                    "outcome": "unchanged",
                    "branch": branch,
                    "base": base,
                    "commit": tip.map(|tip| tip.to_string()),
                    "changes": [],
                    "goneEnvironments": gone,
                });
                say!("{outcome}");
            }
            (
                OutputFormat::Json,
                Outcome::Committed {
                    commit,
                    changes,
                    attempts,
                    gone,
                    replaced,
                },
            ) => {
                let outcome = json!({
                    "outcome": "committed",
                    "branch": branch,
                    "base": base,
                    "commit": commit.to_string(),
                    "replaced": replaced.map(|tip| tip.to_string()),
                    "changes": changes_json(changes),
                    "attempts": attempts,
                    "goneEnvironments": gone,
                });
                say!("{outcome}");
            }
            (
                _,
                Outcome::NotNeeded {
                    base, withdrawn, ..
                },
            ) => {
                self.not_needed(branches, *base, *withdrawn, gone);
            }
            (OutputFormat::Text, Outcome::Unchanged { tip, .. }) => say_unchanged(branch, *tip),
            (
                OutputFormat::Text,
                Outcome::Committed {
                    commit,
                    changes,
                    replaced,
                    ..
                },
            ) => {
                let replaced = replaced.map_or(String::new(), |tip| format!(", in place of {tip}"));
                say!("committed {commit} to {}{replaced}:", branches.to());
                print_changes(changes);
            }
        }
    }
}

impl Report {
    /// A base that has everything, and what its branch had beside it.
    fn not_needed(self, branches: Branches<'_>, tip: Oid, withdrawn: Option<Oid>, gone: &[String]) {
        let Branches { branch, base } = branches;
        if self.output == OutputFormat::Json {
            let outcome = json!({
                "outcome": if withdrawn.is_some() { "withdrawn" } else { "unchanged" },
                "branch": if withdrawn.is_some() { branch } else { base },
                "base": base,
                "commit": tip.to_string(),
                "replaced": withdrawn.map(|tip| tip.to_string()),
                "changes": [],
                "goneEnvironments": gone,
            });
            say!("{outcome}");
            return;
        }
        say!("nothing to commit: branch '{base}' is up to date");
        if let Some(tip) = withdrawn {
            say!(
                "branch '{branch}' had a change that is not needed any more, {tip}: it is at '{base}' now"
            );
        }
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

fn changes_json(changes: &[FileChange]) -> serde_json::Value {
    changes
        .iter()
        .map(|change| json!({ "path": change.path, "kind": kind_name(change.kind) }))
        .collect()
}
