//! A list of work that several threads do together.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Work on items, one after the other, by every thread that has time: the owner, who says what the items are and waits for all of
/// them, and helpers. What a helper gives up is the owner's to do.
#[derive(Debug)]
pub(crate) struct WorkList<I, R> {
    state: Mutex<State<I, R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<I, R> {
    /// None before the owner has said what they are.
    items: Option<Vec<I>>,
    /// The first item that no thread has taken.
    next: usize,
    /// Items from here on are cancelled.
    end: usize,
    taken: usize,
    given_up: BTreeSet<usize>,
    results: Vec<(I, R)>,
}

/// An item that is being worked on. Dropped without a result it is given up.
#[derive(Debug)]
pub(crate) struct Taken<'w, I: Clone, R> {
    work: &'w WorkList<I, R>,
    index: usize,
    item: I,
    is_done: bool,
}

impl<I, R> Default for WorkList<I, R> {
    fn default() -> Self {
        let state = State {
            items: None,
            next: 0,
            end: 0,
            taken: 0,
            given_up: BTreeSet::new(),
            results: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<I: Clone, R> WorkList<I, R> {
    fn state(&self) -> MutexGuard<'_, State<I, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner says what to do, in which order.
    pub(crate) fn open(&self, items: Vec<I>) {
        let mut state = self.state();
        state.end = items.len();
        state.items = Some(items);
        self.changed.notify_all();
    }

    fn take_at(&self, state: &mut State<I, R>, index: usize) -> Option<Taken<'_, I, R>> {
        let item = state.items.as_ref()?.get(index)?.clone();
        state.taken += 1;
        Some(Taken {
            work: self,
            index,
            item,
            is_done: false,
        })
    }

    fn take_next(&self, state: &mut State<I, R>) -> Option<Taken<'_, I, R>> {
        if state.next >= state.end {
            return None;
        }
        state.next += 1;
        self.take_at(state, state.next - 1)
    }

    /// The next item for a helper, once it is known what the items are.
    pub(crate) fn take(&self) -> Option<Taken<'_, I, R>> {
        let state = self.state();
        let state = self
            .changed
            .wait_while(state, |state| state.items.is_none());
        self.take_next(&mut state.unwrap_or_else(PoisonError::into_inner))
    }

    /// The next item for the owner: when none is left one that a helper gave up, and nothing only once all are done.
    pub(crate) fn take_or_wait(&self) -> Option<Taken<'_, I, R>> {
        let mut state = self.state();
        if let Some(next) = self.take_next(&mut state) {
            return Some(next);
        }
        let state = self.changed.wait_while(state, |state| state.taken > 0);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let index = state.given_up.pop_first()?;
        if index >= state.end {
            return None;
        }
        self.take_at(&mut state, index)
    }

    /// What was done, each helper's in the order in which it did it; nothing is left to do.
    pub(crate) fn close(&self) -> Vec<(I, R)> {
        let mut state = self.state();
        state.end = 0;
        state.items.get_or_insert_default();
        self.changed.notify_all();
        std::mem::take(&mut state.results)
    }
}

impl<I: Clone, R> Taken<'_, I, R> {
    pub(crate) fn item(&self) -> &I {
        &self.item
    }

    pub(crate) fn done(mut self, result: R) {
        self.is_done = true;
        self.work.state().results.push((self.item.clone(), result));
    }

    /// Cancels this item and all later ones.
    pub(crate) fn ends_the_work(self) {
        self.work.state().end = self.index;
    }
}

impl<I: Clone, R> Drop for Taken<'_, I, R> {
    fn drop(&mut self) {
        let mut state = self.work.state();
        state.taken -= 1;
        if !self.is_done {
            state.given_up.insert(self.index);
        }
        self.work.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_by_whoever_takes_it() {
        let work = WorkList::<u64, u64>::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(taken) = work.take() {
                        // A helper that gives up every third.
                        if taken.item() % 3 != 0 {
                            let square = taken.item() * taken.item();
                            taken.done(square);
                        }
                    }
                });
            }
            work.open((0..1000_u64).collect());
            while let Some(taken) = work.take_or_wait() {
                let square = taken.item() * taken.item();
                taken.done(square);
            }
        });
        let mut results = work.close();
        results.sort_unstable();
        let expected: Vec<_> = (0..1000).map(|item| (item, item * item)).collect();
        assert_eq!(results, expected);
    }

    /// The first of all that fail is the one that is told, whoever comes by it first.
    #[test]
    fn what_is_before_a_failure_is_still_done() {
        let work = WorkList::<u64, ()>::default();
        work.open((0..10).collect());
        let first = work.take();
        let second = work.take_or_wait();
        if let Some(second) = second {
            assert_eq!(*second.item(), 1);
            second.ends_the_work();
        }
        drop(first);
        let again = work.take_or_wait();
        assert_eq!(again.as_ref().map(|taken| *taken.item()), Some(0));
        if let Some(again) = again {
            again.ends_the_work();
        }
        assert!(work.take_or_wait().is_none());
    }

    #[test]
    fn helpers_end_when_the_owner_never_opens() {
        let work = WorkList::<u64, ()>::default();
        std::thread::scope(|scope| {
            let helper = scope.spawn(|| work.take().is_none());
            work.close();
            assert!(helper.join().is_ok_and(|ended| ended));
        });
    }
}
