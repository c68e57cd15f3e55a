use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{Action, Attempt, End, Key, MOST_LOOKS, Queue, Time, Wishes};

const INTERVAL: Duration = Duration::from_mins(1);

fn key(namespace: &str, name: &str) -> Key {
    Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn wishes() -> Wishes {
    Wishes {
        generation: 1,
        interval: INTERVAL,
        ..Wishes::default()
    }
}

fn attempt(revision: &str) -> Attempt {
    Attempt {
        revision: revision.to_owned(),
        generation: 1,
        retry: None,
    }
}

fn at(seconds: u64) -> Time {
    Duration::from_secs(seconds)
}

/// A queue with one source, that was looked at.
fn looked(revision: &str) -> (Queue, Key) {
    let (mut queue, web) = (Queue::new(1), key("shop", "web"));
    queue.observe(web.clone(), wishes(), None, at(0));
    assert_eq!(queue.next(at(0)), [Action::Look(web.clone())]);
    queue.looked(&web, 1, Some(revision.to_owned()), at(1));
    (queue, web)
}

#[test]
fn the_newest_push_wins() {
    let (mut queue, web) = looked("a");
    assert_eq!(queue.next(at(1)), [Action::Run(web.clone(), attempt("a"))]);
    let pushed = Wishes {
        pushed: Some("b".to_owned()),
        ..wishes()
    };
    queue.observe(web.clone(), pushed, None, at(2));
    assert_eq!(queue.next(at(2)), [Action::Look(web.clone())]);
    queue.looked(&web, 1, Some("b".to_owned()), at(3));
    assert_eq!(queue.next(at(3)), [Action::Cancel(web.clone())]);
    assert_eq!(queue.next(at(3)), []);
    queue.looked(&web, 1, Some("c".to_owned()), at(4));
    queue.ended(&web, End::Cancelled, at(5));
    assert_eq!(queue.next(at(5)), [Action::Run(web.clone(), attempt("c"))]);
    queue.ended(&web, End::Settled, at(6));
    assert_eq!(queue.next(at(6)), []);
}

#[test]
fn failures_are_remembered_until_something_changes() {
    let (mut queue, web) = looked("a");
    queue.next(at(1));
    queue.ended(&web, End::Settled, at(2));
    for seconds in [60, 120, 180] {
        assert_eq!(queue.next(at(seconds + 1)), [Action::Look(web.clone())]);
        queue.looked(&web, 1, Some("a".to_owned()), at(seconds + 1));
        assert_eq!(queue.next(at(seconds + 1)), []);
    }
    let retry = Wishes {
        retry: Some("now".to_owned()),
        ..wishes()
    };
    queue.observe(web.clone(), retry, None, at(200));
    let again = Attempt {
        retry: Some("now".to_owned()),
        ..attempt("a")
    };
    let expected = [
        Action::Look(web.clone()),
        Action::Run(web.clone(), again.clone()),
    ];
    assert_eq!(queue.next(at(200)), expected);

    let mut restarted = Queue::new(1);
    restarted.observe(web.clone(), wishes(), Some(attempt("a")), at(0));
    restarted.next(at(0));
    restarted.looked(&web, 1, Some("a".to_owned()), at(1));
    assert_eq!(restarted.next(at(1)), [], "what was tried before a restart");
}

#[test]
fn what_may_pass_is_tried_again_after_growing_pauses() {
    let (mut queue, web) = looked("a");
    let run = Action::Run(web.clone(), attempt("a"));
    assert_eq!(queue.next(at(1)), std::slice::from_ref(&run));
    queue.ended(&web, End::Passing, at(2));
    assert_eq!(queue.wakes_at(), Some(at(17)));
    assert_eq!(queue.next(at(16)), []);
    assert_eq!(queue.next(at(17)), std::slice::from_ref(&run));
    queue.ended(&web, End::Passing, at(20));
    assert_eq!(queue.next(at(49)), []);
    assert_eq!(queue.next(at(50)), [run]);
}

#[test]
fn a_source_that_is_suspended_or_gone_is_left_alone() {
    let (mut queue, web) = looked("a");
    queue.next(at(1));
    let suspended = Wishes {
        is_suspended: true,
        ..wishes()
    };
    queue.observe(web.clone(), suspended, None, at(2));
    assert_eq!(queue.next(at(2)), [Action::Cancel(web.clone())]);
    queue.ended(&web, End::Cancelled, at(3));
    assert_eq!((queue.next(at(1000)), queue.wakes_at()), (Vec::new(), None));
    queue.observe(web.clone(), wishes(), None, at(1001));
    assert_eq!(queue.next(at(1001)).len(), 2);
    assert_eq!(queue.forget(&web), Some(Action::Cancel(web.clone())));
    assert_eq!((queue.forget(&web), queue.runs()), (None, 0));
}

#[test]
fn a_look_at_an_older_spec_does_not_count() {
    let (mut queue, web) = looked("a");
    queue.next(at(1));
    queue.ended(&web, End::Settled, at(1));
    let other = Wishes {
        generation: 2,
        ..wishes()
    };
    queue.next(at(70));
    queue.observe(web.clone(), other, None, at(70));
    queue.looked(&web, 1, Some("b".to_owned()), at(71));
    assert_eq!(queue.next(at(71)), [Action::Look(web.clone())]);
}

#[test]
fn namespaces_take_turns() {
    let mut queue = Queue::new(1);
    let mut all: Vec<Key> = (0..9)
        .map(|number| key("many", &number.to_string()))
        .collect();
    all.push(key("one", "a"));
    for source in &all {
        queue.observe(source.clone(), wishes(), None, at(0));
    }
    queue.next(at(0));
    for source in &all {
        queue.looked(source, 1, Some("a".to_owned()), at(1));
    }
    let mut order = Vec::new();
    for second in 1..=all.len() as u64 {
        let actions = queue.next(at(second));
        let [Action::Run(source, _)] = &actions[..] else {
            panic!("{actions:?}");
        };
        queue.ended(source, End::Settled, at(second));
        order.push(source.namespace.clone());
    }
    let position = order.iter().position(|namespace| namespace == "one");
    assert!(position.is_some_and(|position| position <= 1), "{order:?}");
}

/// What may happen.
#[derive(Debug, Clone)]
enum Happening {
    Push(usize),
    Edit(usize),
    Suspend(usize, bool),
    Retry(usize),
    Gone(usize),
    LookEnds(usize, bool),
    RunEnds(usize, u8),
    Wait(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let source = 0..6_usize;
    prop_oneof![
        4 => source.clone().prop_map(Happening::Push),
        1 => source.clone().prop_map(Happening::Edit),
        1 => (source.clone(), any::<bool>()).prop_map(|(source, is)| Happening::Suspend(source, is)),
        1 => source.clone().prop_map(Happening::Retry),
        1 => source.clone().prop_map(Happening::Gone),
        6 => (source.clone(), any::<bool>()).prop_map(|(source, is)| Happening::LookEnds(source, is)),
        6 => (source, 0..3_u8).prop_map(|(source, end)| Happening::RunEnds(source, end)),
        2 => (1..100_u64).prop_map(Happening::Wait),
    ]
}

/// The world that the queue is about, as its user sees it.
#[derive(Default)]
struct World {
    now: Time,
    branches: BTreeMap<Key, u32>,
    wishes: BTreeMap<Key, Wishes>,
    looking: BTreeMap<Key, i64>,
    /// What runs, and whether it was cancelled.
    running: BTreeMap<Key, (Attempt, bool)>,
    settled: BTreeMap<Key, Attempt>,
}

impl World {
    fn act(&mut self, queue: &mut Queue, most: usize) {
        for action in queue.next(self.now) {
            match action {
                Action::Look(key) => {
                    let generation = self.wishes[&key].generation;
                    assert_eq!(
                        self.looking.insert(key, generation),
                        None,
                        "one look at a time"
                    );
                }
                Action::Run(key, attempt) => {
                    assert!(!self.wishes[&key].is_suspended);
                    assert_ne!(self.settled.get(&key), Some(&attempt), "it was settled");
                    let before = self.running.insert(key, (attempt, false));
                    assert_eq!(before, None, "one run at a time");
                }
                Action::Cancel(key) => {
                    let running = self.running.get_mut(&key).expect("it runs");
                    assert!(!std::mem::replace(&mut running.1, true), "cancelled twice");
                }
            }
        }
        assert!(self.running.len() <= most && self.looking.len() <= MOST_LOOKS);
    }

    fn look_ends(&mut self, queue: &mut Queue, key: &Key, is_found: bool) {
        if let Some(generation) = self.looking.remove(key) {
            let tip = is_found.then(|| self.branches[key].to_string());
            queue.looked(key, generation, tip, self.now);
        }
    }

    fn run_ends(&mut self, queue: &mut Queue, key: &Key, end: End) {
        if let Some((attempt, is_cancelled)) = self.running.remove(key) {
            let end = if is_cancelled { End::Cancelled } else { end };
            if end == End::Settled {
                self.settled.insert(key.clone(), attempt);
            }
            queue.ended(key, end, self.now);
        }
    }

    fn happen(&mut self, queue: &mut Queue, happening: &Happening) {
        let key = |number: &usize| key(&(number % 3).to_string(), &number.to_string());
        match happening {
            Happening::Push(number) => {
                let key = key(number);
                let tip = self.branches.entry(key.clone()).or_default();
                *tip += 1;
                let wishes = self.wishes.entry(key.clone()).or_insert_with(wishes);
                wishes.pushed = Some(tip.to_string());
                queue.observe(key, wishes.clone(), None, self.now);
            }
            Happening::Edit(number) => {
                self.change(queue, &key(number), |wishes| wishes.generation += 1);
            }
            Happening::Suspend(number, is) => {
                self.change(queue, &key(number), |wishes| wishes.is_suspended = *is);
            }
            Happening::Retry(number) => {
                let token = format!("{:?}", self.now);
                self.change(queue, &key(number), |wishes| wishes.retry = Some(token));
            }
            Happening::Gone(number) => {
                let key = key(number);
                let was_running = self.running.remove(&key).is_some();
                assert_eq!(queue.forget(&key).is_some(), was_running);
                self.wishes.remove(&key);
                self.looking.remove(&key);
                self.settled.remove(&key);
            }
            Happening::LookEnds(number, is_found) => self.look_ends(queue, &key(number), *is_found),
            Happening::RunEnds(number, end) => {
                let end = [End::Settled, End::Passing, End::Settled][usize::from(*end)];
                self.run_ends(queue, &key(number), end);
            }
            Happening::Wait(seconds) => self.now += Duration::from_secs(*seconds),
        }
    }

    fn change(&mut self, queue: &mut Queue, key: &Key, change: impl FnOnce(&mut Wishes)) {
        if let Some(wishes) = self.wishes.get_mut(key) {
            change(wishes);
            queue.observe(key.clone(), wishes.clone(), None, self.now);
        }
    }
}

proptest! {
    /// Whatever happens: one run of a source at a time, never more in all than may be; and in the end each source that is not
    /// suspended was settled as it is.
    #[test]
    fn every_source_comes_to_its_newest_attempt(
        happenings in prop::collection::vec(happening(), 1..200),
        most in 1..4_usize,
    ) {
        let (mut queue, mut world) = (Queue::new(most), World::default());
        for happening in &happenings {
            world.happen(&mut queue, happening);
            world.act(&mut queue, most);
        }
        for _ in 0..200 {
            world.act(&mut queue, most);
            for key in world.looking.keys().cloned().collect::<Vec<_>>() {
                world.look_ends(&mut queue, &key, true);
            }
            for key in world.running.keys().cloned().collect::<Vec<_>>() {
                world.run_ends(&mut queue, &key, End::Settled);
            }
            world.now += Duration::from_secs(100);
        }
        for (key, wishes) in &world.wishes {
            if !wishes.is_suspended {
                let expected = Attempt {
                    revision: world.branches[key].to_string(),
                    generation: wishes.generation,
                    retry: wishes.retry.clone(),
                };
                prop_assert_eq!(world.settled.get(key), Some(&expected));
            }
        }
    }
}
