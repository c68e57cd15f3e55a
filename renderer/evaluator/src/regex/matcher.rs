//! Matching: backtracking on a stack in the heap, that remembers what it has tried once it takes long.

mod failures;

use rustc_hash::FxHashMap;

use super::program::{NONE, Node, Op, Program};
use super::{Groups, RegexError};
use failures::FailedRun;

/// Work that is done before trials are remembered: a fixed amount, and one for each byte of the text.
const EASY_STEPS: u64 = 2_000;
const EASY_STEPS_PER_BYTE: u64 = 8;
/// Work after which matching is given up: more than this, and this much for each node at each byte. Only nested repetitions
/// of what can match nothing take so long.
const MOST_STEPS: u64 = 1 << 24;
const MOST_STEPS_PER_TRIAL: u64 = 4;
/// Longer texts are not matched.
const MOST_TEXT: usize = 1 << 30;
/// Places on the stack.
const MOST_FRAMES: usize = 1 << 24;

/// One trial at one place.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub start: usize,
    /// The match must reach the end of the text.
    pub exact: bool,
    /// The match must not be empty.
    pub not_empty: bool,
    /// `^` matches here.
    pub text_start: bool,
}

/// What to do when the last alternative has been tried through.
#[derive(Clone, Copy)]
enum Frame {
    /// The body of a repetition was tried; go on without it if that led nowhere.
    Leave {
        node: u32,
        place: u32,
    },
    /// A run was tried up to a place further on; try it shorter.
    Shorten {
        node: u32,
        least: u32,
        place: u32,
    },
    /// The first alternative was tried; try the other.
    Other {
        node: u32,
        place: u32,
    },
    /// Both alternatives were tried, the first with success.
    Matched,
    /// Undo what happened to a group or a guard.
    Group {
        slot: u32,
        old: u32,
    },
    Guard {
        guard: u32,
        old: (u32, u32),
    },
    Passed {
        place: u32,
        key: u64,
    },
    /// Remember what came of it.
    Remember {
        node: u32,
        place: u32,
        key: u64,
    },
}

/// Memory that is kept from match to match.
#[derive(Default)]
pub(super) struct Memory {
    stack: Vec<Frame>,
    /// Where groups start and end, two for each.
    slots: Vec<u32>,
    /// Where and how often each guarded repetition was last entered.
    guards: Vec<(u32, u32)>,
    failed_runs: Vec<FailedRun>,
    remembered: FxHashMap<(u32, u32, u64), u32>,
    groups: Vec<Option<(usize, usize)>>,
    /// Trials are remembered from the start, so that tests see what that changes: nothing.
    #[cfg(test)]
    pub(super) remember_at_once: bool,
}

impl Memory {
    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }
}

/// Matches one pattern with one text, several times over.
pub(super) struct Matcher<'m> {
    program: &'m Program,
    text: &'m [u8],
    memory: &'m mut Memory,
    steps: u64,
    easy_steps: u64,
    most_steps: u64,
    /// Number of the attempt.
    attempt: u32,
    /// The end of the best match of the attempt.
    best: Option<usize>,
    /// What is being tried has led to a match.
    matched: bool,
    /// Which guards were passed at that place: what comes of a trial there depends on it.
    passed: (u32, u64),
    /// The last attempt was not undone, because it led to the best match there can be.
    left_over: bool,
    now: Attempt,
}

impl<'m> Matcher<'m> {
    pub(super) fn new(
        program: &'m Program,
        text: &'m [u8],
        scratch: &'m mut super::Scratch,
    ) -> Result<Self, RegexError> {
        if text.len() > MOST_TEXT {
            return Err(RegexError::TooLarge);
        }
        let memory = &mut scratch.matcher;
        if !memory.remembered.is_empty() {
            memory.remembered = FxHashMap::default();
        }
        memory.failed_runs.clear();
        let trials = program.nodes.len() as u64 * (text.len() as u64 + 1);
        let easy_steps = EASY_STEPS + EASY_STEPS_PER_BYTE * text.len() as u64;
        #[cfg(test)]
        let easy_steps = if memory.remember_at_once {
            0
        } else {
            easy_steps
        };
        Ok(Self {
            program,
            text,
            memory,
            steps: 0,
            easy_steps,
            most_steps: MOST_STEPS + MOST_STEPS_PER_TRIAL * trials,
            attempt: 0,
            best: None,
            matched: false,
            passed: (NONE, 0),
            left_over: true,
            now: Attempt {
                start: 0,
                exact: false,
                not_empty: false,
                text_start: false,
            },
        })
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.memory.groups
    }

    /// The first match from a place on.
    pub(super) fn search(
        &mut self,
        mut start: usize,
        mut text_start: bool,
    ) -> Result<Option<(usize, usize)>, RegexError> {
        while start <= self.text.len() {
            if self.program.first.is_some() {
                let Some(candidate) = self.next_candidate(start) else {
                    return Ok(None);
                };
                text_start &= candidate == start;
                start = candidate;
            }
            let attempt = Attempt {
                start,
                exact: false,
                not_empty: false,
                text_start,
            };
            if let Some(end) = self.attempt(attempt)? {
                return Ok(Some((start, end)));
            }
            start += 1;
            text_start = false;
        }
        Ok(None)
    }

    /// The next place with a byte that a match can start with.
    fn next_candidate(&self, start: usize) -> Option<usize> {
        let rest = self.text.get(start..)?;
        let found = match (self.program.few_first.as_deref(), &self.program.first) {
            (Some(&[a]), _) => memchr::memchr(a, rest),
            (Some(&[a, b]), _) => memchr::memchr2(a, b, rest),
            (Some(&[a, b, c]), _) => memchr::memchr3(a, b, c, rest),
            (_, Some(first)) => rest.iter().position(|&byte| first.contains(byte)),
            (_, None) => Some(0),
        };
        Some(start + found?)
    }

    /// Tries to match at one place; the end of the match.
    pub(super) fn attempt(&mut self, attempt: Attempt) -> Result<Option<usize>, RegexError> {
        self.now = attempt;
        self.attempt += 1;
        self.best = None;
        self.matched = false;
        if self.left_over {
            self.clear();
        }
        let mut next = Some((self.program.start, attempt.start));
        while let Some((node, place)) = next {
            if self.forward(node, place)? {
                self.left_over = true;
                break;
            }
            next = self.backtrack();
        }
        Ok(self.best)
    }

    fn clear(&mut self) {
        self.left_over = false;
        self.passed = (NONE, 0);
        let memory = &mut *self.memory;
        memory.stack.clear();
        memory.slots.clear();
        memory.slots.resize(2 * self.program.groups, NONE);
        memory.guards.clear();
        memory.guards.resize(self.program.guards, (NONE, 0));
    }

    /// Goes on from a node until nothing matches any more. True: no better match can be found.
    fn forward(&mut self, node: u32, place: usize) -> Result<bool, RegexError> {
        let program = self.program;
        let (mut node, mut place) = (node, place);
        loop {
            let Node { op, next } = program.nodes[node as usize];
            match op {
                Op::Byte(byte) => {
                    if self.text.get(place) != Some(&byte) {
                        return Ok(false);
                    }
                    place += 1;
                }
                Op::Set(set) => {
                    let set = &program.sets[set as usize];
                    if !self.text.get(place).is_some_and(|&byte| set.contains(byte)) {
                        return Ok(false);
                    }
                    place += 1;
                }
                Op::GroupBegin(group) => self.set_slot(2 * group, place),
                Op::GroupEnd(group) => self.set_slot(2 * group + 1, place),
                Op::TextStart => {
                    if place != self.now.start || !self.now.text_start {
                        return Ok(false);
                    }
                }
                Op::TextEnd => {
                    if place != self.text.len() {
                        return Ok(false);
                    }
                }
                Op::Skip => {}
                Op::Accept => return Ok(self.accept(place)),
                Op::Run { .. } => {
                    if !self.enter(node, place)? {
                        return Ok(false);
                    }
                    let Some(end) = self.run(node, place) else {
                        return Ok(false);
                    };
                    place = end;
                }
                Op::Alternatives(first) => {
                    if !self.enter(node, place)? {
                        return Ok(false);
                    }
                    self.push(Frame::Other {
                        node: next,
                        place: place as u32,
                    });
                    node = first;
                    continue;
                }
                Op::Repeat { body, guard } => {
                    if !self.enter(node, place)? {
                        return Ok(false);
                    }
                    self.push(Frame::Leave {
                        node: next,
                        place: place as u32,
                    });
                    if guard == NONE || self.pass(guard, place) {
                        node = body;
                        continue;
                    }
                    self.memory.stack.pop();
                }
            }
            node = next;
        }
    }

    #[inline]
    fn push(&mut self, frame: Frame) {
        self.memory.stack.push(frame);
    }

    #[inline]
    fn set_slot(&mut self, slot: u32, place: usize) {
        let old = self.memory.slots[slot as usize];
        self.push(Frame::Group { slot, old });
        self.memory.slots[slot as usize] = place as u32;
    }

    /// A repetition whose body can match nothing is entered at one place no more than twice.
    fn pass(&mut self, guard: u32, place: usize) -> bool {
        let old = self.memory.guards[guard as usize];
        let count = if old.0 == place as u32 { old.1 } else { 0 };
        if count >= 2 {
            return false;
        }
        self.push(Frame::Guard { guard, old });
        let (at, key) = self.passed;
        self.push(Frame::Passed { place: at, key });
        let known = self.passed_at(place as u32);
        self.passed = (place as u32, known.wrapping_add(weight(guard)));
        self.memory.guards[guard as usize] = (place as u32, count + 1);
        true
    }

    /// The match counts if it is longer than those before. True: it is the best there can be.
    fn accept(&mut self, place: usize) -> bool {
        let at_end = place == self.text.len();
        if (self.now.exact && !at_end) || (self.now.not_empty && place == self.now.start) {
            return false;
        }
        self.matched = true;
        if self.best.is_none_or(|best| best < place) {
            self.best = Some(place);
            let slots = self.memory.slots.chunks_exact(2);
            let groups = slots.map(|slot| {
                let (begin, end) = (slot[0], slot[1]);
                (end != NONE).then_some((begin as usize, end as usize))
            });
            self.memory.groups.clear();
            self.memory.groups.extend(groups);
        }
        at_end
    }

    /// A place where there is a choice. False: what would come of it is known, and need not be tried.
    #[inline]
    fn enter(&mut self, node: u32, place: usize) -> Result<bool, RegexError> {
        self.steps += 1;
        if self.memory.stack.len() > MOST_FRAMES {
            return Err(RegexError::TooLarge);
        }
        if self.steps < self.easy_steps {
            return Ok(true);
        }
        self.enter_remembering(node, place as u32)
    }

    /// The longest run from a place on that something can follow; shorter ones are tried later.
    fn run(&mut self, node: u32, place: usize) -> Option<usize> {
        let Op::Run { set, run, .. } = self.program.nodes[node as usize].op else {
            return None;
        };
        let failed = self.memory.failed_runs.get(run as usize).copied();
        let failed = failed.filter(|failed| failed.attempt == 0 || failed.attempt == self.attempt);
        let place = place as u32;
        let mut end = self.run_end(set, place as usize, failed);
        if let Some(failed) = failed
            && end == failed.end
        {
            if place >= failed.from {
                return None;
            }
            // Runs that reach so far have been tried.
            end = failed.from - 1;
        }
        self.shorten(node, place, end)
    }

    /// The longest run that ends at `place` or before and that something can follow.
    fn shorten(&mut self, node: u32, least: u32, place: u32) -> Option<usize> {
        let Op::Run { follow, .. } = self.program.nodes[node as usize].op else {
            return None;
        };
        let mut place = place;
        if follow != NONE {
            let follow = &self.program.sets[follow as usize];
            let follows = |place: u32| {
                let byte = self.text.get(place as usize);
                byte.is_some_and(|&byte| follow.contains(byte))
            };
            place = (least..=place).rev().find(|&place| follows(place))?;
        }
        if place > least {
            self.push(Frame::Shorten {
                node,
                least,
                place: place - 1,
            });
        }
        Some(place as usize)
    }

    /// The next thing to try.
    fn backtrack(&mut self) -> Option<(u32, usize)> {
        while let Some(frame) = self.memory.stack.pop() {
            match frame {
                Frame::Leave { node, place } => {
                    if !self.matched {
                        return Some((node, place as usize));
                    }
                }
                Frame::Shorten { node, least, place } => {
                    if !self.matched
                        && let Some(end) = self.shorten(node, least, place)
                    {
                        self.steps += 1;
                        return Some((self.program.nodes[node as usize].next, end));
                    }
                }
                Frame::Other { node, place } => {
                    if self.matched {
                        self.push(Frame::Matched);
                        self.matched = false;
                    }
                    return Some((node, place as usize));
                }
                Frame::Matched => self.matched = true,
                Frame::Group { slot, old } => self.memory.slots[slot as usize] = old,
                Frame::Passed { place, key } => self.passed = (place, key),
                Frame::Guard { guard, old } => self.memory.guards[guard as usize] = old,
                Frame::Remember { node, place, key } => self.remember(node, place, key),
            }
        }
        None
    }
}

/// A number for a guard, such that sums of them tell apart which guards were passed how often.
fn weight(guard: u32) -> u64 {
    let mut number = (u64::from(guard) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
