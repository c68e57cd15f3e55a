//! What the cluster tells about a source.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the cluster tells about a source; it follows kstatus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NiphasSourceStatus {
    /// The `metadata.generation` that this status is about; -1 before the service has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the Git host sends webhooks, below the service's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
    /// The value of the annotation `niphas.io/retry` that was acted upon last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_retry: Option<String>,
    /// How far the last push has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revisions: Option<Revisions>,
    /// What the commit has that was rendered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// The pull request that proposes what was rendered last, where `target.mode` is `PullRequest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// The builds of the last push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<Counts>,
    /// The first build that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_build: Option<FailedBuild>,
    /// `Ready`, `Reconciling` and `Stalled`, as kstatus has them, and `Fetched`, `Evaluated`, `Built` and `Rendered`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last pushes, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<Run>,
    /// The pull requests that are open and were evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
    pub pull_requests: Vec<PullRequestRun>,
}

/// Commits of the flake's branch, each the last that has come so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revisions {
    /// That the branch was seen at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// That was evaluated without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<String>,
    /// All of whose closures are in a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<String>,
    /// Whose files are in the GitOps repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}

/// What a commit of the flake has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// Environments.
    pub environments: i32,
    /// Workloads of all environments.
    pub workloads: i32,
}

/// A pull request of the GitOps repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Its number.
    pub number: i64,
    /// The commit that it proposes.
    pub commit: String,
    /// Where people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Builds of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Those that wait for inputs, or for a pod.
    pub waiting: i32,
    /// Those that run.
    pub running: i32,
    /// Those that ended well.
    pub succeeded: i32,
    /// Those that failed, or were not tried because one that they need failed.
    pub failed: i32,
}

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedBuild {
    /// The derivation.
    pub derivation: String,
    /// Why, in a sentence.
    pub message: String,
    /// Where its log is, below the service's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_path: Option<String>,
}

/// What became of one push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The commit of the flake's repository.
    pub revision: String,
    /// When it was seen.
    pub start_time: Time,
    /// When it ended; it goes on while this is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The commit in the GitOps repository, if there was something to commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "descriptions would split the enum's schema")]
pub enum RunResult {
    Rendered,
    Unchanged,
    EvaluationFailed,
    BuildFailed,
    RenderFailed,
    Superseded,
}

/// What became of a pull request's last commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestRun {
    /// Its number.
    pub number: i64,
    /// Its last commit that was evaluated.
    pub revision: String,
    /// How that ended; it goes on while this is not there. `Rendered` means that files would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
