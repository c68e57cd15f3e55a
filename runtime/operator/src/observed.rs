//! What is in the cluster, as the watches tell it: children, pods that have not started, nodes.
//!
//! Objects are found by what others cannot change of them: namespace, kind, name and UID, and by the UID of their controller.
//! Labels, which everybody may change who may change the object, only say which workloads to look at.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::child::{Child, ChildKey};
use crate::kinds::Kind;
use crate::pods::{MountFailure, PendingPod, PodKey};

/// Which workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkloadKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl WorkloadKey {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Pods that have not started, of one namespace. More are not needed to tell why.
const MAX_PENDING_OF_NAMESPACE: usize = 256;

/// Pods that have not started, in all.
const MAX_PENDING: usize = 4096;

/// What is in the cluster. Shared: the watches write, reconciliations read.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    children: Mutex<Children>,
    pods: Mutex<Pods>,
    nodes: Mutex<BTreeMap<String, String>>,
}

/// A child's namespace, kind and name.
type Place = (String, ChildKey);

#[derive(Debug, Default)]
struct Children {
    known: HashMap<Place, Child>,
    /// Those that an object controls, by its UID.
    controlled: HashMap<String, HashSet<Place>>,
    /// Those of a kind and scope that a new list has not named yet.
    unlisted: HashMap<(&'static str, Scope), HashSet<Place>>,
}

/// What a watch is for: a namespace, or all of them.
pub(crate) type Scope = Option<String>;

fn is_in(namespace: &str, scope: &Scope) -> bool {
    scope.as_deref().is_none_or(|scope| scope == namespace)
}

#[derive(Debug, Default)]
struct Pods {
    /// By namespace and UID.
    pending: HashMap<String, HashMap<String, Pending>>,
    number: usize,
    unlisted: HashMap<Scope, HashSet<PodKey>>,
}

#[derive(Debug)]
struct Pending {
    pod: PendingPod,
    failure: Option<MountFailure>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workloads that a child of a namespace concerns.
fn concerned<'a>(namespace: &'a str, child: &'a Child) -> impl Iterator<Item = WorkloadKey> + 'a {
    let names = child.workloads.iter();
    names.map(|name| WorkloadKey::new(namespace, name))
}

impl Children {
    fn insert(&mut self, place: Place, child: Child) {
        self.remove(&place);
        if let Some(controller) = &child.controller {
            let places = self.controlled.entry(controller.clone()).or_default();
            places.insert(place.clone());
        }
        self.known.insert(place, child);
    }

    fn remove(&mut self, place: &Place) -> Option<Child> {
        let child = self.known.remove(place)?;
        if let Some(controller) = &child.controller
            && let Some(places) = self.controlled.get_mut(controller)
        {
            places.remove(place);
            if places.is_empty() {
                self.controlled.remove(controller);
            }
        }
        Some(child)
    }
}

impl Observed {
    /// The objects that are there of a workload: those that it controls, and those in the places of what it wants.
    pub(crate) fn children_of<'a>(
        &self,
        namespace: &str,
        owner: &str,
        wanted: impl Iterator<Item = &'a ChildKey>,
    ) -> Vec<Child> {
        let children = lock(&self.children);
        let controlled = children.controlled.get(owner).into_iter().flatten();
        // An object of another namespace may say that the workload controls it.
        let mut places: HashSet<Place> = controlled
            .filter(|place| place.0 == namespace)
            .cloned()
            .collect();
        places.extend(wanted.map(|key| (namespace.to_owned(), key.clone())));
        let known = places.iter().filter_map(|place| children.known.get(place));
        known.cloned().collect()
    }

    /// A child is there, or changed. An older state than the known one is not news. Gives the workloads that it concerns, those
    /// that it concerned before included.
    pub(crate) fn child_seen(&self, namespace: &str, child: Child) -> BTreeSet<WorkloadKey> {
        let mut children = lock(&self.children);
        let place = (namespace.to_owned(), child.key.clone());
        for unlisted in children.unlisted.values_mut() {
            unlisted.remove(&place);
        }
        let known = children.known.get(&place);
        let is_older =
            known.is_some_and(|known| child.version.is_some() && child.version < known.version);
        let mut workloads: BTreeSet<WorkloadKey> = concerned(namespace, &child).collect();
        if let Some(known) = known {
            workloads.extend(concerned(namespace, known));
        }
        if !is_older {
            children.insert(place, child);
        }
        workloads
    }

    /// A child is gone, or has lost its label; not the one that came after it under the same name. Gives the workloads that it
    /// concerns.
    pub(crate) fn child_gone(&self, namespace: &str, child: &Child) -> BTreeSet<WorkloadKey> {
        let mut children = lock(&self.children);
        let place = (namespace.to_owned(), child.key.clone());
        let mut workloads: BTreeSet<WorkloadKey> = concerned(namespace, child).collect();
        let known = children.known.get(&place);
        if known.is_some_and(|known| known.uid == child.uid) {
            let known = children.remove(&place);
            workloads.extend(known.iter().flat_map(|known| concerned(namespace, known)));
        }
        workloads
    }

    /// The operator removed a child.
    pub(crate) fn child_removed(&self, namespace: &str, key: &ChildKey, uid: &str) {
        let mut children = lock(&self.children);
        let place = (namespace.to_owned(), key.clone());
        if children
            .known
            .get(&place)
            .is_some_and(|known| known.uid == uid)
        {
            children.remove(&place);
        }
    }

    /// All children of a kind are about to be listed.
    pub(crate) fn children_listing(&self, kind: &'static Kind, scope: &Scope) {
        let mut children = lock(&self.children);
        let all = children.known.keys();
        let all = all
            .filter(|(namespace, key)| key.kind == kind && is_in(namespace, scope))
            .cloned()
            .collect();
        children.unlisted.insert((kind.name, scope.clone()), all);
    }

    /// All children of a kind were listed: the others are gone. Gives their workloads.
    pub(crate) fn children_listed(
        &self,
        kind: &'static Kind,
        scope: &Scope,
    ) -> BTreeSet<WorkloadKey> {
        let mut children = lock(&self.children);
        let gone = children.unlisted.remove(&(kind.name, scope.clone()));
        let mut workloads = BTreeSet::new();
        for place in gone.into_iter().flatten() {
            let child = children.remove(&place);
            workloads.extend(child.iter().flat_map(|child| concerned(&place.0, child)));
        }
        workloads
    }

    /// How many children are known.
    pub(crate) fn number_of_children(&self) -> usize {
        lock(&self.children).known.len()
    }

    /// The pods of a workload that have not started, and what could not be mounted into them.
    pub(crate) fn pending(&self, workload: &WorkloadKey) -> (Vec<PendingPod>, Vec<MountFailure>) {
        let pods = lock(&self.pods);
        let of_namespace = pods.pending.get(&workload.namespace);
        let mut pending: Vec<&Pending> = of_namespace
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|pending| pending.pod.workload == workload.name)
            .collect();
        pending.sort_by(|a, b| a.pod.key.uid.cmp(&b.pod.key.uid));
        let failures = pending.iter().filter_map(|pending| pending.failure.clone());
        let failures = failures.collect();
        let pods = pending.iter().map(|pending| pending.pod.clone()).collect();
        (pods, failures)
    }

    /// A pod has not started. Gives the workloads that it concerns, if that is news.
    pub(crate) fn pod_pending(&self, pod: PendingPod) -> BTreeSet<WorkloadKey> {
        let pods = &mut *lock(&self.pods);
        for unlisted in pods.unlisted.values_mut() {
            unlisted.remove(&pod.key);
        }
        let namespace = pod.key.namespace.clone();
        let is_full = pods.number >= MAX_PENDING;
        let of_namespace = pods.pending.entry(namespace.clone()).or_default();
        let is_full = is_full || of_namespace.len() >= MAX_PENDING_OF_NAMESPACE;
        let mut workloads = BTreeSet::new();
        match of_namespace.get_mut(&pod.key.uid) {
            Some(known) if known.pod == pod => {}
            Some(known) => {
                workloads.insert(pod.workload_key());
                workloads.insert(std::mem::replace(&mut known.pod, pod).workload_key());
            }
            None if is_full => {
                if of_namespace.is_empty() {
                    pods.pending.remove(&namespace);
                }
            }
            None => {
                workloads.insert(pod.workload_key());
                pods.number += 1;
                let failure = None;
                of_namespace.insert(pod.key.uid.clone(), Pending { pod, failure });
            }
        }
        workloads
    }

    /// A pod started, is gone, or is no workload's any more. Gives the workload that it was of.
    pub(crate) fn pod_left(&self, pod: &PodKey) -> Option<WorkloadKey> {
        lock(&self.pods).remove(pod)
    }

    /// All pods that have not started are about to be listed.
    pub(crate) fn pods_listing(&self, scope: &Scope) {
        let pods = &mut *lock(&self.pods);
        let all = pods.pending.values().flat_map(HashMap::values);
        let all = all
            .map(|pending| pending.pod.key.clone())
            .filter(|pod| is_in(&pod.namespace, scope))
            .collect();
        pods.unlisted.insert(scope.clone(), all);
    }

    /// They were listed. Gives the workloads of those that were not among them.
    pub(crate) fn pods_listed(&self, scope: &Scope) -> BTreeSet<WorkloadKey> {
        let pods = &mut *lock(&self.pods);
        let left = pods.unlisted.remove(scope).unwrap_or_default();
        left.iter().filter_map(|pod| pods.remove(pod)).collect()
    }

    /// A volume could not be mounted. Gives the workload, if the pod is one's that has not started, and this is news.
    pub(crate) fn mount_failed(&self, failure: MountFailure) -> Option<WorkloadKey> {
        let mut pods = lock(&self.pods);
        let pending = pods.get_mut(&failure.pod)?;
        let known = pending.failure.as_ref();
        if known.is_some_and(|known| *known == failure || known.when > failure.when) {
            return None;
        }
        pending.failure = Some(failure);
        Some(pending.pod.workload_key())
    }

    /// An event was forgotten.
    pub(crate) fn mount_failure_forgotten(&self, pod: &PodKey) {
        if let Some(pending) = lock(&self.pods).get_mut(pod) {
            pending.failure = None;
        }
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

impl Pods {
    /// The pod with this very namespace, name and UID.
    fn get_mut(&mut self, pod: &PodKey) -> Option<&mut Pending> {
        let of_namespace = self.pending.get_mut(&pod.namespace)?;
        let pending = of_namespace.get_mut(&pod.uid)?;
        (pending.pod.key == *pod).then_some(pending)
    }

    fn remove(&mut self, pod: &PodKey) -> Option<WorkloadKey> {
        let of_namespace = self.pending.get_mut(&pod.namespace)?;
        let left = of_namespace.remove(&pod.uid)?;
        if of_namespace.is_empty() {
            self.pending.remove(&pod.namespace);
        }
        self.number -= 1;
        Some(left.pod.workload_key())
    }
}
