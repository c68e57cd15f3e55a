//! What Jobs are called, and what they say of themselves: all the state there is of builds.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nix_formats::StorePath;

use crate::policy::Size;

/// What all Jobs of builds, and their pods, are called by.
pub const APP_LABEL: (&str, &str) = ("app.kubernetes.io/name", "niphas-build");

/// Who makes them.
pub const MANAGER_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

/// The name under which fields of objects are owned.
pub const FIELD_MANAGER: &str = "niphas-eval";

/// The label of a Job and its pods whose value is the hash part of the derivation's path.
pub const DERIVATION_LABEL: &str = "niphas.io/derivation";

/// The label of a Job and its pods whose value is the system that they build for.
pub const SYSTEM_LABEL: &str = "niphas.io/system";

/// The label of pods that run fixed-output or impure derivations, which have the network: all others need the service only.
pub const NETWORK_LABEL: &str = "niphas.io/build-network";

/// The annotation of a Job with the base name of its derivation.
pub const DERIVATION_ANNOTATION: &str = "niphas.io/derivation";

/// The annotation of a Job with the base names of the derivations that are built with it, in order, separated by spaces.
pub const MEMBERS_ANNOTATION: &str = "niphas.io/built-with";

/// The annotation of a Job that says which attempt it is, from 1.
pub const ATTEMPT_ANNOTATION: &str = "niphas.io/attempt";

/// The annotation of a Job that has more memory than the policy says, since it ran out of it before.
pub const MEMORY_ANNOTATION: &str = "niphas.io/memory";

/// The annotation by which a person has a failed build tried again: each new value once.
pub const RETRY_ANNOTATION: &str = "niphas.io/retry";

/// The annotation of a failed Job with the failure that is remembered.
pub const FAILURE_ANNOTATION: &str = "niphas.io/failure";

const NAME_PREFIX: &str = "niphas-build-";

/// The name of a derivation's Job. Who creates it has the lock of the derivation.
pub fn job_name(derivation: &StorePath) -> String {
    format!("{NAME_PREFIX}{}", derivation.hash_part())
}

/// How often a derivation was tried, and what it gets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Memory, if it is other than the policy says.
    pub memory: Option<Size>,
}

impl Attempt {
    /// The first.
    pub const FIRST: Self = Self {
        number: 1,
        memory: None,
    };
}

/// What a Job says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobIdentity {
    /// The derivation.
    pub derivation: StorePath,
    /// Those that are built with it, in order.
    pub members: Vec<StorePath>,
    /// The system that they are built for.
    pub system: String,
    /// Which attempt it is.
    pub attempt: Attempt,
}

/// A Job that is none of ours, though its name is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignJob {
    /// Labels that all of ours have.
    #[error("it lacks the label {0}")]
    Label(String),
    /// Another client wrote it.
    #[error("no field of its spec is owned by {FIELD_MANAGER}")]
    Manager,
    /// An annotation that all of ours have.
    #[error("its annotation {0} is missing, or says nothing that could be meant")]
    Annotation(&'static str),
    /// It is for another derivation than its name says.
    #[error("it says that it builds '{0}', whose Job has another name")]
    Derivation(StorePath),
}

/// Members of a Job that are read of its annotation.
const MAX_MEMBERS: usize = 1024;

impl JobIdentity {
    /// Reads what a Job says. Errors for one that others made.
    pub fn of(job: &Job) -> Result<Self, ForeignJob> {
        let metadata = &job.metadata;
        let label = |name: &str| metadata.labels.as_ref().and_then(|all| all.get(name));
        for (name, value) in [APP_LABEL, MANAGER_LABEL] {
            if label(name).is_none_or(|it| it != value) {
                return Err(ForeignJob::Label(format!("{name}={value}")));
            }
        }
        if !is_managed(metadata) {
            return Err(ForeignJob::Manager);
        }
        let derivation = annotation(metadata, DERIVATION_ANNOTATION)
            .and_then(|text| StorePath::from_base_name(text).ok())
            .ok_or(ForeignJob::Annotation(DERIVATION_ANNOTATION))?;
        let is_named = metadata.name.as_ref() == Some(&job_name(&derivation));
        let is_labelled = label(DERIVATION_LABEL).is_some_and(|it| it == derivation.hash_part());
        if !is_named || !is_labelled {
            return Err(ForeignJob::Derivation(derivation));
        }
        let members = annotation(metadata, MEMBERS_ANNOTATION).unwrap_or_default();
        let members = members.split_ascii_whitespace().take(MAX_MEMBERS);
        let members: Result<Vec<_>, _> = members.map(StorePath::from_base_name).collect();
        Ok(Self {
            members: members.map_err(|_| ForeignJob::Annotation(MEMBERS_ANNOTATION))?,
            system: label(SYSTEM_LABEL).cloned().unwrap_or_default(),
            attempt: attempt(metadata),
            derivation,
        })
    }
}

/// Whether we own the spec, as the server notes it of each write. A client can call itself what it wants, so this finds mistakes. Clients
/// that may write Jobs in the namespace of builds have to be trusted.
fn is_managed(metadata: &ObjectMeta) -> bool {
    let entries = metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| entry.fields_v1.as_ref())
        .any(|fields| fields.0.get("f:spec").is_some())
}

fn attempt(metadata: &ObjectMeta) -> Attempt {
    let number = annotation(metadata, ATTEMPT_ANNOTATION).and_then(|text| text.parse().ok());
    let memory = annotation(metadata, MEMORY_ANNOTATION).and_then(|text| text.parse().ok());
    Attempt {
        number: number.unwrap_or(1).max(1),
        memory,
    }
}

/// An annotation's value.
pub(crate) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

/// The labels of a Job and of its pods.
pub(super) fn labels(
    derivation: &StorePath,
    system: &str,
    has_network: bool,
) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = [APP_LABEL, MANAGER_LABEL]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    labels.insert(
        DERIVATION_LABEL.to_owned(),
        derivation.hash_part().to_owned(),
    );
    labels.insert(SYSTEM_LABEL.to_owned(), system.to_owned());
    if has_network {
        labels.insert(NETWORK_LABEL.to_owned(), "true".to_owned());
    }
    labels
}
