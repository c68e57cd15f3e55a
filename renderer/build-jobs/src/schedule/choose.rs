//! Whose turn it is: sources share the Jobs that there may be.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::graph::{Graph, State};
use super::{Limits, SourceRef};

/// What of a source is ready, by system, the most pressing first.
type Ready = BTreeMap<Arc<str>, BTreeSet<(Reverse<Duration>, usize)>>;

struct Source {
    name: SourceRef,
    limit: usize,
    /// Jobs that build something for it.
    running: usize,
    ready: Ready,
    /// When it last had its turn.
    turn: u64,
}

/// How a derivation stands in the shares.
#[derive(Default, PartialEq)]
struct Entry {
    priority: Duration,
    system: Arc<str>,
    sources: Vec<usize>,
    standing: Standing,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Aside,
    Ready,
    /// It has a Job.
    Running,
}

/// The sources, and what each has of the Jobs.
#[derive(Default)]
pub(super) struct Shares {
    sources: BTreeMap<usize, Source>,
    names: HashMap<SourceRef, usize>,
    next: usize,
    namespaces: HashMap<Arc<str>, usize>,
    systems: HashMap<Arc<str>, usize>,
    total: usize,
    turns: u64,
    entries: HashMap<usize, Entry>,
}

impl Shares {
    /// A source's number. The limit is that of its last run.
    pub(super) fn source(&mut self, name: &SourceRef, limit: usize) -> usize {
        if let Some(&known) = self.names.get(name) {
            if let Some(source) = self.sources.get_mut(&known) {
                source.limit = limit;
            }
            return known;
        }
        let number = self.next;
        self.next += 1;
        self.names.insert(name.clone(), number);
        let source = Source {
            name: name.clone(),
            limit,
            running: 0,
            ready: Ready::new(),
            turn: 0,
        };
        self.sources.insert(number, source);
        number
    }

    /// Forgets a source without runs.
    pub(super) fn remove(&mut self, source: usize) {
        if let Some(source) = self.sources.remove(&source) {
            self.names.remove(&source.name);
        }
    }

    pub(super) fn running(&self) -> usize {
        self.total
    }

    /// Brings the shares to what the graph says of a derivation.
    pub(super) fn update(&mut self, graph: &Graph, node: usize) {
        let it = &graph.nodes[node];
        let standing = match it.state {
            State::Running { host } if host == node => Standing::Running,
            _ if it.is_ready => Standing::Ready,
            _ => Standing::Aside,
        };
        let entry = Entry {
            priority: it.priority,
            system: Arc::clone(&it.system),
            sources: it.sources.keys().copied().collect(),
            standing,
        };
        let before = self.entries.get(&node);
        if before == Some(&entry) {
            return;
        }
        if let Some(before) = self.entries.remove(&node) {
            self.count(node, &before, false);
        }
        if standing != Standing::Aside {
            self.count(node, &entry, true);
            self.entries.insert(node, entry);
        }
    }

    fn count(&mut self, node: usize, entry: &Entry, is_added: bool) {
        let change = |count: &mut usize| {
            *count = if is_added {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        };
        let mut namespaces = BTreeSet::new();
        for number in &entry.sources {
            let Some(source) = self.sources.get_mut(number) else {
                continue;
            };
            if entry.standing == Standing::Running {
                change(&mut source.running);
                namespaces.insert(Arc::clone(&source.name.namespace));
                continue;
            }
            let key = (Reverse(entry.priority), node);
            let ready = source.ready.entry(Arc::clone(&entry.system)).or_default();
            if is_added {
                ready.insert(key);
            } else {
                ready.remove(&key);
                if ready.is_empty() {
                    source.ready.remove(&entry.system);
                }
            }
        }
        if entry.standing == Standing::Running {
            change(&mut self.total);
            change(self.systems.entry(Arc::clone(&entry.system)).or_default());
            for namespace in namespaces {
                change(self.namespaces.entry(namespace).or_default());
            }
        }
    }

    /// What starts next. Of the sources that may have another Job and have something ready, the turn is of the one with the fewest
    /// Jobs, then of the one whose last turn is longest ago.
    pub(super) fn choose(&mut self, graph: &Graph, limits: &Limits) -> Option<usize> {
        if self.total >= limits.total {
            return None;
        }
        let sources = self.sources.iter();
        let candidates = sources.filter(|(_, source)| {
            let namespace = self.namespaces.get(&source.name.namespace);
            source.running < source.limit
                && namespace.copied().unwrap_or_default() < limits.per_namespace
        });
        let (_, number, node) = candidates
            .filter_map(|(number, source)| {
                let node = self.most_pressing(source, limits)?;
                Some(((source.running, source.turn), *number, node))
            })
            .min()?;
        self.turns += 1;
        let turn = self.turns;
        self.sources.get_mut(&number)?.turn = turn;
        Some(graph.first_of(node))
    }

    fn most_pressing(&self, source: &Source, limits: &Limits) -> Option<usize> {
        let systems = source.ready.iter().filter(|(system, _)| {
            let running = self.systems.get(*system).copied().unwrap_or_default();
            limits
                .per_system
                .get(&***system)
                .is_none_or(|limit| running < *limit)
        });
        let first = systems.filter_map(|(_, ready)| ready.first());
        first.min().map(|(_, node)| *node)
    }
}
