//! What the caches answered, remembered within a bound.

use crate::{caches::Found, error::Refusal};
use nix_formats::StorePath;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// The answer for one path; whoever wants it while it is being asked for waits.
pub(crate) type Slot = tokio::sync::Mutex<Option<Answer>>;

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Found(Arc<Found>),
    Refused(Instant, Arc<Vec<(String, Refusal)>>),
}

/// Answers in two generations: when the young have grown to half the bound, the
/// old are forgotten and the young become the old. An answer that is asked for
/// again becomes young again. So what is in use stays, and nothing needs a list
/// of uses.
#[derive(Debug)]
pub(crate) struct Answers {
    generations: Mutex<Generations>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<StorePath, Arc<Slot>>,
    old: HashMap<StorePath, Arc<Slot>>,
    young_bytes: usize,
}

/// A slot that is empty, its key and its place in the map.
const SLOT: usize = 256;

impl Answers {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            generations: Mutex::default(),
            max_bytes,
        }
    }

    /// The slot of a path.
    pub(crate) fn slot(&self, path: &StorePath) -> Arc<Slot> {
        let mut generations = self.lock();
        if let Some(slot) = generations.young.get(path) {
            return Arc::clone(slot);
        }
        let slot = generations.old.remove(path).unwrap_or_default();
        generations.young.insert(path.clone(), Arc::clone(&slot));
        let held = slot
            .try_lock()
            .map_or(0, |answer| answer.as_ref().map_or(0, Answer::weight));
        self.grow(&mut generations, SLOT + held);
        slot
    }

    /// Takes account of an answer that was put into its slot.
    pub(crate) fn weigh(&self, answer: &Answer) {
        let mut generations = self.lock();
        self.grow(&mut generations, answer.weight());
    }

    fn grow(&self, generations: &mut Generations, bytes: usize) {
        generations.young_bytes += bytes;
        if generations.young_bytes > self.max_bytes / 2 {
            generations.young_bytes = 0;
            generations.old = std::mem::take(&mut generations.young);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        // Nothing panics while it is held.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        match self {
            Self::Found(found) => {
                let info = &found.info;
                let references = info.references.len() * 96;
                let signatures: usize = info
                    .signatures
                    .iter()
                    .map(|signature| 64 + signature.key_name.len() + signature.bytes.len())
                    .sum();
                512 + info.url.len() + references + signatures
            }
            Self::Refused(_, refusals) => 256 * refusals.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: usize) -> StorePath {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        StorePath::from_parts(hash, "x").unwrap()
    }

    #[test]
    fn memory_is_bounded_and_what_is_in_use_stays() {
        let answers = Answers::new(100 * SLOT);
        let used = answers.slot(&path(0));
        for number in 1..10_000 {
            answers.slot(&path(number));
            assert!(Arc::ptr_eq(&used, &answers.slot(&path(0))));
            let generations = answers.lock();
            assert!(generations.young.len() + generations.old.len() <= 102);
        }
    }

    #[test]
    fn large_answers_push_others_out_sooner() {
        let answers = Answers::new(100 * SLOT);
        let refused = Answer::Refused(
            Instant::now(),
            Arc::new(vec![("cache".to_owned(), Refusal::Missing); 10]),
        );
        for number in 0..1000 {
            answers.slot(&path(number));
            answers.weigh(&refused);
            let generations = answers.lock();
            assert!(generations.young.len() + generations.old.len() <= 12);
        }
    }
}
