//! What the caches answered, remembered as long as there is memory.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix_formats::StorePath;

use crate::caches::Found;
use crate::error::Refusal;
use crate::memory::{Charge, Share};

/// The answer for one path; callers that need it while it is being asked for wait.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) answer: tokio::sync::Mutex<Option<Answer>>,
    /// What it holds, answer and all.
    bytes: AtomicUsize,
    /// For the slot itself; none if it is not remembered.
    _charge: Option<Charge>,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Found(Arc<Found>),
    Refused {
        since: Instant,
        refusals: Arc<Vec<(String, Refusal)>>,
        /// For the refusals.
        _charge: Charge,
    },
}

/// Answers in two generations: when the young have grown to their bound, the
/// old are forgotten and the young become the old. An answer that is asked for
/// again becomes young again. So what is in use stays, and nothing needs a list
/// of uses.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<StorePath, Arc<Slot>>,
    old: HashMap<StorePath, Arc<Slot>>,
    young_bytes: usize,
}

/// A slot that is empty, its key but for the name, and its place in the map.
const SLOT: usize = 320;

impl Share {
    /// The slot of a path. Where there is no memory for it, it is one that is not remembered.
    pub(crate) fn slot(&self, path: &StorePath) -> Arc<Slot> {
        if let Some(slot) = self.known(path) {
            return slot;
        }
        let bytes = SLOT + path.base_name().len();
        let Ok(charge) = self.charge(bytes) else {
            return Arc::default();
        };
        let made = Arc::new(Slot {
            answer: tokio::sync::Mutex::default(),
            bytes: AtomicUsize::new(bytes),
            _charge: Some(charge),
        });
        let forgotten = {
            let mut generations = self.answers.lock();
            if let Some(slot) = generations.young.get(path) {
                return Arc::clone(slot);
            }
            generations.young.insert(path.clone(), Arc::clone(&made));
            generations.grow(bytes, self.generation())
        };
        drop(forgotten);
        made
    }

    fn known(&self, path: &StorePath) -> Option<Arc<Slot>> {
        let limit = self.generation();
        let mut generations = self.answers.lock();
        if let Some(slot) = generations.young.get(path) {
            return Some(Arc::clone(slot));
        }
        let (path, slot) = generations.old.remove_entry(path)?;
        generations.young.insert(path, Arc::clone(&slot));
        let forgotten = generations.grow(slot.bytes.load(Relaxed), limit);
        drop(generations);
        drop(forgotten);
        Some(slot)
    }

    /// Counts an answer of this many bytes that was put into this slot.
    pub(crate) fn weigh(&self, slot: &Slot, bytes: usize) {
        slot.bytes.fetch_add(bytes, Relaxed);
        let limit = self.generation();
        let forgotten = self.answers.lock().grow(bytes, limit);
        drop(forgotten);
    }
}

impl Generations {
    /// The young have grown. Drop what this returns after the lock is released.
    fn grow(&mut self, bytes: usize, limit: usize) -> HashMap<StorePath, Arc<Slot>> {
        self.young_bytes += bytes;
        if self.young_bytes <= limit {
            return HashMap::new();
        }
        self.young_bytes = 0;
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
    }
}

impl Answers {
    /// Forgets the old, or else half of the young. Whether there were any.
    pub(crate) fn forget_some(&self) -> bool {
        let mut generations = self.lock();
        let mut forgotten = std::mem::take(&mut generations.old);
        if forgotten.is_empty() {
            let mut is_kept = true;
            let every_other = |_: &StorePath, _: &mut Arc<Slot>| {
                is_kept = !is_kept;
                !is_kept
            };
            forgotten = generations.young.extract_if(every_other).collect();
            let bytes = forgotten.values().map(|slot| slot.bytes.load(Relaxed));
            generations.young_bytes = generations.young_bytes.saturating_sub(bytes.sum());
        }
        drop(generations);
        !forgotten.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::CacheMemory;

    fn path(number: usize) -> StorePath {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        StorePath::from_parts(hash, "x").unwrap()
    }

    fn remembered(share: &Share) -> usize {
        let generations = share.answers.lock();
        generations.young.len() + generations.old.len()
    }

    #[test]
    fn memory_is_bounded_and_what_is_in_use_stays() {
        let memory = CacheMemory::new(200 * (SLOT + 34));
        let share = memory.share();
        let used = share.slot(&path(0));
        for number in 1..10_000 {
            share.slot(&path(number));
            assert!(Arc::ptr_eq(&used, &share.slot(&path(0))));
            assert!(remembered(&share) <= 100);
        }
        assert!(remembered(&share) >= 50);
    }

    #[test]
    fn large_answers_push_others_out_sooner() {
        let memory = CacheMemory::new(100 * (SLOT + 34));
        let share = memory.share();
        for number in 0..1000 {
            let slot = share.slot(&path(number));
            let bytes = 10 * SLOT;
            let charge = share.charge(bytes).unwrap();
            *slot.answer.try_lock().unwrap() = Some(Answer::Refused {
                since: Instant::now(),
                refusals: Arc::default(),
                _charge: charge,
            });
            share.weigh(&slot, bytes);
            assert!(remembered(&share) <= 6);
        }
        drop(share);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn one_share_does_not_have_another_forget_all() {
        let memory = CacheMemory::new(300 * (SLOT + 34));
        let (small, large) = (memory.share(), memory.share());
        for number in 0..40 {
            small.slot(&path(number));
        }
        for number in 0..100_000 {
            large.slot(&path(number));
        }
        assert_eq!(remembered(&small), 40);
        assert!(remembered(&large) >= 40);
        // Nor does one that came first keep another from remembering.
        let (first, second) = (memory.share(), memory.share());
        for number in 0..1000 {
            first.slot(&path(number));
        }
        for number in 0..1000 {
            second.slot(&path(number));
        }
        assert!(remembered(&second) >= 30, "{}", remembered(&second));
        assert!(remembered(&first) >= 30, "{}", remembered(&first));
    }
}
