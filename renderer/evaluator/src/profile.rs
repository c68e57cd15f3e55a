//! Which functions the time goes to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::eval::Evaluator;
use crate::limits::Callee;
use crate::position::PosIdx;
use crate::symbol::Symbol;

/// As much time passes between two looks at what is being called, at least.
const PERIOD: Duration = Duration::from_micros(200);

/// A function that is being called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Frame<'a> {
    Function(PosIdx, Option<Symbol>),
    Builtin(&'a str),
}

impl<'a> Frame<'a> {
    pub(crate) fn of(callee: Callee<'a>) -> Option<Self> {
        match callee {
            Callee::Function(code) => Some(Frame::Function(code.positions[0], code.name.get())),
            Callee::Builtin(name) => Some(Frame::Builtin(name)),
            Callee::Other => None,
        }
    }
}

/// Calls that were seen, as a tree: what calls, and in it what is called.
struct Node<'a> {
    frame: Option<Frame<'a>>,
    parent: usize,
    time: Duration,
    called: BTreeMap<Frame<'a>, usize>,
}

/// The stack of calls, and how much time was spent in which.
///
/// Calls say when they begin, not when they end: the time until the next call begins counts for the last one.
pub(crate) struct Profile<'a> {
    /// How deeply each is nested, and what it is.
    stack: Vec<(u32, Frame<'a>)>,
    nodes: Vec<Node<'a>>,
    last: Instant,
}

impl Default for Profile<'_> {
    fn default() -> Self {
        let root = Node {
            frame: None,
            parent: 0,
            time: Duration::ZERO,
            called: BTreeMap::new(),
        };
        Self {
            stack: Vec::new(),
            nodes: vec![root],
            last: Instant::now(),
        }
    }
}

impl<'a> Profile<'a> {
    /// A call begins at this depth; what was called at it or deeper has ended.
    pub(crate) fn enter(&mut self, depth: u32, frame: Option<Frame<'a>>) {
        if self.last.elapsed() >= PERIOD {
            self.sample();
        }
        while self.stack.last().is_some_and(|(other, _)| *other >= depth) {
            self.stack.pop();
        }
        self.stack.extend(frame.map(|frame| (depth, frame)));
    }

    fn sample(&mut self) {
        let mut node = 0;
        for (_, frame) in &self.stack {
            let new = self.nodes.len();
            let called = *self.nodes[node].called.entry(*frame).or_insert(new);
            if called == new {
                self.nodes.push(Node {
                    frame: Some(*frame),
                    parent: node,
                    time: Duration::ZERO,
                    called: BTreeMap::new(),
                });
            }
            node = called;
        }
        let now = Instant::now();
        self.nodes[node].time += now - self.last;
        self.last = now;
    }
}

impl Evaluator<'_> {
    /// Writes what [`Settings::profile`](crate::Settings::profile) recorded: a line for each stack of calls, outermost
    /// first, parted by semicolons, with the microseconds spent in the innermost. Tools for flame graphs read this.
    pub fn write_profile(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(mut profile) = self.watch.profile.take() else {
            return Ok(());
        };
        profile.sample();
        for (index, node) in profile.nodes.iter().enumerate() {
            let time = node.time.as_micros();
            if time == 0 {
                continue;
            }
            let mut stack = Vec::new();
            let mut at = index;
            while let Some(frame) = profile.nodes[at].frame {
                stack.push(self.frame_text(frame));
                at = profile.nodes[at].parent;
            }
            if stack.is_empty() {
                stack.push("top level".to_owned());
            }
            stack.reverse();
            writeln!(out, "{} {time}", stack.join(";"))?;
        }
        self.watch.profile = Some(profile);
        Ok(())
    }

    /// `FILE:LINE:COLUMN:NAME`, or `primop NAME`.
    fn frame_text(&self, frame: Frame<'_>) -> String {
        let (position, name) = match frame {
            Frame::Builtin(name) => return format!("primop {name}"),
            Frame::Function(position, name) => (position, name),
        };
        let described = self.positions.describe(position);
        let mut text = described.unwrap_or_else(|| "«none»".to_owned());
        if let Some(name) = name {
            text = format!("{text}:{}", self.symbols.text(name));
        }
        text.replace([';', '\n'], "_")
    }
}
