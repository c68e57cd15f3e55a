//! An object's metadata, less what the operator does not look at.
//!
//! Read without keeping the rest for a moment: whatever an object of another's holds, a few hundred bytes come of it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use niphas_api::{SUSPEND_ANNOTATION, WORKLOAD_LABEL};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::FIELD_MANAGER;

/// What is kept of an object's metadata.
#[derive(Debug, Clone)]
pub(crate) struct SeenMetadata {
    /// Names, versions, times; of the labels, annotations and owners those that the operator looks at.
    pub(crate) kept: ObjectMeta,
    /// The fields that were applied by the operator and are its own still.
    pub(crate) own_fields: Option<OwnFields>,
}

impl<'de> Deserialize<'de> for SeenMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Metadata::deserialize(deserializer)?;
        let label = read.labels.and_then(|labels| labels.workload);
        let annotation = read.annotations.and_then(|annotations| annotations.suspend);
        let kept = ObjectMeta {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            deletion_timestamp: read.deletion_timestamp,
            labels: label.map(|name| [(WORKLOAD_LABEL.to_owned(), name)].into()),
            annotations: annotation.map(|value| [(SUSPEND_ANNOTATION.to_owned(), value)].into()),
            owner_references: read.owner_references.0.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        let own_fields = read.managed_fields.0;
        Ok(Self { kept, own_fields })
    }
}

/// The metadata alone, for types of which it is a field.
pub(crate) fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    Ok(SeenMetadata::deserialize(deserializer)?.kept)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<Time>,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    owner_references: Controller,
    managed_fields: Managed,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "niphas.io/workload")]
    workload: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "niphas.io/suspend")]
    suspend: Option<String>,
}

/// The owner that controls an object.
#[derive(Default)]
struct Controller(Option<OwnerReference>);

impl<'de> Deserialize<'de> for Controller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_controller = |owner: &OwnerReference| owner.controller == Some(true);
        deserializer
            .deserialize_any(First::such_that(is_controller))
            .map(Self)
    }
}

/// The fields of an object's entry of the operator.
#[derive(Default)]
struct Managed(Option<OwnFields>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManagedEntry {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    subresource: Option<IgnoredAny>,
    fields_v1: Option<OwnFields>,
}

impl<'de> Deserialize<'de> for Managed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_own = |entry: &ManagedEntry| {
            entry.manager == FIELD_MANAGER
                && entry.operation == "Apply"
                && entry.subresource.is_none()
        };
        let entry = deserializer.deserialize_any(First::such_that(is_own))?;
        Ok(Self(entry.and_then(|entry| entry.fields_v1)))
    }
}

/// The first element of a sequence that a function holds for.
struct First<T, F> {
    is_it: F,
    of: PhantomData<T>,
}

impl<T, F: Fn(&T) -> bool> First<T, F> {
    fn such_that(is_it: F) -> Self {
        let of = PhantomData;
        Self { is_it, of }
    }
}

impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> Visitor<'de> for First<T, F> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Option<T>, A::Error> {
        let mut first = None;
        while let Some(element) = sequence.next_element::<T>()? {
            if first.is_none() && (self.is_it)(&element) {
                first = Some(element);
            }
        }
        Ok(first)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// Which fields of an object a manager owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnFields {
    /// A number for all of them. Who changes the value of one takes it away, so the number changes.
    pub(crate) number: u64,
    /// Whether the number of pods is among them.
    pub(crate) has_replicas: bool,
}

impl<'de> Deserialize<'de> for OwnFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hasher = DefaultHasher::new();
        let mut has_replicas = false;
        let fields = Fields {
            hasher: &mut hasher,
            has_replicas: &mut has_replicas,
            depth: 0,
            is_spec: false,
        };
        fields.deserialize(deserializer)?;
        Ok(Self {
            number: hasher.finish(),
            has_replicas,
        })
    }
}

/// Reads a tree of fields without keeping it.
struct Fields<'a> {
    hasher: &'a mut DefaultHasher,
    has_replicas: &'a mut bool,
    depth: usize,
    /// Whether these are fields of the object's `spec`.
    is_spec: bool,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            (self.depth, &name).hash(self.hasher);
            *self.has_replicas |= self.depth == 1 && self.is_spec && name == "f:replicas";
            map.next_value_seed(Fields {
                hasher: &mut *self.hasher,
                has_replicas: &mut *self.has_replicas,
                depth: self.depth + 1,
                is_spec: self.depth == 0 && name == "f:spec",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(metadata: serde_json::Value) -> SeenMetadata {
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn what_the_operator_looks_at_is_kept_and_the_rest_is_not() {
        let seen = read(json!({
            "name": "web", "namespace": "shop", "uid": "7", "resourceVersion": "3", "generation": 2,
            "labels": { "niphas.io/workload": "web", "other": "label" },
            "annotations": { SUSPEND_ANNOTATION: "true", "large": "x".repeat(1000) },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "A", "name": "not", "uid": "1" },
                { "apiVersion": "v1", "kind": "A", "name": "it", "uid": "2", "controller": true },
            ],
            "finalizers": ["some"],
        }));
        assert_eq!(
            serde_json::to_value(&seen.kept).unwrap(),
            json!({
                "name": "web", "namespace": "shop", "uid": "7", "resourceVersion": "3", "generation": 2,
                "labels": { "niphas.io/workload": "web" },
                "annotations": { "niphas.io/suspend": "true" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "A", "name": "it", "uid": "2", "controller": true },
                ],
            })
        );
        assert_eq!(seen.own_fields, None);
        assert!(
            read(json!({ "labels": null, "ownerReferences": null }))
                .kept
                .labels
                .is_none()
        );
    }

    #[test]
    fn own_fields_are_those_that_the_operator_applied() {
        let own = |manager: &str, operation: &str, fields: serde_json::Value| {
            let entry = json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
            read(json!({ "managedFields": [entry] })).own_fields
        };
        let replicas = json!({ "f:spec": { "f:replicas": {} } });
        let all = own("niphas-operator", "Apply", replicas.clone()).unwrap();
        assert!(all.has_replicas);
        assert_eq!(own("niphas-operator", "Update", replicas.clone()), None);
        assert_eq!(own("kubectl", "Apply", replicas), None);
        let elsewhere = json!({ "f:spec": { "f:template": { "f:replicas": {} } } });
        let elsewhere = own("niphas-operator", "Apply", elsewhere).unwrap();
        assert!(!elsewhere.has_replicas);
        assert_ne!(elsewhere.number, all.number);
        // Where a field stands matters.
        let number = |fields| own("niphas-operator", "Apply", fields).unwrap().number;
        assert_ne!(
            number(json!({ "f:a": { "f:b": {} }, "f:c": {} })),
            number(json!({ "f:a": { "f:b": {}, "f:c": {} } }))
        );
    }
}
