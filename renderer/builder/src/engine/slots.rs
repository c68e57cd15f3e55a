//! How many builders run at once, and which is next: the one with the longest way to the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Slots of builders.
#[derive(Debug)]
pub(super) struct Slots(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    waiting: BinaryHeap<Waiting>,
    count: u64,
}

#[derive(Debug)]
struct Waiting {
    /// The highest first; of equals, that which came first.
    order: (usize, Reverse<u64>),
    turn: oneshot::Sender<Slot>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// A slot, free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Slots>>);

impl Slots {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: count,
            waiting: BinaryHeap::new(),
            count: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    pub(super) async fn take(self: &Arc<Self>, height: usize) -> Slot {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Slot(Some(Arc::clone(self)));
            }
            let (turn, waits) = oneshot::channel();
            state.count += 1;
            let order = (height, Reverse(state.count));
            state.waiting.push(Waiting { order, turn });
            waits
        };
        // The slots outlive this, and with them the sender.
        turn.await.unwrap_or(Slot(None))
    }

    fn give_back(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let Some(next) = state.waiting.pop() else {
                    state.free += 1;
                    return;
                };
                next
            };
            // One that no longer waits gives it back, which must not come here again.
            match next.turn.send(Slot(Some(Arc::clone(self)))) {
                Ok(()) => return,
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_highest_is_next_and_who_gave_up_is_passed_over() {
        let slots = Slots::new(1);
        let first = slots.take(1).await;
        let mut low = Box::pin(slots.take(1));
        let mut high = Box::pin(slots.take(5));
        let mut gave_up = Box::pin(slots.take(9));
        let mut also_high = Box::pin(slots.take(5));
        for waiting in [&mut low, &mut high, &mut gave_up, &mut also_high] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(gave_up);
        drop(first);
        let second = high.now_or_never().unwrap();
        assert!(low.as_mut().now_or_never().is_none());
        drop(second);
        drop(also_high.now_or_never().unwrap());
        drop(low.now_or_never().unwrap());
        assert_eq!(slots.state().free, 1);
    }

    #[tokio::test]
    async fn a_slot_that_is_given_to_one_who_gives_up_at_once_is_not_lost() {
        let slots = Slots::new(1);
        let first = slots.take(1).await;
        let mut waiting = Box::pin(slots.take(1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        // It has the slot, and was not polled again.
        drop(waiting);
        assert_eq!(slots.state().free, 1);
    }
}
