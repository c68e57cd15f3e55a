//! What has to change in the cluster: a pure function of what is declared and what is there.

use std::collections::HashMap;

use kube::core::DynamicObject;

use crate::child::{Child, ChildKey, number};
use crate::kinds::Kind;

/// A child as it was applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// A number for the object that was sent.
    pub(crate) wanted: u64,
    /// The UID of the object that came back.
    pub(crate) uid: String,
    /// Which of its fields were ours then.
    pub(crate) own_fields: Option<u64>,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// To make an object that is not there.
    Create {
        key: ChildKey,
        object: DynamicObject,
    },
    /// To bring an object to what is declared.
    Apply {
        key: ChildKey,
        uid: String,
        object: DynamicObject,
        /// The number of pods, if declaring it ends: it must not fall to the default.
        keep_replicas: Option<i32>,
    },
    /// To remove an object that is declared no more.
    Delete { key: ChildKey, uid: String },
}

/// What to do with a workload's children.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) steps: Vec<Step>,
    /// Wanted, and there already without belonging to the workload: not touched.
    pub(crate) foreign: Vec<ChildKey>,
    /// Wanted, and there still from before: to be made when it is gone.
    pub(crate) leaving: Vec<ChildKey>,
}

/// Compares the children that are wanted with those that are there.
///
/// `owner` is the workload's UID; `live` has all objects with the workload's label. `applied` tells what was recorded when
/// a child was applied last: as long as the same is declared, and its fields are still ours, it is not applied again.
pub(crate) fn plan(
    owner: &str,
    wanted: Vec<DynamicObject>,
    live: &[Child],
    applied: &HashMap<ChildKey, Applied>,
) -> Plan {
    let mut plan = Plan::default();
    let mut keys = Vec::new();
    for object in wanted {
        let Some(key) = key(&object) else { continue };
        keys.push(key.clone());
        match live.iter().find(|child| child.key == key) {
            None => plan.steps.push(Step::Create { key, object }),
            Some(child) if !child.is_controlled_by(owner) => plan.foreign.push(key),
            Some(child) if child.is_deleting => plan.leaving.push(key),
            Some(child) => {
                let done = Applied {
                    wanted: fingerprint(&object),
                    uid: child.uid.clone(),
                    own_fields: child.own_fields,
                };
                if applied.get(&key) != Some(&done) {
                    let says_replicas = !object.data["spec"]["replicas"].is_null();
                    plan.steps.push(Step::Apply {
                        key,
                        uid: child.uid.clone(),
                        object,
                        keep_replicas: child.own_replicas.filter(|_| !says_replicas),
                    });
                }
            }
        }
    }
    let dropped = live
        .iter()
        .filter(|child| child.is_controlled_by(owner) && !child.is_deleting)
        .filter(|child| !keys.contains(&child.key));
    plan.steps.extend(dropped.map(|child| Step::Delete {
        key: child.key.clone(),
        uid: child.uid.clone(),
    }));
    plan
}

/// Whether there is nothing to do: what [`plan`] says without the objects themselves, from their fingerprints.
pub(crate) fn is_done(
    owner: &str,
    wanted: &[(ChildKey, u64)],
    live: &[Child],
    applied: &HashMap<ChildKey, Applied>,
) -> bool {
    let is_as_applied = |(key, fingerprint): &(ChildKey, u64)| {
        live.iter().any(|child| {
            let done = Applied {
                wanted: *fingerprint,
                uid: child.uid.clone(),
                own_fields: child.own_fields,
            };
            child.key == *key
                && child.is_controlled_by(owner)
                && !child.is_deleting
                && applied.get(key) == Some(&done)
        })
    };
    let is_wanted = |child: &Child| wanted.iter().any(|(key, _)| *key == child.key);
    let mut own = live
        .iter()
        .filter(|child| child.is_controlled_by(owner) && !child.is_deleting);
    wanted.iter().all(is_as_applied) && own.all(is_wanted)
}

/// A number for all that is declared of an object.
pub(crate) fn fingerprint(object: &DynamicObject) -> u64 {
    number(&serde_json::to_string(object).unwrap_or_default())
}

/// The key of an object to make. None if the table of kinds lacks its kind, which a test forbids.
pub(crate) fn key(object: &DynamicObject) -> Option<ChildKey> {
    Some(ChildKey {
        kind: Kind::named(&object.types.as_ref()?.kind)?,
        name: object.metadata.name.clone()?,
    })
}

#[cfg(test)]
mod tests;
