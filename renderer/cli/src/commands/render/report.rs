//! What `niphas render` prints of what it did, or would do.

use std::process::ExitCode;

use niphas_gitops::{ChangeKind, FileChange, Oid, Outcome, Plan};
use niphas_terminal::{OutputFormat, print_bytes, say};
use serde_json::json;

/// What becomes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are committed.
    Commit,
    /// The changes are listed.
    DryRun,
    /// The changes are printed as a patch.
    Diff,
    /// The exit code says whether there are changes.
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
}

impl Report {
    /// A branch that is up to date.
    pub(super) fn unchanged(self, branch: &str, tip: Oid, gone: Vec<String>) {
        if self.mode.only_reports() {
            let nothing = Plan {
                tip: Some(tip),
                changes: Vec::new(),
                diff: String::new(),
                gone,
            };
            self.plan(branch, &nothing);
        } else {
            let tip = Some(tip);
            self.outcome(branch, &Outcome::Unchanged { tip, gone });
        }
    }

    /// What would be committed; the exit code says whether that is asked for and anything would.
    pub(super) fn plan(self, branch: &str, plan: &Plan) -> ExitCode {
        let changed = !plan.changes.is_empty();
        self.warn_of_gone(&plan.gone);
        match (self.output, self.mode) {
            (OutputFormat::Json, mode) => {
                let diff = (mode == Mode::Diff).then_some(&plan.diff);
                let plan = json!({
                    "outcome": if changed { "would-commit" } else { "unchanged" },
                    "branch": branch,
                    "changes": changes_json(&plan.changes),
                    "diff": diff,
                    "goneEnvironments": plan.gone,
                });
                say!("{plan}");
            }
            (OutputFormat::Text, Mode::Diff) => print_bytes(plan.diff.as_bytes()),
            (OutputFormat::Text, Mode::Check) => {}
            (OutputFormat::Text, _) if changed => {
                say!("would commit to branch '{branch}':");
                print_changes(&plan.changes);
            }
            (OutputFormat::Text, _) => say!("nothing to commit: branch '{branch}' is up to date"),
        }
        if changed && matches!(self.mode, Mode::Diff | Mode::Check) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// What was committed.
    pub(super) fn outcome(self, branch: &str, outcome: &Outcome) {
        let (Outcome::Unchanged { gone, .. } | Outcome::Committed { gone, .. }) = outcome;
        self.warn_of_gone(gone);
        match (self.output, outcome) {
            (OutputFormat::Json, Outcome::Unchanged { tip, gone }) => {
                let outcome = json!({
                    "outcome": "unchanged",
                    "branch": branch,
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
                },
            ) => {
                let outcome = json!({
                    "outcome": "committed",
                    "branch": branch,
                    "commit": commit.to_string(),
                    "changes": changes_json(changes),
                    "attempts": attempts,
                    "goneEnvironments": gone,
                });
                say!("{outcome}");
            }
            (OutputFormat::Text, Outcome::Unchanged { .. }) => {
                say!("nothing to commit: branch '{branch}' is up to date");
            }
            (
                OutputFormat::Text,
                Outcome::Committed {
                    commit, changes, ..
                },
            ) => {
                say!("committed {commit} to branch '{branch}':");
                print_changes(changes);
            }
        }
    }
}

impl Report {
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
