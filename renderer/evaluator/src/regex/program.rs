//! What a pattern is compiled to.

use memchr::memmem::Finder;

use super::brackets::ByteSet;

/// No node, no set.
pub(super) const NONE: u32 = u32::MAX;

/// One step of matching; `next` is where it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub next: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Byte(u8),
    /// One byte of that set.
    Set(u32),
    /// As many bytes of that set as let the rest match. `follow`: the set of bytes that can come after, if known.
    Run {
        set: u32,
        run: u32,
        follow: u32,
    },
    GroupBegin(u32),
    GroupEnd(u32),
    TextStart,
    TextEnd,
    /// Both are tried: that node first, then `next`; the longer match counts, of equal ones the first.
    Alternatives(u32),
    /// The body first; `next` only if that leads to no match. A body that can be empty has a guard.
    Repeat {
        body: u32,
        guard: u32,
    },
    /// Nothing.
    Skip,
    Accept,
}

/// A compiled pattern.
pub(super) struct Program {
    pub nodes: Vec<Node>,
    pub sets: Vec<ByteSet>,
    pub start: u32,
    pub groups: usize,
    /// How many repetitions have a guard.
    pub guards: usize,
    pub runs: usize,
    /// Somewhere in it is `^`.
    pub has_text_start: bool,
    /// The bytes that a match can start with; `None` if it can be empty.
    pub first: Option<ByteSet>,
    /// The same if they are at most three.
    pub few_first: Option<Vec<u8>>,
    /// The pattern is only this text.
    pub literal: Option<Finder<'static>>,
}

/// This many nodes are looked at to find out with which byte a match, or what follows a run, can start.
const LOOK_AT_START: usize = 512;
const LOOK_AFTER_RUN: usize = 32;
/// One of this many recent sets is used again rather than kept twice.
const RECENT_SETS: usize = 16;

impl Program {
    /// A match can start with that byte, or at the end of the text.
    pub(super) fn can_start_with(&self, byte: Option<&u8>) -> bool {
        match (&self.first, byte) {
            (None, _) => true,
            (Some(first), Some(&byte)) => first.contains(byte),
            (Some(_), None) => false,
        }
    }

    /// Leaves out steps that do nothing, and finds out what makes matching fast.
    pub(super) fn finish(&mut self) {
        for index in (0..self.nodes.len()).rev() {
            let Node { op, next } = self.nodes[index];
            let op = match op {
                Op::Alternatives(left) => Op::Alternatives(self.past_skips(left)),
                Op::Repeat { body, guard } => Op::Repeat {
                    body: self.past_skips(body),
                    guard,
                },
                op => op,
            };
            let next = self.past_skips(next);
            self.nodes[index] = Node { op, next };
        }
        self.start = self.past_skips(self.start);
        for index in 0..self.nodes.len() {
            if let Op::Run { set, run, .. } = self.nodes[index].op
                && let Some(follow) = self.first_from(self.nodes[index].next, LOOK_AFTER_RUN)
            {
                let follow = self.add_set(follow);
                self.nodes[index].op = Op::Run { set, run, follow };
            }
        }
        self.has_text_start = self
            .nodes
            .iter()
            .any(|node| matches!(node.op, Op::TextStart));
        self.first = self.first_from(self.start, LOOK_AT_START);
        self.few_first = self.first.as_ref().and_then(|first| first.few(3));
        self.literal = self.find_literal();
    }

    pub(super) fn add_set(&mut self, set: ByteSet) -> u32 {
        let old = self.sets.len().saturating_sub(RECENT_SETS);
        let known = self.sets[old..].iter().position(|known| *known == set);
        let index = known.map_or(self.sets.len(), |index| old + index);
        if index == self.sets.len() {
            self.sets.push(set);
        }
        index as u32
    }

    fn past_skips(&self, mut node: u32) -> u32 {
        while let Some(Node {
            op: Op::Skip, next, ..
        }) = self.nodes.get(node as usize)
        {
            node = *next;
        }
        node
    }

    /// The bytes that the rest from a node on can start with; `None` if it can be empty, or that takes long to find
    /// out.
    fn first_from(&self, start: u32, most: usize) -> Option<ByteSet> {
        let mut first = ByteSet::default();
        let (mut seen, mut open) = (Vec::new(), vec![start]);
        while let Some(index) = open.pop() {
            if seen.contains(&index) {
                continue;
            }
            if seen.len() == most {
                return None;
            }
            seen.push(index);
            let Node { op, next } = self.nodes[index as usize];
            match op {
                Op::Byte(byte) => first.insert(byte),
                Op::Set(set) => first = first.union(&self.sets[set as usize]),
                Op::Run { set, .. } => {
                    first = first.union(&self.sets[set as usize]);
                    open.push(next);
                }
                Op::Alternatives(other) | Op::Repeat { body: other, .. } => {
                    open.extend([other, next]);
                }
                Op::GroupBegin(_) | Op::GroupEnd(_) | Op::TextStart | Op::Skip => open.push(next),
                Op::TextEnd | Op::Accept => return None,
            }
        }
        (first != ByteSet::FULL).then_some(first)
    }

    fn find_literal(&self) -> Option<Finder<'static>> {
        let (mut literal, mut node) = (Vec::new(), self.nodes[self.start as usize]);
        while let Op::Byte(byte) = node.op {
            literal.push(byte);
            node = self.nodes[node.next as usize];
        }
        let whole = matches!(node.op, Op::Accept) && self.groups == 0 && !literal.is_empty();
        whole.then(|| Finder::new(&literal).into_owned())
    }
}
