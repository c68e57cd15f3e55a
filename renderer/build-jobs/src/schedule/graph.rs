//! The graph of derivations, and which of them are ready.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use nix_formats::StorePath;

use super::{Need, RunId};
use crate::failure::Failure;
use crate::job::BUILTIN;

/// How a derivation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    /// In the pod of a Job's derivation: itself, as a rule.
    Running {
        host: usize,
    },
    Built,
    Failed(Failure),
    /// Something that it needs failed.
    Blocked {
        by: usize,
    },
}

/// What those that need a derivation may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supply {
    Nothing,
    /// It is there.
    Built,
    /// It can be built in the pod of this one.
    Hosted(usize),
}

/// A derivation.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: StorePath,
    pub(super) needs: BTreeSet<usize>,
    pub(super) dependents: BTreeSet<usize>,
    pub(super) system: Arc<str>,
    features: BTreeSet<String>,
    is_local: bool,
    duration: Duration,
    pub(super) state: State,
    /// Which need it.
    pub(super) runs: BTreeSet<RunId>,
    /// How many of these are of which source.
    pub(super) sources: BTreeMap<usize, usize>,
    /// The time of the longest way from its start to the end of a run.
    pub(super) priority: Duration,
    pub(super) unneeded_since: Option<Duration>,
    supply: Supply,
    /// Whether a Job can be made for it.
    pub(super) is_ready: bool,
}

/// The most derivations that are built in the pod of another.
pub(super) const MAX_MEMBERS: usize = 512;

/// The graph. Derivations are named by their places in it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    free: Vec<usize>,
    places: HashMap<StorePath, usize>,
    /// What is built in the pods of others, by these.
    groups: BTreeMap<usize, Vec<usize>>,
    /// What looks otherwise from outside than when it was last asked for.
    changed: BTreeSet<usize>,
}

impl Graph {
    pub(super) fn find(&self, path: &StorePath) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// The place of a derivation, which is made if there is none.
    pub(super) fn node(&mut self, path: &StorePath) -> usize {
        if let Some(place) = self.find(path) {
            return place;
        }
        let node = Node {
            path: path.clone(),
            needs: BTreeSet::new(),
            dependents: BTreeSet::new(),
            system: BUILTIN.into(),
            features: BTreeSet::new(),
            is_local: false,
            duration: Duration::ZERO,
            state: State::Waiting,
            runs: BTreeSet::new(),
            sources: BTreeMap::new(),
            priority: Duration::ZERO,
            unneeded_since: None,
            supply: Supply::Nothing,
            is_ready: false,
        };
        let place = if let Some(place) = self.free.pop() {
            self.nodes[place] = node;
            place
        } else {
            self.nodes.push(node);
            self.nodes.len() - 1
        };
        self.places.insert(path.clone(), place);
        place
    }

    pub(super) fn describe(&mut self, node: usize, need: &Need, duration: Duration) {
        let entry = &mut self.nodes[node];
        entry.system = Arc::clone(&need.system);
        entry.features.clone_from(&need.features);
        entry.is_local = need.is_local;
        entry.duration = duration;
    }

    pub(super) fn connect(&mut self, dependent: usize, need: usize) {
        self.nodes[dependent].needs.insert(need);
        self.nodes[need].dependents.insert(dependent);
    }

    /// Takes out what no run needs.
    pub(super) fn remove(&mut self, node: usize) {
        let entry = &mut self.nodes[node];
        self.places.remove(&entry.path);
        let (needs, dependents) = (
            mem::take(&mut entry.needs),
            mem::take(&mut entry.dependents),
        );
        (entry.state, entry.supply, entry.is_ready) = (State::Waiting, Supply::Nothing, false);
        for need in &needs {
            self.nodes[*need].dependents.remove(&node);
        }
        for dependent in &dependents {
            self.nodes[*dependent].needs.remove(&node);
        }
        self.groups.remove(&node);
        self.changed.insert(node);
        let around: Vec<usize> = needs.union(&dependents).copied().collect();
        self.refresh(&around);
        self.free.push(node);
    }

    pub(super) fn set_state(&mut self, node: usize, state: State) {
        if self.nodes[node].state == state {
            return;
        }
        if let State::Running { host } = self.nodes[node].state
            && host == node
        {
            self.groups.remove(&node);
        }
        self.nodes[node].state = state;
        self.changed.insert(node);
        let mut around: Vec<usize> = self.nodes[node].dependents.iter().copied().collect();
        around.push(node);
        self.refresh(&around);
    }

    /// A Job is there for a derivation, with others in its pod.
    pub(super) fn run(&mut self, host: usize, members: &[usize]) {
        let is_free = |it: &&usize| !matches!(self.nodes[**it].state, State::Running { host: other } if other != host);
        let members: Vec<usize> = members.iter().filter(is_free).copied().collect();
        for &node in members.iter().chain([&host]) {
            self.set_state(node, State::Running { host });
        }
        self.groups.insert(host, members);
    }

    /// What is being built in the pod of a derivation, but for itself.
    pub(super) fn hosted(&self, host: usize) -> Vec<usize> {
        let members = self.groups.get(&host).into_iter().flatten().copied();
        members
            .filter(|it| self.nodes[*it].state == State::Running { host })
            .collect()
    }

    /// What belongs into the pod of a derivation that is ready, each after what it needs.
    pub(super) fn members(&self, node: usize) -> Vec<usize> {
        let mut members = Vec::new();
        let mut stack = vec![(node, false)];
        while let Some((place, is_done)) = stack.pop() {
            if is_done {
                members.push(place);
                continue;
            }
            stack.push((place, true));
            let needs = self.nodes[place].needs.iter();
            stack.extend(
                needs
                    .filter(|it| self.nodes[**it].supply == Supply::Hosted(place))
                    .map(|it| (*it, false)),
            );
        }
        members.pop();
        members
    }

    /// Where to begin with a derivation that is ready: with itself, unless too much would be built in its pod.
    pub(super) fn first_of(&self, mut node: usize) -> usize {
        while self.members(node).len() > MAX_MEMBERS {
            let hosted = self.nodes[node].needs.iter().copied();
            let largest = hosted
                .filter(|it| self.nodes[*it].supply == Supply::Hosted(node))
                .max_by_key(|it| self.members(*it).len());
            node = largest.expect("there are members");
        }
        node
    }

    /// The priorities of derivations that are given each after what it needs.
    pub(super) fn set_priorities(&mut self, nodes: &[usize]) {
        for &node in nodes.iter().rev() {
            let dependents = self.nodes[node].dependents.iter();
            let behind = dependents
                .map(|it| &self.nodes[*it])
                .filter(|it| !it.runs.is_empty() && it.state != State::Built)
                .map(|it| it.priority)
                .max();
            let entry = &mut self.nodes[node];
            entry.priority = entry.duration.saturating_add(behind.unwrap_or_default());
            self.changed.insert(node);
        }
    }

    /// Works out again what is ready, from derivations on that changed.
    pub(super) fn refresh(&mut self, changed: &[usize]) {
        let mut queue = Queue::default();
        for &node in changed {
            queue.push(node);
            self.push_local_needs(node, &mut queue);
        }
        while let Some(node) = queue.pop() {
            let state = self.state_by_needs(node);
            let is_other = state.is_some();
            if let Some(state) = state {
                self.nodes[node].state = state;
            }
            let host = self.host(node);
            let is_supplied = self.is_supplied(node);
            let entry = &mut self.nodes[node];
            let is_waiting = entry.state == State::Waiting;
            let supply = match (&entry.state, host) {
                (State::Built, _) => Supply::Built,
                (_, Some(host)) if is_supplied => Supply::Hosted(host),
                _ => Supply::Nothing,
            };
            let is_ready = is_waiting && host.is_none() && is_supplied && !entry.runs.is_empty();
            let is_news = is_other || supply != entry.supply;
            if is_news || is_ready != entry.is_ready {
                self.changed.insert(node);
            }
            (entry.supply, entry.is_ready) = (supply, is_ready);
            if is_news {
                for dependent in &self.nodes[node].dependents {
                    queue.push(*dependent);
                }
                self.push_local_needs(node, &mut queue);
            }
        }
    }

    /// Whose pods they are built in depends on those that need them.
    fn push_local_needs(&self, node: usize, queue: &mut Queue) {
        let needs = self.nodes[node].needs.iter();
        for need in needs.filter(|it| self.nodes[**it].is_local) {
            queue.push(*need);
        }
    }

    /// What a derivation that is not begun becomes by what it needs, if that is something else.
    fn state_by_needs(&self, node: usize) -> Option<State> {
        let entry = &self.nodes[node];
        if !matches!(entry.state, State::Waiting | State::Blocked { .. }) {
            return None;
        }
        let by = entry
            .needs
            .iter()
            .find_map(|&need| match self.nodes[need].state {
                State::Failed(_) => Some(need),
                State::Blocked { by } => Some(by),
                _ => None,
            });
        let state = by.map_or(State::Waiting, |by| State::Blocked { by });
        (state != entry.state).then_some(state)
    }

    /// In whose pod a derivation is built that is not worth one.
    fn host(&self, node: usize) -> Option<usize> {
        let entry = &self.nodes[node];
        if !entry.is_local || entry.state != State::Waiting || entry.runs.is_empty() {
            return None;
        }
        let mut dependents = entry.dependents.iter().copied().filter(|it| {
            let dependent = &self.nodes[*it];
            !dependent.runs.is_empty() && dependent.state != State::Built
        });
        let (Some(host), None) = (dependents.next(), dependents.next()) else {
            return None;
        };
        let pod = &self.nodes[host];
        let fits = (&*entry.system == BUILTIN || entry.system == pod.system)
            && entry.features.is_subset(&pod.features);
        // Where there are more, they are built side by side.
        let are_few = pod.needs.len() <= MAX_MEMBERS;
        (pod.state == State::Waiting && fits && are_few).then_some(host)
    }

    /// Whether all that a derivation needs is there, or can be built in its own pod.
    fn is_supplied(&self, node: usize) -> bool {
        let needs = self.nodes[node].needs.iter();
        needs
            .map(|need| self.nodes[*need].supply)
            .all(|supply| supply == Supply::Built || supply == Supply::Hosted(node))
    }

    /// The derivations of Jobs.
    pub(super) fn hosts(&self) -> Vec<StorePath> {
        let hosts = self.groups.keys();
        hosts.map(|host| self.nodes[*host].path.clone()).collect()
    }

    /// Jobs that no run needs, for some time.
    pub(super) fn unneeded(&self, now: Duration, grace: Duration) -> Vec<StorePath> {
        let is_unneeded = |node: &usize| {
            let since = self.nodes[*node].unneeded_since;
            since.is_some_and(|since| now.saturating_sub(since) >= grace)
        };
        let hosts = self
            .groups
            .keys()
            .filter(|host| is_unneeded(host) && self.hosted(**host).iter().all(is_unneeded));
        hosts.map(|host| self.nodes[*host].path.clone()).collect()
    }

    /// Whether it has no derivation.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What changed since the last time.
    pub(super) fn take_changed(&mut self) -> BTreeSet<usize> {
        mem::take(&mut self.changed)
    }
}

/// Places to look at, each once at a time.
#[derive(Default)]
struct Queue {
    places: VecDeque<usize>,
    waiting: HashSet<usize>,
}

impl Queue {
    fn push(&mut self, place: usize) {
        if self.waiting.insert(place) {
            self.places.push_back(place);
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let place = self.places.pop_front()?;
        self.waiting.remove(&place);
        Some(place)
    }
}
