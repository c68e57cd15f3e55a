//! What the operator keeps in mind of an object that is there: little, for there are many.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use niphas_api::WORKLOAD_LABEL;
use serde::Deserialize;

use crate::FIELD_MANAGER;
use crate::kinds::Kind;
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
    /// It is to be gone soon.
    pub(crate) is_deleting: bool,
    /// A number for which fields are ours. Whoever changes the value of one takes it from us, so the number changes.
    pub(crate) own_fields: Option<u64>,
    /// The number of pods that is declared, if declaring it is ours.
    pub(crate) own_replicas: Option<i32>,
    /// How far its pods are, if it makes pods.
    pub(crate) rollout: Option<Rollout>,
}

/// An object as the API server gives it, less what the operator does not look at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    metadata: ObjectMeta,
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
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Child {
    /// Of an object that makes pods.
    pub(crate) fn maker(kind: &'static Kind, seen: &Seen) -> Self {
        let mut child = Self::new(kind, &seen.metadata);
        let generation = seen.metadata.generation;
        child.rollout = rollout::rollout(kind, generation, &seen.spec, &seen.status);
        if own_entry(&seen.metadata).is_some_and(|fields| !fields["f:spec"]["f:replicas"].is_null())
        {
            child.own_replicas = seen.spec.replicas;
        }
        child
    }

    /// Of an object whose metadata is all that matters.
    pub(crate) fn new(kind: &'static Kind, metadata: &ObjectMeta) -> Self {
        let owners = metadata.owner_references.iter().flatten();
        let version = metadata.resource_version.as_deref();
        Self {
            key: ChildKey {
                kind,
                name: metadata.name.clone().unwrap_or_default(),
            },
            uid: metadata.uid.clone().unwrap_or_default(),
            version: version.and_then(|version| version.parse().ok()),
            controller: owners
                .filter(|owner| owner.controller == Some(true))
                .map(|owner| owner.uid.clone())
                .next(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            own_fields: own_entry(metadata).map(|fields| number(&fields.to_string())),
            own_replicas: None,
            rollout: None,
        }
    }

    /// Of an answer of the API server.
    pub(crate) fn of(kind: &'static Kind, seen: &Seen) -> Self {
        if kind.makes_pods {
            Self::maker(kind, seen)
        } else {
            Self::new(kind, &seen.metadata)
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

/// The fields that were applied by the operator and are its own still.
fn own_entry(metadata: &ObjectMeta) -> Option<&serde_json::Value> {
    let entries = metadata.managed_fields.iter().flatten();
    entries
        .filter(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
                && entry.subresource.is_none()
        })
        .find_map(|entry| entry.fields_v1.as_ref().map(|fields| &fields.0))
}

/// A number for a text.
pub(crate) fn number(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
