//! A budget that namespaces take turns at: a namespace with much to do delays no other by more than what is being done.
//!
//! A plain semaphore serves in the order of arrival. A tenant with thousands of workloads would then stand in front of all
//! others, for as long as his take together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A number of units, and who waits for some of them.
#[derive(Debug)]
pub(crate) struct Turns {
    /// How many units there are.
    units: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Namespaces with waiters, the one whose turn is next first. None of the queues is empty.
    waiting: VecDeque<(String, VecDeque<Waiter>)>,
}

#[derive(Debug)]
struct Waiter {
    units: usize,
    granted: oneshot::Sender<Turn>,
}

/// Units that were taken, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    units: usize,
}

impl Turns {
    pub(crate) fn new(units: usize) -> Arc<Self> {
        let state = State {
            free: units,
            waiting: VecDeque::new(),
        };
        Arc::new(Self {
            units,
            state: Mutex::new(state),
        })
    }

    /// Takes `units` for `namespace`, all there are if it asks for more. Namespaces are served one after the other, what one asks
    /// for in its own order. To drop the future is to leave the queue.
    pub(crate) async fn take(self: &Arc<Self>, namespace: &str, units: usize) -> Turn {
        let units = units.min(self.units);
        let (granted, turn) = oneshot::channel();
        let waiter = Waiter { units, granted };
        {
            let mut state = self.state();
            let queue = state.waiting.iter_mut().find(|(name, _)| name == namespace);
            match queue {
                Some((_, queue)) => queue.push_back(waiter),
                None => state
                    .waiting
                    .push_back((namespace.to_owned(), VecDeque::from([waiter]))),
            }
        }
        self.serve();
        match turn.await {
            Ok(turn) => turn,
            Err(_) => {
                unreachable!("a waiter leaves the queue only with its turn, or with its future")
            }
        }
    }

    /// Grants what is free. The next one waits for enough units rather than being overtaken by others that ask for less.
    fn serve(self: &Arc<Self>) {
        loop {
            // A statement of its own, which releases the lock: a turn whose receiver is gone takes it to give its units back.
            let next = self.state().next();
            let Some((granted, units)) = next else {
                return;
            };
            let turns = Arc::clone(self);
            drop(granted.send(Turn { turns, units }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next to be served, if there is enough for it. Its namespace goes to the end.
    fn next(&mut self) -> Option<(oneshot::Sender<Turn>, usize)> {
        while let Some((namespace, mut queue)) = self.waiting.pop_front() {
            // A future that was dropped is in no queue any more.
            while (queue.front()).is_some_and(|waiter| waiter.granted.is_closed()) {
                queue.pop_front();
            }
            let fits = (queue.front()).is_some_and(|waiter| waiter.units <= self.free);
            let Some(waiter) = fits.then(|| queue.pop_front()).flatten() else {
                if queue.is_empty() {
                    continue;
                }
                self.waiting.push_front((namespace, queue));
                return None;
            };
            if !queue.is_empty() {
                self.waiting.push_back((namespace, queue));
            }
            self.free -= waiter.units;
            return Some((waiter.granted, waiter.units));
        }
        None
    }
}

impl Turn {
    /// Gives back all but `units`.
    pub(crate) fn shrink(&mut self, units: usize) {
        let excess = self.units.saturating_sub(units);
        self.units -= excess;
        self.turns.state().free += excess;
        self.turns.serve();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Takes `units` when it is the turn of `namespace`, notes it in `order`, and gives them back.
    async fn one(turns: Arc<Turns>, order: Arc<Mutex<Vec<String>>>, namespace: &str, units: usize) {
        let turn = turns.take(namespace, units).await;
        order.lock().unwrap().push(namespace.to_owned());
        tokio::task::yield_now().await;
        drop(turn);
    }

    #[tokio::test]
    async fn a_namespace_with_much_to_do_delays_no_other() {
        let (turns, order) = (Turns::new(2), Arc::default());
        let held = turns.take("many", 2).await;
        let waiting = ["many"; 6].into_iter().chain(["one", "two"]);
        let all = futures::future::join_all(
            waiting.map(|namespace| one(turns.clone(), Arc::clone(&order), namespace, 1)),
        );
        tokio::join!(all, async { drop(held) });
        let order = order.lock().unwrap();
        assert_eq!(order[..4], ["many", "one", "two", "many"], "{order:?}");
        assert_eq!(turns.state().free, 2);
    }

    #[tokio::test]
    async fn who_asks_for_much_is_not_overtaken() {
        let turns = Turns::new(4);
        let held = turns.take("a", 3).await;
        let mut large = Box::pin(turns.take("b", 9));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(turns.take("c", 1));
        assert!(small.as_mut().now_or_never().is_none(), "it overtook");
        drop(held);
        let mut turn = large.as_mut().now_or_never().expect("all is free");
        assert_eq!(turn.units, 4);
        assert!(small.as_mut().now_or_never().is_none());
        turn.shrink(3);
        assert!(small.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn futures_that_are_dropped_hold_nothing() {
        let turns = Turns::new(1);
        let held = turns.take("a", 1).await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take("b", 1))).collect();
        for future in &mut waiting {
            assert!(future.as_mut().now_or_never().is_none());
        }
        drop(waiting.remove(0));
        drop(held);
        // The second was granted its turn, and never looked.
        drop(waiting);
        assert!(turns.take("c", 1).now_or_never().is_some());
        assert!(turns.state().waiting.is_empty());
    }
}
