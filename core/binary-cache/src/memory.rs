//! Memory for what caches answered: one bound for all `Caches` of a process.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Semaphore;

use crate::answers::Answers;
use crate::error::FetchError;

/// Narinfos of more bytes than others that are fetched at once for one `Caches`.
const LARGE_AT_ONCE: usize = 2;

/// A bound on the memory for what caches answered: narinfos that are held, be it by a walk or to be remembered, narinfos on
/// their way that are large, and that caches lack paths. Clones are the same bound.
///
/// Of the [`Caches`](crate::Caches) that share it each may hold as much as all leave free: one alone a half, of two that want
/// all they can get each a third, and one that comes later finds room too. Remembered answers make room for others, but
/// never for those of a `Caches` that holds more.
#[derive(Debug, Clone)]
pub struct CacheMemory(Arc<Whole>);

#[derive(Debug)]
struct Whole {
    max: usize,
    used: AtomicUsize,
    shares: Mutex<Vec<Weak<Share>>>,
}

/// What one `Caches` holds, and what it remembers.
#[derive(Debug)]
pub(crate) struct Share {
    usage: Arc<Usage>,
    pub(crate) answers: Answers,
    /// Held by each fetch of a large narinfo.
    pub(crate) large: Semaphore,
}

/// Apart from the share, because answers that it remembers are charged to it.
#[derive(Debug)]
struct Usage {
    whole: Arc<Whole>,
    used: AtomicUsize,
}

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    usage: Arc<Usage>,
    bytes: usize,
}

impl Default for CacheMemory {
    /// 1 GiB: enough for any closure, for programs that end soon.
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

impl CacheMemory {
    /// At most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Whole {
            max,
            used: AtomicUsize::new(0),
            shares: Mutex::default(),
        }))
    }

    /// The bytes that are held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    pub(crate) fn share(&self) -> Arc<Share> {
        let share = Arc::new(Share {
            usage: Arc::new(Usage {
                whole: Arc::clone(&self.0),
                used: AtomicUsize::new(0),
            }),
            answers: Answers::default(),
            large: Semaphore::new(LARGE_AT_ONCE),
        });
        let mut shares = self.0.shares();
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Arc::downgrade(&share));
        share
    }
}

impl Whole {
    fn shares(&self) -> MutexGuard<'_, Vec<Weak<Share>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes bytes, for which answers are forgotten if need be.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge, FetchError> {
        loop {
            if self.usage.add(bytes) {
                return Ok(Charge {
                    usage: Arc::clone(&self.usage),
                    bytes,
                });
            }
            if !self.make_room() {
                return Err(FetchError::Memory {
                    limit: self.usage.whole.max,
                });
            }
        }
    }

    /// Bytes of young answers beyond which the old are forgotten.
    pub(crate) fn generation(&self) -> usize {
        let shares = self.usage.whole.shares();
        let shares = shares.iter().filter(|share| share.strong_count() > 0);
        let shares = shares.count();
        self.usage.whole.max / (2 * (shares + 1))
    }

    /// Has the largest share that is no smaller than this one forget answers. Whether there were any.
    fn make_room(&self) -> bool {
        let shares: Vec<Arc<Share>> = {
            let shares = self.usage.whole.shares();
            shares.iter().filter_map(Weak::upgrade).collect()
        };
        let own = self.usage.used.load(Relaxed);
        let mut larger: Vec<(usize, Arc<Share>)> = shares
            .into_iter()
            .map(|share| (share.usage.used.load(Relaxed), share))
            .filter(|(used, _)| *used >= own)
            .collect();
        larger.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        larger.iter().any(|(_, share)| share.answers.forget_some())
    }
}

impl Usage {
    /// Whether what all leave free is as much as this one holds then.
    fn add(&self, bytes: usize) -> bool {
        if bytes > self.whole.max {
            return false;
        }
        let all = self.whole.used.fetch_add(bytes, Relaxed) + bytes;
        let own = self.used.fetch_add(bytes, Relaxed) + bytes;
        let fits = own <= self.whole.max.saturating_sub(all);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.whole.used.fetch_sub(bytes, Relaxed);
        self.used.fetch_sub(bytes, Relaxed);
    }
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back what is more than `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.usage.give_back(less);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.usage.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_has_half_two_a_third_each_and_a_later_one_finds_room() {
        let memory = CacheMemory::new(1200);
        let fill = |share: &Share| {
            let mut charges = Vec::new();
            while let Ok(charge) = share.charge(10) {
                charges.push(charge);
            }
            charges
        };
        let (a, b, c) = (memory.share(), memory.share(), memory.share());
        let of_a = fill(&a);
        assert_eq!(of_a.len(), 60);
        let of_b = fill(&b);
        assert_eq!(of_b.len(), 30);
        assert_eq!(fill(&c).len(), 15);
        assert!(a.charge(10).is_err());
        drop(of_b);
        assert_eq!(memory.used(), 600);
        drop(of_a);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_asked_beyond_all_bounds_is_refused() {
        let memory = CacheMemory::new(1000);
        let share = memory.share();
        assert!(matches!(
            share.charge(usize::MAX / 2),
            Err(FetchError::Memory { limit: 1000 })
        ));
        let mut charge = share.charge(500).unwrap();
        charge.shrink_to(700);
        assert_eq!(memory.used(), 500);
        charge.shrink_to(100);
        assert_eq!(memory.used(), 100);
    }
}
