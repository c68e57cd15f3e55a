//! How a Job is, by what Kubernetes says of it and of its pods. Pure.

mod pods;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use nix_formats::StorePath;
use serde::{Deserialize, Serialize};

use crate::exit::{BuildFault, Exit};
use crate::failure::{Cause, Failure};
use crate::job::{Attempt, JobIdentity};
use crate::policy::{Policy, Size};
use pods::{End, Place};

/// How long what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a node, an image and the inputs.
    pub pending: Duration,
    /// For a pod to end on a node that does not answer.
    pub lost: Duration,
}

impl Patience {
    /// That of a policy.
    pub fn of(policy: &Policy) -> Self {
        Self {
            pending: policy.pending_timeout.as_std(),
            lost: policy.lost_timeout.as_std(),
        }
    }
}

/// How a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is being removed, and ends.
    Removed,
    /// Nothing is built yet: why, in a sentence.
    Waiting(String),
    /// Its pod was not started in time.
    Overdue(Failure),
    /// The agent builds.
    Running {
        /// In this pod.
        pod: String,
        /// On this node.
        node: String,
        /// Since then.
        since: Option<Timestamp>,
    },
    /// Its pod should have ended, and its node does not say so. Until it is deleted by force nothing takes its place.
    Lost {
        /// The pod.
        pod: String,
        /// Which of that name.
        uid: String,
    },
    /// The agent delivered all.
    Built,
    /// It failed, and makes no other pod.
    Failed(Failure),
}

/// What the agent says when it ends, in the pod's termination message: it is short, and nothing is believed of it but what the
/// derivation's own Job may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// What happened.
    pub message: String,
    /// The base name of the derivation that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derivation: Option<String>,
}

/// How a Job is. The pods are those that it owns.
pub fn standing(
    job: &Job,
    identity: &JobIdentity,
    pods: &[&Pod],
    now: Timestamp,
    patience: Patience,
) -> Standing {
    if job.metadata.deletion_timestamp.is_some() {
        return Standing::Removed;
    }
    if condition(job, "Complete").is_some() {
        return Standing::Built;
    }
    let mut places: Vec<Place> = pods.iter().map(|pod| Place::of(pod)).collect();
    places.sort_by_key(Place::age_key);
    if let Some(failed) = condition(job, "Failed") {
        return Standing::Failed(failure(failed, &places, identity));
    }
    let is_late = |since: Option<Timestamp>, patience: Duration| {
        let patience = SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX);
        since.is_some_and(|since| now.duration_since(since) > patience)
    };
    let alive = places.iter().rev().find(|place| place.end.is_none());
    let Some(place) = alive else {
        return Standing::Waiting(match places.last() {
            Some(place) => format!(
                "another pod takes the place of one that {}",
                place.ended_how()
            ),
            None => "its pod is not made yet".to_owned(),
        });
    };
    if is_late(place.deleted, patience.lost) {
        return Standing::Lost {
            pod: place.name.clone(),
            uid: place.uid.clone(),
        };
    }
    match &place.waits {
        None => Standing::Running {
            pod: place.name.clone(),
            node: place.node.clone(),
            since: place.started,
        },
        Some(why) if is_late(place.created, patience.pending) => {
            let minutes = patience.pending.as_secs() / 60;
            let message = format!("the build was not started in {minutes} minutes: {why}");
            Standing::Overdue(Failure::new(Cause::Unstarted, &message))
        }
        Some(why) => Standing::Waiting(why.clone()),
    }
}

/// A condition that holds.
fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|it| it.type_ == kind && it.status == "True")
}

fn failure(condition: &JobCondition, places: &[Place], identity: &JobIdentity) -> Failure {
    let last = places.iter().rev().find_map(|place| place.end.as_ref());
    match condition.reason.as_deref() {
        Some("DeadlineExceeded") => {
            Failure::new(Cause::TimedOut, "the build took longer than its Job may")
        }
        Some("PodFailurePolicy") => {
            let code = last.and_then(|end| end.code);
            let code = code.or_else(|| code_in(condition.message.as_deref()?));
            by_code(code, last, identity)
        }
        Some("BackoffLimitExceeded") => {
            let how = last.map_or_else(|| "was lost".to_owned(), End::how);
            let message = format!("its pod broke as often as it may; the last one {how}");
            Failure::new(Cause::Machine, &message)
        }
        reason => {
            let message = condition.message.as_deref().unwrap_or_default();
            let message = format!("its Job failed: {} {message}", reason.unwrap_or_default());
            Failure::new(Cause::Machine, message.trim_end())
        }
    }
}

fn by_code(code: Option<i32>, last: Option<&End>, identity: &JobIdentity) -> Failure {
    let exit = code.and_then(Exit::from_code);
    let is_out_of_memory = last.is_some_and(|end| end.is_out_of_memory);
    let (cause, message) = match exit {
        _ if is_out_of_memory => (Cause::OutOfMemory, "the build took more memory than it may"),
        Some(Exit::OutOfMemory) => (Cause::OutOfMemory, "the build took more memory than it may"),
        Some(Exit::Failed(BuildFault::Nix(101))) => {
            (Cause::TimedOut, "the build took longer than it may")
        }
        Some(Exit::Failed(_)) => {
            let code = exit.map(Exit::code).unwrap_or_default();
            (Cause::Build(code), "the build failed")
        }
        _ => (Cause::Machine, "its container was killed"),
    };
    let words = last
        .and_then(|end| end.words.as_deref())
        .and_then(LastWords::read);
    let said = words
        .as_ref()
        .map(|words| words.message.as_str())
        .filter(|it| !it.is_empty());
    let mut failure = Failure::new(cause, said.unwrap_or(message));
    failure.derivation = words.and_then(|words| words.member(identity));
    failure
}

impl LastWords {
    /// kubelet keeps no more.
    pub const MAX_BYTES: usize = 4096;

    fn read(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX_BYTES)
            .then(|| serde_json::from_str(text).ok())
            .flatten()
    }

    /// The derivation, if it is one that was built with the Job's own.
    fn member(&self, identity: &JobIdentity) -> Option<StorePath> {
        let named = self.derivation.as_deref()?;
        let mut members = identity.members.iter();
        members.find(|it| it.base_name() == named).cloned()
    }
}

/// The exit code in the message of a Job whose pod is gone: "Container build for pod … failed with exit code 100 matching …".
fn code_in(message: &str) -> Option<i32> {
    let (_, rest) = message.split_once("exit code ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is final.
    GiveUp,
    /// Another Job is made.
    TryAgain(Attempt),
}

/// What is done about the failure of an attempt that had this much memory.
pub fn next(failure: &Failure, attempt: Attempt, memory: Size, policy: &Policy) -> Next {
    if attempt.number >= policy.attempts {
        return Next::GiveUp;
    }
    let number = attempt.number + 1;
    match failure.cause {
        Cause::OutOfMemory if memory < policy.max_memory => Next::TryAgain(Attempt {
            number,
            memory: Some(memory.doubled().min(policy.max_memory)),
        }),
        Cause::Machine => Next::TryAgain(Attempt { number, ..attempt }),
        _ => Next::GiveUp,
    }
}
