//! What has to change in the cluster: a pure function of what is wanted and what is there.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;
use kube::core::DynamicObject;
use niphas_api::NiphasWorkload;
use serde_json::Value;

/// What a child is called: its kind and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildKey {
    /// The kind, `Deployment` for instance.
    pub kind: String,
    /// The name, in the workload's namespace.
    pub name: String,
}

impl ChildKey {
    /// The key of an object.
    pub fn of(object: &DynamicObject) -> Self {
        Self {
            kind: kind(object).to_owned(),
            name: object.name_any(),
        }
    }
}

impl std::fmt::Display for ChildKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)
    }
}

/// The fingerprints of a child after it was applied: as it was wanted, and as the API server then had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Of the object that was sent.
    pub wanted: u64,
    /// Of the object that came back.
    pub live: u64,
}

/// What is to be done with a workload's children.
#[derive(Debug, Default)]
pub struct Plan {
    /// To apply, in this order.
    pub apply: Vec<DynamicObject>,
    /// To delete: owned by the workload, and not wanted any more.
    pub prune: Vec<DynamicObject>,
    /// Wanted, and there already without belonging to the workload: not touched.
    pub foreign: Vec<ChildKey>,
}

/// Compares the children that are wanted with those that are there.
///
/// `wanted` are the workload's [`children`](niphas_api::children); `live` are objects of its namespace, with their kinds. `applied` tells what was recorded for a child when it was applied last. A child is not applied again
/// as long as both fingerprints are those recorded.
pub fn plan(
    workload: &NiphasWorkload,
    wanted: Vec<DynamicObject>,
    live: &[DynamicObject],
    applied: impl Fn(&ChildKey) -> Option<Applied>,
) -> Plan {
    // Without a UID it is in no cluster yet, and owns nothing there.
    let owner = workload.metadata.uid.as_deref().unwrap_or_default();
    let mut plan = Plan::default();
    let keys: Vec<ChildKey> = wanted.iter().map(ChildKey::of).collect();
    for (object, key) in wanted.into_iter().zip(&keys) {
        match live.iter().find(|live| ChildKey::of(live) == *key) {
            Some(live) if !is_controlled_by(live, owner) => plan.foreign.push(key.clone()),
            Some(live)
                if applied(key)
                    == Some(Applied {
                        wanted: fingerprint(&object),
                        live: fingerprint(live),
                    }) => {}
            _ => plan.apply.push(object),
        }
    }
    plan.prune = live
        .iter()
        .filter(|live| is_controlled_by(live, owner) && live.metadata.deletion_timestamp.is_none())
        .filter(|live| !keys.contains(&ChildKey::of(live)))
        .cloned()
        .collect();
    plan
}

/// Whether an object's controller is the one with this UID.
pub fn is_controlled_by(object: &DynamicObject, owner: &str) -> bool {
    object
        .owner_references()
        .iter()
        .any(|reference| reference.controller == Some(true) && reference.uid == owner)
}

/// A number for all of an object that somebody may have declared: not its status, and not what the API
/// server counts.
pub fn fingerprint(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.metadata.labels.hash(&mut hasher);
    object
        .metadata
        .annotations
        .iter()
        .flatten()
        .for_each(|(name, value)| {
            // The deployment controller counts revisions there.
            if !name.starts_with("deployment.kubernetes.io/") {
                (name, value).hash(&mut hasher);
            }
        });
    for owner in object.owner_references() {
        (&owner.uid, owner.controller).hash(&mut hasher);
    }
    if let Value::Object(data) = &object.data {
        for (field, value) in data.iter().filter(|(field, _)| *field != "status") {
            // `Value` keeps its keys sorted, so equal values have equal text.
            (field, value.to_string()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The kind that an object says it has.
fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

#[cfg(test)]
mod tests {
    use niphas_api::{BASE_IMAGE, children};
    use serde_json::json;

    use super::*;

    fn workload() -> NiphasWorkload {
        serde_json::from_value(json!({
            "apiVersion": "niphas.io/v1alpha1", "kind": "NiphasWorkload",
            "metadata": { "name": "web", "namespace": "shop", "uid": "me" },
            "spec": {
                "closures": [{
                    "system": "x86_64-linux",
                    "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],
                    "digest": format!("sha256:{}", "0".repeat(64)),
                    "narSize": 1000,
                    "pathCount": 2,
                }],
                "command": ["/nix/root/bin/web"],
                "ports": { "http": { "port": 8080 } },
                "service": {},
            },
        }))
        .expect("a workload")
    }

    fn config_map(name: &str, owner: &str, value: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "ownerReferences": [{
                "apiVersion": "niphas.io/v1alpha1", "kind": "NiphasWorkload",
                "name": "web", "uid": owner, "controller": true,
            }]},
            "data": { "key": value },
        }))
        .expect("an object")
    }

    fn recorded(object: &DynamicObject) -> Applied {
        let fingerprint = fingerprint(object);
        Applied {
            wanted: fingerprint,
            live: fingerprint,
        }
    }

    #[test]
    fn nothing_is_applied_when_nothing_changed() {
        let object = config_map("web", "me", "a");
        let record = recorded(&object);
        let plan = plan(&workload(), vec![object.clone()], &[object], |_| {
            Some(record)
        });
        assert!(plan.apply.is_empty() && plan.prune.is_empty() && plan.foreign.is_empty());
    }

    #[test]
    fn a_child_that_somebody_edited_is_applied_again() {
        let wanted = config_map("web", "me", "a");
        let record = recorded(&wanted);
        let edited = config_map("web", "me", "b");
        let plan = plan(&workload(), vec![wanted.clone()], &[edited], |_| {
            Some(record)
        });
        assert_eq!(plan.apply, [wanted]);
    }

    #[test]
    fn what_another_owns_is_neither_applied_nor_pruned() {
        let wanted = config_map("web", "me", "a");
        let foreign = [
            config_map("web", "other", "a"),
            config_map("old", "other", "a"),
        ];
        let plan = plan(&workload(), vec![wanted.clone()], &foreign, |_| None);
        assert_eq!(plan.foreign, [ChildKey::of(&wanted)]);
        assert!(plan.apply.is_empty() && plan.prune.is_empty());
    }

    #[test]
    fn an_own_child_that_is_not_wanted_any_more_is_pruned() {
        let old = config_map("old", "me", "a");
        let plan = plan(&workload(), Vec::new(), std::slice::from_ref(&old), |_| {
            None
        });
        assert_eq!(plan.prune, [old]);
    }

    #[test]
    fn status_does_not_change_a_fingerprint() {
        let object = config_map("web", "me", "a");
        let mut with_status = object.clone();
        with_status.data["status"] = json!({ "ready": true });
        with_status.metadata.resource_version = Some("7".to_owned());
        assert_eq!(fingerprint(&object), fingerprint(&with_status));
    }

    #[test]
    fn the_children_of_a_workload_are_applied_in_their_order_and_then_left_alone() {
        let wanted = children(&workload(), BASE_IMAGE).expect("children");
        let first = plan(&workload(), wanted.clone(), &[], |_| None);
        assert_eq!(first.apply, wanted);

        let record = |key: &ChildKey| wanted.iter().find(|object| ChildKey::of(object) == *key);
        let again = plan(&workload(), wanted.clone(), &wanted, |key| {
            record(key).map(recorded)
        });
        assert!(again.apply.is_empty() && again.prune.is_empty() && again.foreign.is_empty());
    }
}
