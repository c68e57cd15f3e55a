//! `NiphasSource`: a repository whose pushes are evaluated, built and rendered in the cluster.

mod duration;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use duration::{BadDuration, Duration};
pub use status::{
    Contents, Counts, FailedBuild, NiphasSourceStatus, Proposal, PullRequestRun, Revisions, Run,
    RunResult,
};

use crate::workload::{SUBDOMAIN, System};

/// A repository with a flake, and where its rendered environments go.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "niphas.io",
    version = "v1alpha1",
    kind = "NiphasSource",
    namespaced,
    shortname = "nsrc",
    category = "niphas",
    doc = "A repository with a flake: each push is evaluated, built, and rendered into a GitOps repository.",
    status = "NiphasSourceStatus",
    derive = "PartialEq",
    validation = (
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "metadata.name must be an RFC 1123 label: at most 63 lower-case letters, digits and '-'",
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the last push is rendered"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is, or is not"
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.revisions.rendered",
        description = "The commit that was rendered last"
    ),
    printcolumn(
        name = "To build",
        type_ = "integer",
        json_path = ".status.builds.waiting",
        description = "Derivations that are yet to be built"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "The same in a sentence",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.flake.url != self.target.url || self.flake.branch != self.target.branch || (has(self.webhook) && has(self.webhook.paths))"
).message("the flake is on the branch that is rendered to, so each commit would cause the next: name another branch, or the paths that count in webhook.paths").field_path(".target"))]
#[x_kube(validation = Rule::new(
    "!has(self.target.mode) || self.target.mode != 'PullRequest' || (has(self.target.provider) ? self.target.provider != 'generic' : has(self.webhook) && self.webhook.provider != 'generic')"
).message("target.mode PullRequest needs a Git host that has pull requests: name it in target.provider").field_path(".target"))]
#[x_kube(validation = Rule::new(
    "!has(self.pullRequests) || (has(self.webhook) && self.webhook.provider != 'generic')"
).message("pullRequests needs a webhook of a Git host that has them: it tells of them").field_path(".pullRequests"))]
pub struct NiphasSourceSpec {
    /// The flake.
    pub flake: Flake,

    /// The environments that are rendered; left out, all that the flake has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub environments: Option<Vec<String>>,

    /// Where the rendered files go.
    pub target: Target,

    /// How often the branch is looked at besides webhooks.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = (
        "duration(self) >= duration('10s')",
        "interval is at least 10s: each look asks the Git host",
    ))]
    pub interval: Duration,

    /// The webhook of the Git host. Without it, the branch is only looked at from time to time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,

    /// What happens with pull requests of the flake's repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_requests: Option<PullRequests>,

    /// How what caches lack is built.
    #[serde(default)]
    pub build: BuildPolicy,

    /// Nothing is evaluated while this is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// A flake in a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flake {
    /// The repository: `https://…` or `ssh://…`.
    #[schemars(length(max = 2048), regex(pattern = REPOSITORY))]
    pub url: String,
    /// The branch.
    #[schemars(length(min = 1, max = 255), regex(pattern = BRANCH))]
    pub branch: String,
    /// The folder of `flake.nix` in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = FOLDER))]
    pub dir: Option<String>,
    /// The Secret with the login: `username` and `password`, `token`, or `identity` and `known_hosts`. Of it comes the login for the
    /// API of the Git host, too: for statuses and pull requests, beside an SSH key a `token` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// A branch of a GitOps repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The repository: `https://…` or `ssh://…`.
    #[schemars(length(max = 2048), regex(pattern = REPOSITORY))]
    pub url: String,
    /// The branch.
    #[schemars(length(min = 1, max = 255), regex(pattern = BRANCH))]
    pub branch: String,
    /// The folder that environments are written to; left out, the repository itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = FOLDER))]
    pub dir: Option<String>,
    /// Whether changes are committed to the branch, or proposed to it.
    #[serde(default)]
    pub mode: TargetMode,
    /// The Secret with the login, as `flake.secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// The Git host, for pull requests; left out, it is that of `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
}

/// How changes reach a branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "descriptions would split the enum's schema")]
pub enum TargetMode {
    #[default]
    Commit,
    PullRequest,
}

/// A Secret of the source's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: String,
}

/// An entry of a Secret of the source's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// The entry.
    #[serde(default = "secret")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn secret() -> String {
    "secret".to_owned()
}

/// A webhook of a Git host. Its address is in `status.webhookPath`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The Git host.
    pub provider: Provider,
    /// The secrets that sign webhooks. Two count while one replaces another.
    #[schemars(length(min = 1, max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub secret_refs: Vec<SecretKeyReference>,
    /// A push counts if it changes a file that one of these patterns matches: `*` stands for a part of a name, `**` for folders. Left
    /// out, every push does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub paths: Option<Vec<String>>,
}

/// A Git host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "names of products; descriptions would split the enum's schema"
)]
pub enum Provider {
    #[serde(rename = "github")]
    GitHub,
    #[serde(rename = "gitlab")]
    GitLab,
    Gitea,
    Forgejo,
    Bitbucket,
    BitbucketServer,
    Generic,
}

/// What happens with pull requests: they are evaluated and built, and the report is written to them. Nothing is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullRequests {
    /// Whose pull requests: `Repository`, of branches of the repository itself; `Approved`, those of forks, too, whose last commit was
    /// approved: by a review of a person who may write to the repository, or by the label.
    pub from: PullRequestOrigin,
    /// The label that approves the commit which is the last one when it is set, at hosts that tell of that: GitHub and GitLab.
    #[serde(default = "label")]
    #[schemars(length(min = 1, max = 64))]
    pub label: String,
}

fn label() -> String {
    "niphas-build".to_owned()
}

/// Whose pull requests are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "descriptions would split the enum's schema")]
pub enum PullRequestOrigin {
    Repository,
    Approved,
}

/// How what caches lack is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildPolicy {
    /// Whether anything is built. If not, a path that caches lack is an error.
    #[serde(default)]
    pub mode: BuildMode,
    /// The systems that are built for; left out, those of the environments that nodes of the cluster have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub systems: Option<Vec<System>>,
    /// The longest that one build may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The longest that one build may be silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_silent_time: Option<Duration>,
    /// The most builds of this source at one time; the administrator may allow fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_jobs: Option<i32>,
}

/// Whether anything is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "descriptions would split the enum's schema")]
pub enum BuildMode {
    #[default]
    Missing,
    Never,
}

/// No login in a URL, and nothing that Git or a shell takes for something else.
const REPOSITORY: &str =
    r"^(https|ssh)://([-A-Za-z0-9_.]+@)?[-A-Za-z0-9.]+(:[0-9]{1,5})?/[-A-Za-z0-9_.~/%+]+$";
const BRANCH: &str = r"^[A-Za-z0-9_]([-A-Za-z0-9_./+#]*[-A-Za-z0-9_+#])?$";
const FOLDER: &str = r"^[-A-Za-z0-9_+~]([-A-Za-z0-9_+~.]*)(/[-A-Za-z0-9_+~][-A-Za-z0-9_+~.]*)*$";
