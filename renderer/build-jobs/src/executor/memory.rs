//! Failures, as the Jobs remember them that failed.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::job::{FAILURE_ANNOTATION, JobIdentity, RETRY_ANNOTATION, annotation, lifetime};
use crate::policy::Policy;

/// The annotation with the value that [`RETRY_ANNOTATION`] had when the Job failed.
const RETRIED_ANNOTATION: &str = "niphas.io/retried";

/// What a Job remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// No failure.
    Nothing,
    /// A failure.
    Failed(Failure),
    /// A failure after which a person asks for another try.
    Retried,
}

/// What a Job remembers.
pub fn memory(job: &Job) -> Memory {
    let value = |name| annotation(&job.metadata, name);
    let Some(text) = value(FAILURE_ANNOTATION) else {
        return Memory::Nothing;
    };
    if value(RETRY_ANNOTATION) != value(RETRIED_ANNOTATION) {
        return Memory::Retried;
    }
    let Ok(mut failure) = serde_json::from_str::<Failure>(text) else {
        return Memory::Nothing;
    };
    // Annotations are written by others too.
    failure = Failure {
        derivation: failure.derivation,
        ..Failure::new(failure.cause, &failure.message)
    };
    let is_member = |identity: JobIdentity| {
        failure
            .derivation
            .as_ref()
            .is_none_or(|it| identity.members.contains(it))
    };
    if JobIdentity::of(job).is_ok_and(is_member) {
        Memory::Failed(failure)
    } else {
        Memory::Nothing
    }
}

/// What is written to a Job that failed.
pub(super) fn patch(job: &Job, failure: &Failure, policy: &Policy) -> Value {
    json!({
        "metadata": {
            // Of this one, and no later one of that name.
            "uid": job.metadata.uid,
            "annotations": {
                FAILURE_ANNOTATION: serde_json::to_string(failure).expect("it is plain"),
                RETRIED_ANNOTATION: annotation(&job.metadata, RETRY_ANNOTATION),
            },
        },
        "spec": { "ttlSecondsAfterFinished": lifetime(policy.keep_failures) },
    })
}
