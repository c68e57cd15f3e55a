//! Which source is looked at, and which is run, and when: a pure state machine.
//!
//! A *look* asks the Git host where the branch is. A *run* evaluates and renders one attempt: a commit, with the source as it was
//! written then. There is at most one run of a source at a time, and it is of the newest attempt: an older one is cancelled. What an
//! attempt came to is remembered, so nothing is tried again until something changes, but for what may pass by itself: that is tried
//! again after a pause which doubles each time.
//!
//! The queue has one place for each source, so it is as long as there are sources. Namespaces take turns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A time since some beginning.
pub(crate) type Time = Duration;

/// Looks at the same time: they wait for servers.
const MOST_LOOKS: usize = 16;
/// The first pause after what may pass by itself.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Which source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a source asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) generation: i64,
    pub(crate) is_suspended: bool,
    pub(crate) interval: Duration,
    /// The value of the annotation that asks for another try.
    pub(crate) retry: Option<String>,
    /// The value of the annotation that tells of a push.
    pub(crate) pushed: Option<String>,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) revision: String,
    pub(crate) generation: i64,
    pub(crate) retry: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// For good: the same would come to the same.
    Settled,
    /// By something that may pass.
    Passing,
    /// It was cancelled.
    Cancelled,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Look(Key),
    Run(Key, Attempt),
    Cancel(Key),
}

#[derive(Debug)]
struct Source {
    wishes: Wishes,
    is_looking: bool,
    /// When to look again.
    look_at: Time,
    tip: Option<String>,
    running: Option<Running>,
    last: Option<Last>,
    /// Since when it waits for a run.
    waits_since: Option<Time>,
}

#[derive(Debug)]
struct Running {
    attempt: Attempt,
    is_cancelled: bool,
}

/// The last attempt that ended.
#[derive(Debug)]
struct Last {
    attempt: Attempt,
    /// When it is tried again, if it may pass.
    again_at: Option<Time>,
    pause: Duration,
}

/// All sources.
#[derive(Debug)]
pub(crate) struct Queue {
    most_runs: usize,
    sources: BTreeMap<Key, Source>,
    /// When a run of a namespace began last.
    served: BTreeMap<String, Time>,
}

impl Source {
    /// What should be tried now.
    fn wanted(&self, now: Time) -> Option<Attempt> {
        let attempt = Attempt {
            revision: self.tip.clone()?,
            generation: self.wishes.generation,
            retry: self.wishes.retry.clone(),
        };
        if self.wishes.is_suspended {
            return None;
        }
        match &self.last {
            Some(last) if last.attempt == attempt => {
                last.again_at.filter(|at| *at <= now).map(|_| attempt)
            }
            _ => Some(attempt),
        }
    }
}

impl Queue {
    pub(crate) fn new(most_runs: usize) -> Self {
        Self {
            most_runs,
            sources: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// Notes what a source asks for. One that is not known yet may have been tried before: `settled`, then, is the last attempt.
    pub(crate) fn observe(
        &mut self,
        key: Key,
        wishes: Wishes,
        settled: Option<Attempt>,
        now: Time,
    ) {
        match self.sources.get_mut(&key) {
            None => {
                let last = settled.map(|attempt| Last {
                    attempt,
                    again_at: None,
                    pause: FIRST_PAUSE,
                });
                let source = Source {
                    wishes,
                    is_looking: false,
                    look_at: now,
                    tip: None,
                    running: None,
                    last,
                    waits_since: None,
                };
                self.sources.insert(key, source);
            }
            Some(source) => {
                if source.wishes != wishes {
                    source.look_at = now;
                }
                // Another repository or branch: where the old one was counts no more.
                if source.wishes.generation != wishes.generation {
                    source.tip = None;
                }
                source.wishes = wishes;
            }
        }
    }

    /// Forgets a source that is gone.
    pub(crate) fn forget(&mut self, key: &Key) -> Option<Action> {
        let source = self.sources.remove(key)?;
        source.running.map(|_| Action::Cancel(key.clone()))
    }

    /// Notes where a branch is; `None` if that could not be found out. `generation` is that of the source that was looked at.
    pub(crate) fn looked(&mut self, key: &Key, generation: i64, tip: Option<String>, now: Time) {
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        source.is_looking = false;
        if source.wishes.generation != generation {
            return;
        }
        source.look_at = source.look_at.max(now + source.wishes.interval);
        if tip.is_some() {
            source.tip = tip;
        }
    }

    /// Notes how a run ended.
    pub(crate) fn ended(&mut self, key: &Key, end: End, now: Time) {
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        let Some(Running { attempt, .. }) = source.running.take() else {
            return;
        };
        let before = source.last.take();
        source.last = match end {
            End::Cancelled => before,
            End::Settled => Some(Last {
                attempt,
                again_at: None,
                pause: FIRST_PAUSE,
            }),
            End::Passing => {
                let pause = match before {
                    Some(last) if last.attempt == attempt => last.pause,
                    _ => FIRST_PAUSE,
                };
                Some(Last {
                    attempt,
                    again_at: Some(now + pause),
                    pause: (pause * 2).min(LONGEST_PAUSE),
                })
            }
        };
    }

    /// What has to be done now. It counts as begun.
    pub(crate) fn next(&mut self, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut looks = self
            .sources
            .values()
            .filter(|source| source.is_looking)
            .count();
        let mut due: Vec<(Time, &Key)> = self
            .sources
            .iter()
            .filter(|(_, source)| {
                !source.is_looking && !source.wishes.is_suspended && source.look_at <= now
            })
            .map(|(key, source)| (source.look_at, key))
            .collect();
        due.sort();
        let due: BTreeSet<Key> = due
            .into_iter()
            .take(MOST_LOOKS.saturating_sub(looks))
            .map(|(_, key)| key.clone())
            .collect();
        for (key, source) in &mut self.sources {
            if due.contains(key) {
                (source.is_looking, source.look_at) = (true, now);
                looks += 1;
                actions.push(Action::Look(key.clone()));
            }
            let wanted = source.wanted(now);
            if let Some(running) = &mut source.running {
                let is_right = wanted.as_ref() == Some(&running.attempt);
                // While it is not known where the branch of another spec is, the run is of the old one.
                if !is_right && !running.is_cancelled {
                    running.is_cancelled = true;
                    actions.push(Action::Cancel(key.clone()));
                }
            }
            match wanted {
                Some(_) if source.running.is_none() => {
                    source.waits_since.get_or_insert(now);
                }
                _ => source.waits_since = None,
            }
        }
        while let Some((key, attempt)) = self.begin(now) {
            actions.push(Action::Run(key, attempt));
        }
        debug_assert!(looks <= MOST_LOOKS);
        actions
    }

    /// Begins the run whose turn it is: of the namespace with the fewest runs, of those the one that was served longest ago, and of
    /// its sources the one that waits longest.
    fn begin(&mut self, now: Time) -> Option<(Key, Attempt)> {
        if self.runs() >= self.most_runs {
            return None;
        }
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for (key, source) in &self.sources {
            if source.running.is_some() {
                *runs.entry(&key.namespace).or_default() += 1;
            }
        }
        let waiting = self.sources.iter().filter_map(|(key, source)| {
            let since = source.waits_since?;
            let of_namespace = runs
                .get(key.namespace.as_str())
                .copied()
                .unwrap_or_default();
            let served = self.served.get(&key.namespace).copied();
            Some(((of_namespace, served, since), key))
        });
        let (_, key) = waiting.min()?;
        let key = key.clone();
        let source = self.sources.get_mut(&key)?;
        source.waits_since = None;
        let attempt = source.wanted(now)?;
        source.running = Some(Running {
            attempt: attempt.clone(),
            is_cancelled: false,
        });
        self.served.insert(key.namespace.clone(), now);
        Some((key, attempt))
    }

    /// When something will have to be done if nothing happens; none if nothing will.
    pub(crate) fn wakes_at(&self) -> Option<Time> {
        let sources = self.sources.values();
        let times = sources
            .filter(|source| !source.wishes.is_suspended)
            .flat_map(|source| {
                let look = (!source.is_looking).then_some(source.look_at);
                let again = source.last.as_ref().and_then(|last| last.again_at);
                [look, again.filter(|_| source.running.is_none())]
            });
        times.flatten().min()
    }

    pub(crate) fn runs(&self) -> usize {
        let sources = self.sources.values();
        sources.filter(|source| source.running.is_some()).count()
    }

    pub(crate) fn waiting(&self) -> usize {
        let sources = self.sources.values();
        sources
            .filter(|source| source.waits_since.is_some())
            .count()
    }

    /// Sources of a namespace.
    pub(crate) fn sources_of(&self, namespace: &str) -> usize {
        self.sources
            .keys()
            .filter(|key| key.namespace == namespace)
            .count()
    }

    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.sources.contains_key(key)
    }
}

#[cfg(test)]
mod tests;
