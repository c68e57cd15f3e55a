//! What runs to an end: Job, CronJob.

use data_encoding::HEXLOWER;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use sha2::{Digest, Sha256};

use super::{ChildrenError, Parent, object};
use crate::workload::{CompletionMode, ConcurrencyPolicy, PodReplacement};

/// A Job's template cannot be changed: so each has a name of its own, made of what it runs, and a
/// changed workload is a new Job in the place of the old one.
pub(super) fn job(
    parent: &Parent<'_>,
    template: PodTemplateSpec,
) -> Result<DynamicObject, ChildrenError> {
    let spec = job_spec(parent, template);
    let bytes = serde_json::to_vec(&spec).map_err(ChildrenError::Serialize)?;
    let hash = HEXLOWER.encode(&Sha256::digest(&bytes)[..5]);
    object(&Job {
        metadata: parent.metadata_of(format!("{}-{hash}", parent.name())),
        spec: Some(spec),
        ..Job::default()
    })
}

pub(super) fn cron_job(
    parent: &Parent<'_>,
    template: PodTemplateSpec,
) -> Result<DynamicObject, ChildrenError> {
    let cron = parent.spec().cron_job.clone();
    let policy = cron.as_ref().map(|cron| {
        match cron.concurrency_policy {
            ConcurrencyPolicy::Allow => "Allow",
            ConcurrencyPolicy::Forbid => "Forbid",
            ConcurrencyPolicy::Replace => "Replace",
        }
        .to_owned()
    });
    let job_template = JobTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(parent.labels()),
            ..ObjectMeta::default()
        }),
        spec: Some(job_spec(parent, template)),
    };
    object(&CronJob {
        metadata: parent.metadata(),
        spec: Some(CronJobSpec {
            concurrency_policy: policy,
            failed_jobs_history_limit: cron.as_ref().and_then(|c| c.failed_jobs_history_limit),
            job_template,
            starting_deadline_seconds: cron.as_ref().and_then(|c| c.starting_deadline_seconds),
            successful_jobs_history_limit: cron
                .as_ref()
                .and_then(|c| c.successful_jobs_history_limit),
            time_zone: cron.as_ref().and_then(|c| c.time_zone.clone()),
            suspend: cron.as_ref().and_then(|c| c.suspend),
            // The CRD asks for it.
            schedule: cron.map(|c| c.schedule).unwrap_or_default(),
        }),
        ..CronJob::default()
    })
}

fn job_spec(parent: &Parent<'_>, template: PodTemplateSpec) -> JobSpec {
    let job = parent.spec().job.clone().unwrap_or_default();
    JobSpec {
        active_deadline_seconds: job.active_deadline_seconds,
        backoff_limit: job.backoff_limit,
        backoff_limit_per_index: job.backoff_limit_per_index,
        completion_mode: job.completion_mode.map(|mode| {
            match mode {
                CompletionMode::Indexed => "Indexed",
                CompletionMode::NonIndexed => "NonIndexed",
            }
            .to_owned()
        }),
        completions: job.completions,
        max_failed_indexes: job.max_failed_indexes,
        parallelism: job.parallelism,
        pod_failure_policy: job.pod_failure_policy,
        pod_replacement_policy: job.pod_replacement_policy.map(|policy| {
            match policy {
                PodReplacement::Failed => "Failed",
                PodReplacement::TerminatingOrFailed => "TerminatingOrFailed",
            }
            .to_owned()
        }),
        success_policy: job.success_policy,
        suspend: job.suspend,
        template,
        ttl_seconds_after_finished: job.ttl_seconds_after_finished,
        ..JobSpec::default()
    }
}
