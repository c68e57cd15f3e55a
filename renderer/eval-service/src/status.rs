//! What the status of a source says; pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use niphas_api::source::{Contents, NiphasSourceStatus, Revisions, Run as PastRun, RunResult};

use crate::queue::Attempt;
use crate::run::{Failure, Step, Success};

/// The most bytes of a message: `kubectl describe` shows them all.
const MAX_MESSAGE: usize = 4096;
/// The runs that are remembered.
const MOST_RUNS: usize = 10;

/// A status that is being kept up to date.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Status(pub(crate) NiphasSourceStatus);

/// What a condition says.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    kind: &'static str,
    is: Option<bool>,
    reason: &'static str,
    message: &'a str,
}

const READY: &str = "Ready";
const RECONCILING: &str = "Reconciling";
const STALLED: &str = "Stalled";
const FETCHED: &str = "Fetched";
const EVALUATED: &str = "Evaluated";
const BUILT: &str = "Built";
const RENDERED: &str = "Rendered";

/// Why a source is not ready whose branch could not be looked at.
const FETCH_FAILED: &str = "FetchFailed";

impl Status {
    /// The last attempt, if it came to its end for good: it need not be tried after a restart.
    pub(crate) fn settled(&self, generation: i64) -> Option<Attempt> {
        let last = self.0.history.first()?;
        let is_settled = matches!(
            last.result?,
            RunResult::Rendered | RunResult::Unchanged | RunResult::EvaluationFailed
        );
        let is_same = self.0.observed_generation == Some(generation);
        (is_settled && is_same).then(|| Attempt {
            revision: last.revision.clone(),
            generation,
            retry: self.0.handled_retry.clone(),
        })
    }

    /// The branch was found at a commit.
    pub(crate) fn looked(
        &mut self,
        (revision, webhook_path): (&str, Option<String>),
        generation: i64,
        now: Timestamp,
    ) {
        self.0.webhook_path = webhook_path;
        self.revisions().seen = Some(revision.to_owned());
        let mut conditions = self.0.conditions.iter();
        let had_failed = conditions
            .any(|condition| condition.type_ == READY && condition.reason == FETCH_FAILED);
        if had_failed {
            self.say_how_the_last_run_ended(revision, generation, now);
        }
    }

    /// After a look that failed came one that did not, the last run counts again, if it was of this commit.
    fn say_how_the_last_run_ended(&mut self, revision: &str, generation: i64, now: Timestamp) {
        let fetched = (FETCHED, Some(true), "Fetched", "the branch was found");
        let last = self.0.history.first().cloned();
        let message = last
            .as_ref()
            .and_then(|run| run.message.clone())
            .unwrap_or_default();
        let ended = last
            .filter(|run| run.revision == revision)
            .and_then(|run| run.result);
        match ended {
            Some(RunResult::Rendered | RunResult::Unchanged) => {
                self.say(&rendered(&message), generation, now);
            }
            Some(result @ RunResult::EvaluationFailed) => {
                let is_passing = false;
                let failure = Failure {
                    result,
                    message,
                    is_passing,
                };
                self.failed(&failure, generation, now);
            }
            _ => {
                let waiting = (READY, None, "Waiting", "the commit waits for its turn");
                self.say(&[waiting], generation, now);
            }
        }
        self.say(&[fetched], generation, now);
    }

    /// The branch could not be looked at.
    pub(crate) fn look_failed(&mut self, generation: i64, message: &str, now: Timestamp) {
        let said = [
            (FETCHED, Some(false), FETCH_FAILED, message),
            (READY, Some(false), FETCH_FAILED, message),
            (
                RECONCILING,
                Some(true),
                "Waiting",
                "the branch is looked at again",
            ),
            (STALLED, Some(false), "Waiting", ""),
        ];
        self.say(&said, generation, now);
    }

    /// The source asks for something that it may not have.
    pub(crate) fn refused(&mut self, generation: i64, message: &str, now: Timestamp) {
        let said = [
            (READY, Some(false), "NotAllowed", message),
            (RECONCILING, Some(false), "NotAllowed", ""),
            (STALLED, Some(true), "NotAllowed", message),
        ];
        self.say(&said, generation, now);
    }

    /// A run began.
    pub(crate) fn began(&mut self, attempt: &Attempt, now: Timestamp) {
        self.0.handled_retry.clone_from(&attempt.retry);
        self.close_open_run(now);
        // Runs have their second as a name. Two may begin within one; the later one has the next then.
        let second = now.as_second();
        let last = self.0.history.first();
        let taken = last.map(|run| run.start_time.0.as_second());
        let start = match taken {
            Some(taken) if taken >= second => Timestamp::from_second(taken + 1).unwrap_or(now),
            _ => now,
        };
        let run = PastRun {
            revision: attempt.revision.clone(),
            start_time: Time(start),
            completion_time: None,
            result: None,
            message: None,
            commit: None,
        };
        (self.0.builds, self.0.failed_build) = (None, None);
        self.0.history.insert(0, run);
        self.0.history.truncate(MOST_RUNS);
        let message = format!("commit {} is evaluated", attempt.revision);
        let said = [
            (READY, None, "Evaluating", &*message),
            (RECONCILING, Some(true), "Evaluating", &*message),
            (STALLED, Some(false), "Evaluating", ""),
        ];
        self.say(&said, attempt.generation, now);
    }

    /// A run has come further.
    pub(crate) fn came(&mut self, step: &Step, generation: i64, now: Timestamp) {
        let revision = self.0.history.first().map(|run| run.revision.clone());
        let said = match step {
            Step::Fetched(revision) => {
                if let Some(run) = self.0.history.first_mut() {
                    // The branch may have moved between the look and the fetch.
                    run.revision.clone_from(revision);
                }
                (FETCHED, "Fetched", "the commit and its inputs are here")
            }
            Step::Evaluated => {
                self.revisions().evaluated = revision;
                (EVALUATED, "Evaluated", "the environments were evaluated")
            }
            Step::Building(built) => {
                self.0.builds = Some(built.counts);
                self.0.failed_build.clone_from(&built.failed);
                let counts = built.counts;
                let message = format!(
                    "{} builds wait, {} run, {} are done, {} failed",
                    counts.waiting, counts.running, counts.succeeded, counts.failed
                );
                let said = [(BUILT, None, "Building", &*message)];
                return self.say(&said, generation, now);
            }
            Step::Built => {
                self.revisions().built = revision;
                (BUILT, "InCaches", "all closures are in caches")
            }
        };
        self.say(&[(said.0, Some(true), said.1, said.2)], generation, now);
    }

    /// A run ended.
    pub(crate) fn ended(
        &mut self,
        result: &Result<Success, Failure>,
        generation: i64,
        now: Timestamp,
    ) {
        let (outcome, message, commit) = match result {
            Ok(Success {
                commit: Some(commit),
                workloads,
                proposal,
                ..
            }) => {
                let proposal = match proposal {
                    Some(proposal) => format!(" and proposed by pull request {}", proposal.number),
                    None => String::new(),
                };
                (
                    RunResult::Rendered,
                    format!("{workloads} workloads were rendered as commit {commit}{proposal}"),
                    Some(commit.clone()),
                )
            }
            Ok(Success { workloads, .. }) => (
                RunResult::Unchanged,
                format!("{workloads} workloads are rendered; nothing changed"),
                None,
            ),
            Err(failure) => (failure.result, failure.message.clone(), None),
        };
        if let Some(run) = self.0.history.first_mut() {
            run.completion_time = Some(Time(now));
            run.result = Some(outcome);
            run.message = Some(shorten(&message));
            run.commit = commit;
        }
        match result {
            Ok(success) => {
                self.revisions().rendered = Some(success.revision.clone());
                self.0.proposal.clone_from(&success.proposal);
                let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
                self.0.contents = Some(Contents {
                    environments: count(success.environments),
                    workloads: count(success.workloads),
                });
                self.say(&rendered(&message), generation, now);
            }
            Err(Failure {
                result: RunResult::Superseded,
                ..
            }) => {}
            Err(failure) => self.failed(failure, generation, now),
        }
    }

    fn failed(&mut self, failure: &Failure, generation: i64, now: Timestamp) {
        let (kind, reason) = match failure.result {
            RunResult::EvaluationFailed => (EVALUATED, "EvaluationFailed"),
            RunResult::BuildFailed if self.0.failed_build.is_some() => (BUILT, "BuildFailed"),
            RunResult::BuildFailed => (BUILT, "NotInCaches"),
            _ => (RENDERED, "RenderFailed"),
        };
        let message = &*failure.message;
        let again = if failure.is_passing {
            "it is tried again"
        } else {
            ""
        };
        let said = [
            (kind, Some(false), reason, message),
            (READY, Some(false), reason, message),
            (RECONCILING, Some(failure.is_passing), reason, again),
            (STALLED, Some(!failure.is_passing), reason, message),
        ];
        self.say(&said, generation, now);
    }

    /// A run that a service which ended had begun.
    fn close_open_run(&mut self, now: Timestamp) {
        if let Some(run) = self.0.history.first_mut()
            && run.completion_time.is_none()
        {
            run.completion_time = Some(Time(now));
            run.result = Some(RunResult::Superseded);
        }
    }

    fn revisions(&mut self) -> &mut Revisions {
        self.0.revisions.get_or_insert_default()
    }

    fn say(
        &mut self,
        said: &[(&'static str, Option<bool>, &'static str, &str)],
        generation: i64,
        now: Timestamp,
    ) {
        self.0.observed_generation = Some(generation);
        for &(kind, is, reason, message) in said {
            let said = Said {
                kind,
                is,
                reason,
                message,
            };
            self.set(said, generation, now);
        }
    }

    fn set(&mut self, said: Said<'_>, generation: i64, now: Timestamp) {
        let status = match said.is {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = self
            .0
            .conditions
            .iter()
            .find(|condition| condition.type_ == said.kind);
        let since = before.filter(|condition| condition.status == status);
        let condition = Condition {
            type_: said.kind.to_owned(),
            status: status.to_owned(),
            reason: said.reason.to_owned(),
            message: shorten(said.message),
            observed_generation: Some(generation),
            last_transition_time: since.map_or(Time(now), |condition| {
                condition.last_transition_time.clone()
            }),
        };
        self.0
            .conditions
            .retain(|condition| condition.type_ != said.kind);
        self.0.conditions.push(condition);
    }
}

/// What the conditions say after a run that ended well.
fn rendered(message: &str) -> [(&'static str, Option<bool>, &'static str, &str); 4] {
    [
        (RENDERED, Some(true), "Rendered", message),
        (READY, Some(true), "Rendered", message),
        (RECONCILING, Some(false), "Rendered", ""),
        (STALLED, Some(false), "Rendered", ""),
    ]
}

/// A message that fits.
pub(crate) fn shorten(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let end = (0..=MAX_MESSAGE)
        .rev()
        .find(|end| message.is_char_boundary(*end));
    format!("{}…", &message[..end.unwrap_or_default()])
}

#[cfg(test)]
mod tests;
