//! POSIX extended regular expressions as C++ Nix has them, which are those of libstdc++'s `std::regex`: alternatives
//! compete for the longest match, repetitions take as much as lets the rest match, a group keeps what it matched in an
//! earlier round, and there are no back-references.
//!
//! The matcher backtracks on a stack of its own and, once that takes long, remembers what it has tried: the time is
//! bounded by the product of the sizes of pattern and text.

mod brackets;
mod compile;
mod matcher;
mod program;
mod scanner;

use std::rc::Rc;

use rustc_hash::FxHashMap;

use matcher::{Attempt, Matcher};
use program::Program;

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegexError {
    /// It is not a regular expression.
    Invalid,
    /// It, or matching it, is too large.
    TooLarge,
}

/// The groups of a match: where each starts and ends, if it took part.
pub(crate) type Groups = [Option<(usize, usize)>];

/// A compiled pattern.
pub(crate) struct Regex {
    program: Program,
}

/// A match found by [`Regex::for_each_match`].
pub(crate) struct Match<'m> {
    pub start: usize,
    pub end: usize,
    pub groups: &'m Groups,
}

impl Regex {
    pub(crate) fn new(pattern: &[u8]) -> Result<Self, RegexError> {
        Ok(Self {
            program: compile::compile(pattern)?,
        })
    }

    /// How many groups there are.
    pub(crate) fn groups(&self) -> usize {
        self.program.groups
    }

    /// Matches the whole text.
    pub(crate) fn match_all<'s>(
        &self,
        text: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<Option<&'s Groups>, RegexError> {
        if let Some(literal) = &self.program.literal {
            return Ok((literal.needle() == text).then_some(&[]));
        }
        if !self.program.can_start_with(text.first()) {
            return Ok(None);
        }
        let mut matcher = Matcher::new(&self.program, text, scratch)?;
        let attempt = Attempt {
            start: 0,
            exact: true,
            not_empty: false,
            text_start: true,
        };
        let found = matcher.attempt(attempt)?;
        Ok(found.map(|_| scratch.groups()))
    }

    /// Calls `found` with each match, from left to right.
    pub(crate) fn for_each_match(
        &self,
        text: &[u8],
        scratch: &mut Scratch,
        mut found: impl FnMut(Match<'_>),
    ) -> Result<(), RegexError> {
        if let Some(literal) = &self.program.literal {
            for start in literal.find_iter(text) {
                let end = start + literal.needle().len();
                found(Match {
                    start,
                    end,
                    groups: &[],
                });
            }
            return Ok(());
        }
        let mut matcher = Matcher::new(&self.program, text, scratch)?;
        let mut text_start = true;
        let mut next = matcher.search(0, text_start)?;
        while let Some((start, end)) = next {
            found(Match {
                start,
                end,
                groups: matcher.groups(),
            });
            next = None;
            let mut from = end;
            if start == end {
                if end == text.len() {
                    break;
                }
                // After an empty match: a longer one at the same place, if there is one. Until the search has gone on
                // once, that place counts as the start of the text.
                let attempt = Attempt {
                    start: end,
                    exact: false,
                    not_empty: true,
                    text_start,
                };
                next = matcher.attempt(attempt)?.map(|longer| (end, longer));
                from += 1;
            }
            if next.is_none() {
                text_start = false;
                next = matcher.search(from, text_start)?;
            }
        }
        Ok(())
    }
}

/// Memory that matching needs, kept for the next match.
#[derive(Default)]
pub(crate) struct Scratch {
    matcher: matcher::Memory,
}

impl Scratch {
    fn groups(&self) -> &Groups {
        self.matcher.groups()
    }
}

/// The compiled patterns of one evaluation.
#[derive(Default)]
pub(crate) struct RegexCache {
    compiled: FxHashMap<Vec<u8>, Rc<Regex>>,
    pub(crate) scratch: Scratch,
}

impl RegexCache {
    /// The pattern, compiled at most once.
    pub(crate) fn get(&mut self, pattern: &[u8]) -> Result<Rc<Regex>, RegexError> {
        if let Some(regex) = self.compiled.get(pattern) {
            return Ok(Rc::clone(regex));
        }
        let regex = Rc::new(Regex::new(pattern)?);
        self.compiled.insert(pattern.to_vec(), Rc::clone(&regex));
        Ok(regex)
    }
}

#[cfg(test)]
mod tests;
