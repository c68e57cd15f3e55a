//! Fair shares of something limited.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::store::lock;

/// A semaphore that is shared by parties. No party gets more than leaves as much free for others: the first may have half of
/// all, the second half of the rest, and so on. So a party that holds what it has for a long time keeps no other waiting.
/// A party that has nothing gets something even if that makes it half as much again as there is.
///
/// Those who wait are served in turns, a party after the other, and within a party in the order in which they came.
#[derive(Debug)]
pub(crate) struct Shares<P: Party> {
    total: u64,
    state: Mutex<State<P>>,
}

/// What names a party.
pub(crate) trait Party: Clone + Eq + Hash + Send + std::fmt::Debug + 'static {}

impl<P: Clone + Eq + Hash + Send + std::fmt::Debug + 'static> Party for P {}

#[derive(Debug)]
struct State<P: Party> {
    held: u64,
    parties: HashMap<P, Share<P>>,
    /// Parties with a waiter, the next one first.
    turns: VecDeque<P>,
}

#[derive(Debug)]
struct Share<P: Party> {
    held: u64,
    waiting: VecDeque<Waiting<P>>,
}

#[derive(Debug)]
struct Waiting<P: Party> {
    amount: u64,
    most: u64,
    granted: oneshot::Sender<Permit<P>>,
    before: Arc<AtomicU64>,
}

/// Part of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit<P: Party> {
    shares: Arc<Shares<P>>,
    party: P,
    amount: u64,
}

impl<P: Party> Drop for Permit<P> {
    fn drop(&mut self) {
        let shares = Arc::clone(&self.shares);
        shares.give_back(&self.party, self.amount);
    }
}

/// What a waiter reads: how many are before it in its party's queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before(pub(super) Arc<AtomicU64>);

impl<P: Party> Shares<P> {
    pub(crate) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self {
            total,
            state: Mutex::new(State {
                held: 0,
                parties: HashMap::new(),
                turns: VecDeque::new(),
            }),
        })
    }

    /// The most that one party may have.
    pub(crate) fn most(&self) -> u64 {
        (self.total / 2).max(1)
    }

    /// Waits for a part of it. A party never holds more than `most`; who asks for more than it may have at all gets as much as
    /// it may.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        party: P,
        amount: u64,
        most: u64,
        before: &Before,
    ) -> Permit<P> {
        let most = most.clamp(1, self.most());
        let amount = amount.min(most);
        let receiver = {
            let mut state = lock(&self.state);
            let is_first = state.parties.get_mut(&party).is_none_or(|share| {
                share.waiting.retain(|waiting| !waiting.granted.is_closed());
                share.waiting.is_empty()
            });
            if is_first && state.may_have(self.total, &party, amount, most) {
                return self.grant(&mut state, party, amount);
            }
            let (granted, receiver) = oneshot::channel();
            let share = state.parties.entry(party.clone()).or_insert(Share {
                held: 0,
                waiting: VecDeque::new(),
            });
            before.0.store(share.waiting.len() as u64 + 1, Relaxed);
            share.waiting.push_back(Waiting {
                amount,
                most,
                granted,
                before: Arc::clone(&before.0),
            });
            if !state.turns.contains(&party) {
                state.turns.push_back(party);
            }
            receiver
        };
        match receiver.await {
            Ok(permit) => {
                before.0.store(0, Relaxed);
                permit
            }
            // Senders are dropped only with the shares, which this holds.
            Err(_) => std::future::pending().await,
        }
    }

    /// A part of it, if it can be had without waiting.
    pub(crate) fn try_acquire(self: &Arc<Self>, party: P, amount: u64) -> Option<Permit<P>> {
        let mut state = lock(&self.state);
        let is_possible =
            amount <= self.most() && state.may_have(self.total, &party, amount, self.most());
        is_possible.then(|| self.grant(&mut state, party, amount))
    }

    fn grant(self: &Arc<Self>, state: &mut State<P>, party: P, amount: u64) -> Permit<P> {
        state.held += amount;
        let share = state.parties.entry(party.clone()).or_insert(Share {
            held: 0,
            waiting: VecDeque::new(),
        });
        share.held += amount;
        Permit {
            shares: Arc::clone(self),
            party,
            amount,
        }
    }

    fn give_back(self: &Arc<Self>, party: &P, amount: u64) {
        let mut granted = Vec::new();
        {
            let mut state = lock(&self.state);
            state.held -= amount;
            if let Some(share) = state.parties.get_mut(party) {
                share.held -= amount;
            }
            self.serve(&mut state, &mut granted);
            if let Some(share) = state.parties.get(party)
                && share.held == 0
                && share.waiting.is_empty()
            {
                state.parties.remove(party);
            }
        }
        // One that is not waited for any more is given back as it is dropped, which must not happen under the lock.
        for (sender, permit) in granted {
            let _ = sender.send(permit);
        }
    }

    /// Grants what can be, in turns.
    fn serve(
        self: &Arc<Self>,
        state: &mut State<P>,
        granted: &mut Vec<(oneshot::Sender<Permit<P>>, Permit<P>)>,
    ) {
        let mut passed = 0;
        while passed < state.turns.len() {
            let Some(party) = state.turns.pop_front() else {
                return;
            };
            let next = state.parties.get_mut(&party).and_then(|share| {
                // A waiter that gave up delays no other.
                share.waiting.retain(|waiting| !waiting.granted.is_closed());
                let next = share.waiting.front();
                next.map(|waiting| (waiting.amount, waiting.most))
            });
            let Some((amount, most)) = next else {
                let is_idle = |share: &Share<P>| share.held == 0;
                if state.parties.get(&party).is_some_and(is_idle) {
                    state.parties.remove(&party);
                }
                continue;
            };
            if !state.may_have(self.total, &party, amount, most) {
                passed += 1;
                state.turns.push_back(party);
                continue;
            }
            passed = 0;
            let waiting = state.parties.get_mut(&party).and_then(|share| {
                let waiting = share.waiting.pop_front();
                for (place, left) in share.waiting.iter().enumerate() {
                    left.before.store(place as u64 + 1, Relaxed);
                }
                waiting
            });
            if let Some(waiting) = waiting {
                let permit = self.grant(state, party.clone(), amount);
                granted.push((waiting.granted, permit));
            }
            state.turns.push_back(party);
        }
    }
}

impl<P: Party> State<P> {
    fn may_have(&self, total: u64, party: &P, amount: u64, most: u64) -> bool {
        let own = self.parties.get(party).map_or(0, |share| share.held);
        if own == 0 {
            return self.held + amount <= total + total / 2;
        }
        let others = self.held - own;
        own + amount <= most && own + amount <= total.saturating_sub(others) / 2
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn take(
        shares: &Arc<Shares<&'static str>>,
        party: &'static str,
        amount: u64,
    ) -> Option<Permit<&'static str>> {
        shares
            .acquire(party, amount, u64::MAX, &Before::default())
            .now_or_never()
    }

    #[test]
    fn whatever_some_parties_hold_another_gets_something_at_once() {
        let shares = Shares::new(64);
        let mut held = Vec::new();
        for party in ["a", "b", "c", "d"] {
            let mut had = 0;
            while let Some(permit) = take(&shares, party, 1) {
                had += 1;
                held.push(permit);
            }
            assert!(had >= 1, "{party}");
            if party == "a" {
                assert_eq!(had, 32);
            }
        }
        assert!(take(&shares, "e", 1).is_some());
    }

    #[tokio::test]
    async fn those_who_wait_are_served_in_turns() {
        let shares = Shares::new(2);
        let first = take(&shares, "a", 1).unwrap();
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut tasks = Vec::new();
        for party in ["a", "a", "a", "b", "b"] {
            let (shares, order) = (Arc::clone(&shares), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let permit = shares.acquire(party, 1, 1, &Before::default()).await;
                lock(&order).push(party);
                tokio::task::yield_now().await;
                drop(permit);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        let order = lock(&order).clone();
        assert_eq!(order.len(), 5);
        assert!(
            order[..3].contains(&"b") && order[..3].contains(&"a"),
            "{order:?}"
        );
        assert_eq!(lock(&shares.state).parties.len(), 0);
        assert_eq!(lock(&shares.state).held, 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_in_nobodys_way() {
        let shares = Shares::new(2);
        let first = take(&shares, "a", 1).unwrap();
        let before = Before::default();
        {
            let waits = shares.acquire("a", 1, 1, &before);
            tokio::pin!(waits);
            assert!(waits.as_mut().now_or_never().is_none());
            assert_eq!(before.0.load(Relaxed), 1);
        }
        let second = {
            let shares = Arc::clone(&shares);
            tokio::spawn(async move { shares.acquire("a", 1, 1, &Before::default()).await })
        };
        tokio::task::yield_now().await;
        drop(first);
        drop(second.await.unwrap());
        assert_eq!(lock(&shares.state).held, 0);
    }

    #[test]
    fn nothing_is_granted_that_is_not_there() {
        let shares = Shares::new(10);
        let half = shares.try_acquire("a", 5).unwrap();
        assert!(shares.try_acquire("a", 1).is_none());
        assert!(shares.try_acquire("b", 6).is_none());
        let other = shares.try_acquire("b", 5).unwrap();
        assert!(shares.try_acquire("c", 5).is_some());
        drop((half, other));
        assert!(shares.try_acquire("a", 5).is_some());
    }
}
