//! What the operator keeps in mind of an object that is there: little, for there are many.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use niphas_api::WORKLOAD_LABEL;
use serde::Deserialize;

use crate::kinds::Kind;
use crate::metadata::SeenMetadata;
use crate::rollout::{self, MakerSpec, MakerStatus, Rollout};

/// What a child is called: its kind and its name, in the workload's namespace.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChildKey {
    pub(crate) kind: &'static Kind,
    pub(crate) name: String,
}

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind.name, self.name)
    }
}

impl fmt::Debug for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Child {
    pub(crate) key: ChildKey,
    pub(crate) uid: String,
    /// Grows with each change; none if the API server does not count in numbers.
    pub(crate) version: Option<u64>,
    /// The UID of the object that controls it.
    pub(crate) controller: Option<String>,
    /// The names of the workloads that it concerns: the one of its label, and the one that controls it.
    pub(crate) workloads: Vec<String>,
    /// Whether it is being deleted.
    pub(crate) is_deleting: bool,
    /// A number for which fields are ours. Another manager that changes the value of one takes it from us, so the number changes.
    pub(crate) own_fields: Option<u64>,
    /// The number of pods that is declared, if declaring it is ours.
    pub(crate) own_replicas: Option<i32>,
    /// How far its pods are, if it makes pods.
    pub(crate) rollout: Option<Rollout>,
}

/// An object as the API server gives it, less what the operator does not look at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    metadata: SeenMetadata,
    #[serde(default)]
    spec: MakerSpec,
    #[serde(default)]
    status: MakerStatus,
}

impl Resource for Seen {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata.kept
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata.kept
    }
}

impl Child {
    /// Of an object as it was seen.
    pub(crate) fn of(kind: &'static Kind, seen: &Seen) -> Self {
        let SeenMetadata { kept, own_fields } = &seen.metadata;
        let version = kept.resource_version.as_deref();
        let mut owners = kept.owner_references.iter().flatten();
        let controller = owners.next();
        let names = workload_of(kept).into_iter();
        let mut workloads: Vec<String> = names
            .chain(controller.map(|owner| owner.name.as_str()))
            .map(str::to_owned)
            .collect();
        workloads.dedup();
        let own_replicas = own_fields.as_ref().is_some_and(|own| own.has_replicas);
        Self {
            key: ChildKey {
                kind,
                name: kept.name.clone().unwrap_or_default(),
            },
            uid: kept.uid.clone().unwrap_or_default(),
            version: version.and_then(|version| version.parse().ok()),
            controller: controller.map(|owner| owner.uid.clone()),
            workloads,
            is_deleting: kept.deletion_timestamp.is_some(),
            own_fields: own_fields.as_ref().map(|own| own.number),
            own_replicas: seen.spec.replicas.filter(|_| own_replicas),
            rollout: rollout::rollout(kind, kept.generation, &seen.spec, &seen.status),
        }
    }

    pub(crate) fn is_controlled_by(&self, owner: &str) -> bool {
        self.controller.as_deref() == Some(owner)
    }
}

/// The workload that an object says it belongs to.
pub(crate) fn workload_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .labels
        .as_ref()?
        .get(WORKLOAD_LABEL)
        .map(String::as_str)
}

/// A number for a text.
pub(crate) fn number(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
