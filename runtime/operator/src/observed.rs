//! What is in the cluster, as the watches tell it: children, pods that have not started, nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::child::{Child, ChildKey};
use crate::kinds::Kind;
use crate::pods::{MountFailure, PendingPod};

/// A workload's namespace and name.
pub(crate) type WorkloadKey = (String, String);

/// What is in the cluster. Shared: the watches write, reconciliations read.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    children: Mutex<Children>,
    pods: Mutex<Pods>,
    nodes: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
struct Children {
    /// By the workload that their label names.
    of: HashMap<WorkloadKey, HashMap<ChildKey, Child>>,
    /// Those of a kind that a new list has not named yet.
    unlisted: HashMap<&'static str, HashSet<(WorkloadKey, ChildKey)>>,
}

#[derive(Debug, Default)]
struct Pods {
    pending: HashMap<String, PendingPod>,
    unlisted: HashSet<String>,
    /// By the pod's UID.
    failures: HashMap<String, MountFailure>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observed {
    /// The children that are there of a workload.
    pub(crate) fn children_of(&self, workload: &WorkloadKey) -> Vec<Child> {
        let children = lock(&self.children);
        let of = children.of.get(workload).into_iter();
        of.flat_map(HashMap::values).cloned().collect()
    }

    /// A child is there, or changed. An older state than the known one is not news.
    pub(crate) fn child_seen(&self, workload: WorkloadKey, child: Child) {
        let mut children = lock(&self.children);
        if let Some(unlisted) = children.unlisted.get_mut(child.key.kind.name) {
            unlisted.remove(&(workload.clone(), child.key.clone()));
        }
        let known = children.of.entry(workload).or_default();
        let is_older = known
            .get(&child.key)
            .is_some_and(|known| child.version.is_some() && child.version < known.version);
        if !is_older {
            known.insert(child.key.clone(), child);
        }
    }

    /// A child is gone; not the one that came after it under the same name.
    pub(crate) fn child_gone(&self, workload: &WorkloadKey, key: &ChildKey, uid: &str) {
        let mut children = lock(&self.children);
        if let Some(known) = children.of.get_mut(workload) {
            if known.get(key).is_some_and(|known| known.uid == uid) {
                known.remove(key);
            }
            if known.is_empty() {
                children.of.remove(workload);
            }
        }
    }

    /// All children of a kind are about to be listed.
    pub(crate) fn children_listing(&self, kind: &'static Kind) {
        let mut children = lock(&self.children);
        let all = children
            .of
            .iter()
            .flat_map(|(workload, known)| known.keys().map(move |key| (workload, key)))
            .filter(|(_, key)| key.kind == kind)
            .map(|(workload, key)| (workload.clone(), key.clone()))
            .collect();
        children.unlisted.insert(kind.name, all);
    }

    /// All children of a kind were listed: the others are gone. Gives their workloads.
    pub(crate) fn children_listed(&self, kind: &'static Kind) -> Vec<WorkloadKey> {
        let mut children = lock(&self.children);
        let gone = children.unlisted.remove(kind.name).unwrap_or_default();
        for (workload, key) in &gone {
            if let Some(known) = children.of.get_mut(workload) {
                known.remove(key);
                if known.is_empty() {
                    children.of.remove(workload);
                }
            }
        }
        gone.into_iter().map(|(workload, _)| workload).collect()
    }

    /// The pods of a workload that have not started, and what could not be mounted into them.
    pub(crate) fn pending(&self, workload: &WorkloadKey) -> (Vec<PendingPod>, Vec<MountFailure>) {
        let pods = lock(&self.pods);
        let mut pending: Vec<PendingPod> = pods
            .pending
            .values()
            .filter(|pod| pod.namespace == workload.0 && pod.workload == workload.1)
            .cloned()
            .collect();
        pending.sort_by(|a, b| a.uid.cmp(&b.uid));
        let failures = pending
            .iter()
            .filter_map(|pod| pods.failures.get(&pod.uid))
            .cloned()
            .collect();
        (pending, failures)
    }

    /// A pod has not started. Gives whether that is news.
    pub(crate) fn pod_pending(&self, pod: &PendingPod) -> bool {
        let mut pods = lock(&self.pods);
        pods.unlisted.remove(&pod.uid);
        let known = pods.pending.insert(pod.uid.clone(), pod.clone());
        known.as_ref() != Some(pod)
    }

    /// A pod started, or is gone.
    pub(crate) fn pod_left(&self, uid: &str) {
        let mut pods = lock(&self.pods);
        pods.pending.remove(uid);
        pods.failures.remove(uid);
    }

    /// All pods that have not started are about to be listed.
    pub(crate) fn pods_listing(&self) {
        let mut pods = lock(&self.pods);
        pods.unlisted = pods.pending.keys().cloned().collect();
    }

    /// They were listed. Gives the workloads of those that were not among them.
    pub(crate) fn pods_listed(&self) -> Vec<WorkloadKey> {
        let mut pods = lock(&self.pods);
        let left: Vec<String> = std::mem::take(&mut pods.unlisted).into_iter().collect();
        left.iter()
            .filter_map(|uid| pods.pending.remove(uid))
            .map(|pod| (pod.namespace, pod.workload))
            .collect()
    }

    /// A volume could not be mounted. Gives the workload, if the pod is one's and this is news.
    pub(crate) fn mount_failed(&self, failure: MountFailure) -> Option<WorkloadKey> {
        let mut pods = lock(&self.pods);
        let pod = pods.pending.get(&failure.pod);
        let workload = pod.map(|pod| (pod.namespace.clone(), pod.workload.clone()));
        let known = pods.failures.get(&failure.pod);
        if known.is_some_and(|known| *known == failure || known.when > failure.when) {
            return None;
        }
        pods.failures.insert(failure.pod.clone(), failure);
        workload
    }

    /// All events are about to be listed: of pods that are no concern, those known before may be gone.
    pub(crate) fn mount_failures_listing(&self) {
        let pods = &mut *lock(&self.pods);
        pods.failures
            .retain(|pod, _| pods.pending.contains_key(pod));
    }

    /// An event was forgotten.
    pub(crate) fn mount_failure_forgotten(&self, pod: &str) {
        lock(&self.pods).failures.remove(pod);
    }

    /// A node is there, with its architecture. Gives whether nodes of other architectures are there now.
    pub(crate) fn node_seen(&self, name: String, architecture: String) -> bool {
        self.change_nodes(|nodes| {
            nodes.insert(name, architecture);
        })
    }

    /// A node is gone. Gives whether nodes of other architectures are there now.
    pub(crate) fn node_gone(&self, name: &str) -> bool {
        self.change_nodes(|nodes| {
            nodes.remove(name);
        })
    }

    /// Only these nodes are there.
    pub(crate) fn nodes_listed(&self, listed: &BTreeSet<String>) -> bool {
        self.change_nodes(|nodes| nodes.retain(|name, _| listed.contains(name)))
    }

    fn change_nodes(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> bool {
        let mut nodes = lock(&self.nodes);
        let before: BTreeSet<String> = nodes.values().cloned().collect();
        change(&mut nodes);
        before != nodes.values().cloned().collect()
    }

    /// The architectures that nodes have.
    pub(crate) fn architectures(&self) -> BTreeSet<String> {
        lock(&self.nodes).values().cloned().collect()
    }
}
