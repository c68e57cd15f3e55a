//! From a pattern to a program, without recursion.

use super::RegexError;
use super::brackets::{self, ByteSet};
use super::program::{NONE, Node, Op, Program};
use super::scanner::{Scanner, Token};

/// libstdc++ takes no pattern that needs more states.
const MOST_STATES: u64 = 100_000;

pub(super) fn compile(pattern: &[u8]) -> Result<Program, RegexError> {
    let mut compiler = Compiler {
        scanner: Scanner::new(pattern)?,
        program: Program {
            nodes: Vec::new(),
            sets: Vec::new(),
            start: 0,
            groups: 0,
            guards: 0,
            runs: 0,
            has_text_start: false,
            first: None,
            few_first: None,
            literal: None,
        },
        states: 0,
    };
    compiler.count(1)?;
    compiler.pattern()?;
    compiler.program.finish();
    Ok(compiler.program)
}

/// Nodes that belong together: all from `lowest` on, entered at `start`, left at `end`.
#[derive(Clone, Copy)]
struct Fragment {
    lowest: usize,
    start: u32,
    end: u32,
    /// States that libstdc++ would make of it.
    states: u64,
    /// It can match nothing.
    empty: bool,
    /// It is one byte of a set, and no more.
    single: Option<ByteSet>,
}

/// A group, or the whole pattern, being read.
struct Level {
    /// The group's number; `None`: the whole pattern.
    group: Option<u32>,
    lowest: usize,
    /// Alternatives that are complete.
    alternatives: Option<Fragment>,
    /// The alternative being read.
    sequence: Fragment,
}

struct Compiler<'p> {
    scanner: Scanner<'p>,
    program: Program,
    /// States that libstdc++ would have made so far.
    states: u64,
}

impl Compiler<'_> {
    fn count(&mut self, states: u64) -> Result<(), RegexError> {
        self.states = self.states.saturating_add(states);
        if self.states > MOST_STATES {
            return Err(RegexError::TooLarge);
        }
        Ok(())
    }

    fn add(&mut self, op: Op) -> u32 {
        self.program.nodes.push(Node { op, next: NONE });
        (self.program.nodes.len() - 1) as u32
    }

    fn link(&mut self, from: u32, to: u32) {
        self.program.nodes[from as usize].next = to;
    }

    fn fragment(&mut self, op: Op, empty: bool) -> Fragment {
        let node = self.add(op);
        Fragment {
            lowest: node as usize,
            start: node,
            end: node,
            states: 1,
            empty,
            single: None,
        }
    }

    fn pattern(&mut self) -> Result<(), RegexError> {
        let mut levels = Vec::new();
        let mut level = self.new_level(None);
        loop {
            if self.scanner.take(Token::GroupBegin)? {
                self.count(1)?;
                let group = self.program.groups as u32;
                self.program.groups += 1;
                let lowest = self.program.nodes.len();
                self.add(Op::GroupBegin(group));
                levels.push(level);
                level = self.new_level(Some(group));
                level.lowest = lowest;
            } else if self.scanner.take(Token::Or)? {
                self.end_alternative(&mut level)?;
                level.sequence = self.fragment(Op::Skip, true);
            } else if self.scanner.take(Token::LineBegin)? {
                self.assertion(Op::TextStart, &mut level.sequence)?;
            } else if self.scanner.take(Token::LineEnd)? {
                self.assertion(Op::TextEnd, &mut level.sequence)?;
            } else if let Some(atom) = self.atom()? {
                let atom = self.quantified(atom)?;
                self.append(&mut level.sequence, atom);
            } else {
                self.end_alternative(&mut level)?;
                let (Some(whole), Some(group)) = (level.alternatives, level.group) else {
                    break;
                };
                if !self.scanner.take(Token::GroupEnd)? {
                    return Err(RegexError::Invalid);
                }
                let atom = self.close_group(&level, whole, group)?;
                let atom = self.quantified(atom)?;
                level = levels.pop().ok_or(RegexError::Invalid)?;
                self.append(&mut level.sequence, atom);
            }
        }
        if self.scanner.token != Token::End {
            return Err(RegexError::Invalid);
        }
        self.count(2)?;
        let accept = self.add(Op::Accept);
        if let Some(whole) = level.alternatives {
            self.link(whole.end, accept);
            self.program.start = whole.start;
        }
        Ok(())
    }

    fn new_level(&mut self, group: Option<u32>) -> Level {
        let sequence = self.fragment(Op::Skip, true);
        Level {
            group,
            lowest: sequence.lowest,
            alternatives: None,
            sequence,
        }
    }

    /// An assertion cannot be repeated: a quantifier after it is an error.
    fn assertion(&mut self, op: Op, sequence: &mut Fragment) -> Result<(), RegexError> {
        self.count(1)?;
        let assertion = self.fragment(op, true);
        self.append(sequence, assertion);
        Ok(())
    }

    fn append(&mut self, sequence: &mut Fragment, atom: Fragment) {
        // What a sequence starts with is a node that does nothing.
        sequence.single = if sequence.start == sequence.end {
            atom.single
        } else {
            None
        };
        self.link(sequence.end, atom.start);
        sequence.end = atom.end;
        sequence.states += atom.states;
        sequence.empty &= atom.empty;
    }

    /// Ends the alternative being read: it joins those before it.
    fn end_alternative(&mut self, level: &mut Level) -> Result<(), RegexError> {
        self.count(1)?;
        let right = level.sequence;
        let Some(left) = level.alternatives else {
            level.alternatives = Some(right);
            return Ok(());
        };
        self.count(2)?;
        let states = left.states + right.states + 2;
        let joined = if let (Some(one), Some(other)) = (left.single, right.single) {
            self.program.nodes.truncate(left.lowest);
            let set = one.union(&other);
            let index = self.program.add_set(set);
            let mut joined = self.fragment(Op::Set(index), false);
            joined.single = Some(set);
            joined.states = states;
            joined
        } else {
            let end = self.add(Op::Skip);
            self.link(left.end, end);
            self.link(right.end, end);
            let start = self.add(Op::Alternatives(left.start));
            self.link(start, right.start);
            Fragment {
                lowest: left.lowest,
                start,
                end,
                states,
                empty: left.empty || right.empty,
                single: None,
            }
        };
        level.alternatives = Some(joined);
        Ok(())
    }

    fn close_group(
        &mut self,
        level: &Level,
        whole: Fragment,
        group: u32,
    ) -> Result<Fragment, RegexError> {
        self.count(1)?;
        let begin = level.lowest as u32;
        self.link(begin, whole.start);
        let end = self.add(Op::GroupEnd(group));
        self.link(whole.end, end);
        Ok(Fragment {
            lowest: level.lowest,
            start: begin,
            end,
            states: whole.states + 2,
            empty: whole.empty,
            single: None,
        })
    }

    /// A byte or a set.
    fn atom(&mut self) -> Result<Option<Fragment>, RegexError> {
        let set = match self.scanner.token {
            Token::AnyByte => {
                self.scanner.advance()?;
                ByteSet::ANY
            }
            Token::Byte(byte) => {
                self.scanner.advance()?;
                ByteSet::of(byte)
            }
            Token::BracketBegin { negated } => {
                self.scanner.advance()?;
                brackets::parse(&mut self.scanner, negated)?
            }
            _ => return Ok(None),
        };
        self.count(1)?;
        let op = match set.few(1).as_deref() {
            Some(&[byte]) => Op::Byte(byte),
            _ => Op::Set(self.program.add_set(set)),
        };
        let mut atom = self.fragment(op, false);
        atom.single = Some(set);
        Ok(Some(atom))
    }

    /// The atom with the quantifiers that follow it.
    fn quantified(&mut self, mut atom: Fragment) -> Result<Fragment, RegexError> {
        loop {
            atom = if self.scanner.take(Token::Star)? {
                self.count(1)?;
                self.star(atom)
            } else if self.scanner.take(Token::Plus)? {
                self.count(1)?;
                self.plus(atom)
            } else if self.scanner.take(Token::Optional)? {
                self.count(2)?;
                self.optional(atom)
            } else if self.scanner.take(Token::IntervalBegin)? {
                self.interval(atom)?
            } else {
                return Ok(atom);
            };
        }
    }

    fn guard(&mut self, body: &Fragment) -> u32 {
        if !body.empty {
            return NONE;
        }
        self.program.guards += 1;
        (self.program.guards - 1) as u32
    }

    fn repeat(&mut self, body: &Fragment) -> u32 {
        let guard = self.guard(body);
        let repeat = self.add(Op::Repeat {
            body: body.start,
            guard,
        });
        self.link(body.end, repeat);
        repeat
    }

    fn run(&mut self, set: ByteSet) -> u32 {
        let set = self.program.add_set(set);
        self.program.runs += 1;
        self.add(Op::Run {
            set,
            run: (self.program.runs - 1) as u32,
            follow: NONE,
        })
    }

    fn star(&mut self, atom: Fragment) -> Fragment {
        let repeat = if let Some(set) = atom.single {
            self.program.nodes.truncate(atom.lowest);
            self.run(set)
        } else {
            self.repeat(&atom)
        };
        Fragment {
            start: repeat,
            end: repeat,
            states: atom.states + 1,
            empty: true,
            single: None,
            ..atom
        }
    }

    fn plus(&mut self, atom: Fragment) -> Fragment {
        let end = if let Some(set) = atom.single {
            let run = self.run(set);
            self.link(atom.end, run);
            run
        } else {
            self.repeat(&atom)
        };
        Fragment {
            end,
            states: atom.states + 1,
            single: None,
            ..atom
        }
    }

    fn optional(&mut self, atom: Fragment) -> Fragment {
        let guard = self.guard(&atom);
        let end = self.add(Op::Skip);
        let start = self.add(Op::Repeat {
            body: atom.start,
            guard,
        });
        self.link(start, end);
        self.link(atom.end, end);
        Fragment {
            start,
            end,
            states: atom.states + 2,
            empty: true,
            single: None,
            ..atom
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`: the atom repeated that often.
    fn interval(&mut self, atom: Fragment) -> Result<Fragment, RegexError> {
        let least = self.number()?.ok_or(RegexError::Invalid)?;
        let most = if self.scanner.take(Token::Comma)? {
            self.number()?
        } else {
            Some(least)
        };
        if !self.scanner.take(Token::IntervalEnd)? {
            return Err(RegexError::Invalid);
        }
        let required = least.saturating_mul(atom.states);
        self.count(required.saturating_add(1))?;
        let more = match most {
            None => atom.states + 1,
            Some(most) => {
                let optional = most.checked_sub(least).ok_or(RegexError::Invalid)?;
                optional.saturating_mul(atom.states + 1).saturating_add(1)
            }
        };
        self.count(more)?;
        let template = self.program.nodes.split_off(atom.lowest);
        let mut whole = self.fragment(Op::Skip, true);
        for _ in 0..least {
            let copy = self.copy(&atom, &template);
            self.append(&mut whole, copy);
        }
        match most {
            None => {
                let copy = self.copy(&atom, &template);
                let copy = self.star(copy);
                self.append(&mut whole, copy);
            }
            Some(most) => self.optional_copies(&mut whole, &atom, &template, most - least),
        }
        whole.states = 1 + required + more;
        whole.empty = least == 0 || atom.empty;
        if (least, most) != (1, Some(1)) {
            whole.single = None;
        }
        Ok(whole)
    }

    /// Copies each of which is tried only after the one before it; any of them leads to the end.
    fn optional_copies(
        &mut self,
        whole: &mut Fragment,
        atom: &Fragment,
        template: &[Node],
        count: u64,
    ) {
        let end = self.add(Op::Skip);
        for _ in 0..count {
            let copy = self.copy(atom, template);
            let guard = self.guard(&copy);
            let repeat = self.add(Op::Repeat {
                body: copy.start,
                guard,
            });
            self.link(repeat, end);
            self.link(whole.end, repeat);
            whole.end = copy.end;
        }
        self.link(whole.end, end);
        whole.end = end;
    }

    fn number(&mut self) -> Result<Option<u64>, RegexError> {
        let Token::Count(digits) = self.scanner.token else {
            return Ok(None);
        };
        self.scanner.advance()?;
        let number: Option<i32> = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.map(Some).ok_or(RegexError::Invalid)
    }

    /// A copy of nodes that stood at `atom.lowest`.
    fn copy(&mut self, atom: &Fragment, template: &[Node]) -> Fragment {
        let lowest = self.program.nodes.len();
        let offset = lowest.wrapping_sub(atom.lowest) as u32;
        let moved = |node: u32| {
            if node == NONE {
                NONE
            } else {
                node.wrapping_add(offset)
            }
        };
        for &Node { op, next } in template {
            let op = match op {
                Op::Alternatives(left) => Op::Alternatives(moved(left)),
                Op::Repeat { body, guard } => {
                    let guard = if guard == NONE {
                        NONE
                    } else {
                        self.program.guards += 1;
                        (self.program.guards - 1) as u32
                    };
                    Op::Repeat {
                        body: moved(body),
                        guard,
                    }
                }
                Op::Run { set, follow, .. } => {
                    self.program.runs += 1;
                    Op::Run {
                        set,
                        run: (self.program.runs - 1) as u32,
                        follow,
                    }
                }
                op => op,
            };
            self.program.nodes.push(Node {
                op,
                next: moved(next),
            });
        }
        Fragment {
            lowest,
            start: moved(atom.start),
            end: moved(atom.end),
            ..*atom
        }
    }
}
