//! Workloads that come to an end.

use k8s_openapi::api::batch::v1::{PodFailurePolicy, SuccessPolicy};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a Job runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.completionMode) || self.completionMode != 'Indexed' || has(self.completions)"
).message("the completionMode Indexed needs completions").field_path(".completions"))]
#[x_kube(validation = Rule::new(
    "(!has(self.backoffLimitPerIndex) && !has(self.successPolicy)) || (has(self.completionMode) && self.completionMode == 'Indexed')"
).message("backoffLimitPerIndex and successPolicy need the completionMode Indexed").field_path(".completionMode"))]
#[x_kube(validation = Rule::new(
    "!has(self.maxFailedIndexes) || has(self.backoffLimitPerIndex)"
).message("maxFailedIndexes needs backoffLimitPerIndex").field_path(".maxFailedIndexes"))]
pub struct Job {
    /// How many pods have to succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub completions: Option<i32>,
    /// How many pods run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub parallelism: Option<i32>,
    /// How often failed pods are tried again before the Job has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_limit: Option<i32>,
    /// How often the pod of one index is tried again before the index has failed; for the completionMode `Indexed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_limit_per_index: Option<i32>,
    /// How many indexes may fail before the Job has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_failed_indexes: Option<i32>,
    /// `Indexed` gives each pod a number of its own, in `JOB_COMPLETION_INDEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_mode: Option<CompletionMode>,
    /// What failed pods mean, by exit code or condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_failure_policy: Option<PodFailurePolicy>,
    /// When a pod is replaced: when it is `Failed`, or when it ends (`TerminatingOrFailed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_replacement_policy: Option<PodReplacement>,
    /// When an indexed Job has succeeded before all of its pods have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_policy: Option<SuccessPolicy>,
    /// Whether the Job waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// The longest that the Job may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// For how long a Job of a CronJob stays when it has ended, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// When a CronJob runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronJob {
    /// When, as cron writes it.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = (
        "!self.contains('TZ=')",
        "the time zone of a schedule goes into timeZone",
    ))]
    #[x_kube(validation = (
        "self.matches('^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every .+|(TZ|CRON_TZ)=.*| *[^ @]+( +[^ ]+){4} *)$')",
        "expected five fields (minute, hour, day, month, weekday), or one of @yearly, @monthly, @weekly, @daily, @hourly and @every",
    ))]
    pub schedule: String,
    /// The time zone of the schedule, as the IANA database names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = "^[A-Za-z0-9_+/-]+$"))]
    pub time_zone: Option<String>,
    /// What happens when the run before has not ended.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How late a run may start, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub starting_deadline_seconds: Option<i64>,
    /// Whether no further run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How many runs that succeeded are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub successful_jobs_history_limit: Option<i32>,
    /// How many runs that failed are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failed_jobs_history_limit: Option<i32>,
}

/// What happens when the run before has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum ConcurrencyPolicy {
    #[default]
    Allow,
    Forbid,
    Replace,
}

/// Whether the pods of a Job have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum CompletionMode {
    Indexed,
    NonIndexed,
}

/// When a pod of a Job is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "Kubernetes' words; descriptions would split the enum's schema"
)]
pub enum PodReplacement {
    Failed,
    TerminatingOrFailed,
}
