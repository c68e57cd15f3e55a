//! The Job of a derivation. Pure.

mod names;
mod placement;
mod pod;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use niphas_api::{ClosureDigest, Roots, VolumeAttributes};
use nix_builder::plan::Build;
use nix_formats::StorePath;
use nix_formats::derivation::{DerivationError, DerivationKind};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::inputs::derivation_name;
use crate::policy::{Policy, Resources};

pub(crate) use names::annotation;
pub use names::{
    APP_LABEL, ATTEMPT_ANNOTATION, Attempt, DERIVATION_ANNOTATION, DERIVATION_LABEL,
    FAILURE_ANNOTATION, FIELD_MANAGER, ForeignJob, JobIdentity, MANAGER_LABEL, MEMBERS_ANNOTATION,
    MEMORY_ANNOTATION, NETWORK_LABEL, RETRY_ANNOTATION, SYSTEM_LABEL, job_name,
};
pub use placement::BUILTIN;
use placement::Placement;
pub(crate) use pod::build_memory;
pub use pod::{AGENT, CA_FILE, CONTAINER, TOKEN_FILE, WORK_FOLDER};

/// What is the same for all Jobs of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The namespace of all Jobs of builds.
    pub namespace: String,
    /// The image with the agent.
    pub image: String,
    /// When the image is pulled.
    #[serde(default = "if_not_present")]
    pub image_pull_policy: String,
    /// Where the agent reaches the service: its URL.
    pub service: String,
    /// The `ConfigMap` whose `ca.crt` has the certificates that the service is verified by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<String>,
    /// The ServiceAccount of the pods. It needs no rights.
    pub service_account: String,
    /// Whom the pods' tokens are for: the service, and nothing else.
    pub audience: String,
    /// The seccomp profile that lets builds be isolated, below the folder of kubelet's profiles.
    pub seccomp_profile: String,
    /// `/bin/sh` of sandboxes: a static program in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// The priority of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// What the Jobs are removed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerReference>,
}

fn if_not_present() -> String {
    "IfNotPresent".to_owned()
}

/// What a Job builds.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// The derivation.
    pub build: &'a Build,
    /// Those that are built before it in the same pod, in order.
    pub members: &'a [&'a Build],
    /// The closure of their inputs. None: they have none.
    pub inputs: Option<InputClosure<'a>>,
    /// Which attempt it is.
    pub attempt: Attempt,
}

/// The closure of the inputs of a build.
#[derive(Debug, Clone, Copy)]
pub struct InputClosure<'a> {
    /// The path that refers to all of them: that of [`Inputs`](crate::inputs::Inputs).
    pub root: &'a StorePath,
    /// The digest of its closure.
    pub digest: &'a ClosureDigest,
}

/// A derivation that is not built here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedBuild {
    /// No node has its system.
    #[error("no node builds for the system '{0}'")]
    System(String),
    /// No node has a feature.
    #[error(
        "it requires the system feature '{0}', which no node is known to have: name it under features in the policy of builds"
    )]
    Feature(String),
    /// A node would need two values of a label.
    #[error("it needs nodes with the label {label}={} and {label}={}", values[0], values[1])]
    Contradiction {
        /// The label.
        label: String,
        /// The values.
        values: [String; 2],
    },
    /// It is none that can be built.
    #[error("the derivation is not valid")]
    Derivation(#[from] DerivationError),
    /// It would be built without a sandbox.
    #[error("it asks to be built without a sandbox (__noChroot), which is never done here")]
    NoSandbox,
}

/// The system that a build is for.
pub fn system(build: &Build) -> String {
    if build.derivation.builder.starts_with(b"builtin:") {
        return BUILTIN.to_owned();
    }
    String::from_utf8_lossy(&build.derivation.platform).into_owned()
}

/// What a build requires of its machine.
pub fn required_features(build: &Build) -> Result<BTreeSet<String>, DerivationError> {
    Ok(build.options.required_features(build.derivation.kind()?))
}

/// The Job of a derivation. Its name is the lock of the derivation; its pod has the inputs mounted, and nothing secret but a token by
/// which the service knows it.
pub fn job(work: &Work<'_>, policy: &Policy, settings: &Settings) -> Result<Job, RefusedBuild> {
    let build = work.build;
    let all = || work.members.iter().copied().chain([build]);
    let mut features = BTreeSet::new();
    let mut has_network = false;
    for build in all() {
        if build.options.no_chroot {
            return Err(RefusedBuild::NoSandbox);
        }
        features.extend(required_features(build)?);
        let kind = build.derivation.kind()?;
        has_network |= matches!(kind, DerivationKind::FixedOutput | DerivationKind::Impure);
    }
    let system = shared_system(all());
    let placement = Placement::of(&system, &features, policy)?;
    let name = derivation_name(&build.path);
    let mut resources = policy.resources(name, &features);
    if let Some(memory) = work.attempt.memory {
        resources.memory = memory.max(resources.memory);
    }
    let labels = names::labels(&build.path, &system, has_network);
    let volume = work.inputs.map(|inputs| volume(&placement, inputs));
    let template = pod::template(&pod::Parts {
        name: build.path.hash_part().to_owned(),
        labels: labels.clone(),
        placement,
        volume,
        resources: &resources,
        settings,
    });
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(job_name(&build.path)),
            namespace: Some(settings.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations(work)),
            owner_references: settings.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(deadline(&resources, policy)),
            backoff_limit: Some(i32::try_from(policy.replacements).unwrap_or(i32::MAX)),
            completions: Some(1),
            parallelism: Some(1),
            pod_failure_policy: Some(failure_policy()),
            // A failure that is remembered lives longer: see `executor`.
            ttl_seconds_after_finished: Some(lifetime(policy.keep_built)),
            // Never two pods of one derivation at a time.
            pod_replacement_policy: Some("Failed".to_owned()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// The system that one pod builds all for.
fn shared_system<'a>(builds: impl DoubleEndedIterator<Item = &'a Build>) -> String {
    let specific = builds.rev().map(system).find(|system| system != BUILTIN);
    specific.unwrap_or_else(|| BUILTIN.to_owned())
}

fn annotations(work: &Work<'_>) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> = [
        (
            DERIVATION_ANNOTATION,
            work.build.path.base_name().to_owned(),
        ),
        (ATTEMPT_ANNOTATION, work.attempt.number.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if !work.members.is_empty() {
        let members: Vec<&str> = work.members.iter().map(|it| it.path.base_name()).collect();
        annotations.insert(MEMBERS_ANNOTATION.to_owned(), members.join(" "));
    }
    if let Some(memory) = work.attempt.memory {
        annotations.insert(MEMORY_ANNOTATION.to_owned(), memory.to_string());
    }
    annotations
}

/// The volume's attributes: each system that a node may have leads to the same closure.
fn volume(placement: &Placement, inputs: InputClosure<'_>) -> BTreeMap<String, String> {
    let attributes = VolumeAttributes {
        roots: Roots::from(inputs.root.clone()),
        digest: *inputs.digest,
    };
    let systems = placement.node_systems.iter();
    systems
        .flat_map(|system| attributes.encode(system))
        .collect()
}

/// Seconds after which a Job ends whatever happens: its pods, as often as they may be replaced, have had their time.
fn deadline(resources: &Resources, policy: &Policy) -> i64 {
    let pods = i64::from(policy.replacements) + 1;
    let pod = pod::deadline(resources).saturating_add(seconds(policy.pending_timeout));
    pod.saturating_mul(pods)
}

/// How long a finished Job is kept, as its spec has it.
pub(crate) fn lifetime(duration: niphas_api::source::Duration) -> i32 {
    i32::try_from(seconds(duration)).unwrap_or(i32::MAX)
}

fn seconds(duration: niphas_api::source::Duration) -> i64 {
    i64::try_from(duration.as_std().as_secs()).unwrap_or(i64::MAX)
}

/// Evictions count for nothing, builds that cannot come out otherwise end the Job, and after anything else the pod is replaced, as
/// often as the policy says.
fn failure_policy() -> PodFailurePolicy {
    let disrupted = PodFailurePolicyOnPodConditionsPattern {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
    };
    let is_final = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.to_owned()),
        operator: "In".to_owned(),
        values: Exit::final_codes(),
    };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![disrupted]),
                ..PodFailurePolicyRule::default()
            },
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(is_final),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}
