//! What the parser says when a file is not Nix.

use crate::lexer::Result;

/// Why a file could not be parsed.
///
/// Message and place are those of C++ Nix, which knows its own grammar's automaton and lists what it expected when
/// that is at most four kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The message, without its place. For [`ParseErrorKind::DuplicateAttribute`] see [`ParseError::message_with`].
    pub message: String,
    /// Where Nix points at: a byte offset, at most the file's length.
    pub start: u32,
    /// One past the last byte of what is wrong, not before `start`.
    pub end: u32,
    /// What kind of mistake it is.
    pub kind: ParseErrorKind,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// A token stands where the grammar has no place for it.
    Syntax,
    /// A number, string or path that has no value.
    Literal,
    /// An attribute is defined twice.
    DuplicateAttribute {
        /// Where it was defined first: a byte offset.
        previous: u32,
    },
    /// A function has two parameters of one name.
    DuplicateParameter,
    /// `${…}` as a name where names must be known: in `let` and `inherit`.
    DynamicAttribute,
    /// Syntax of an experimental feature that is not enabled.
    ExperimentalFeature,
    /// The file is too large or too deeply nested.
    Limit,
}

impl ParseError {
    pub(crate) fn fail<T>(
        kind: ParseErrorKind,
        message: impl Into<String>,
        start: u32,
        end: u32,
    ) -> Result<T> {
        Err(Box::new(Self {
            message: message.into(),
            start,
            end,
            kind,
        }))
    }

    /// `unexpected` stands at `start` where one of `expected` should. C++ Nix names at most four alternatives; where
    /// more are possible callers give none.
    pub(crate) fn unexpected<T>(
        unexpected: &str,
        expected: &[&str],
        start: u32,
        end: u32,
    ) -> Result<T> {
        let mut message = format!("syntax error, unexpected {unexpected}");
        for (index, name) in expected.iter().enumerate() {
            message += if index == 0 { ", expecting " } else { " or " };
            message += name;
        }
        Self::fail(ParseErrorKind::Syntax, message, start, end)
    }

    /// The text ends where more should follow: it is only the beginning of something.
    pub fn is_incomplete(&self) -> bool {
        self.kind == ParseErrorKind::Syntax && self.message.contains("unexpected end of file")
    }

    /// The whole message: that of a duplicate attribute ends with the place of the first definition, which `place`
    /// prints (`/a/default.nix:3:5`).
    pub fn message_with(&self, place: impl FnOnce(u32) -> String) -> String {
        match self.kind {
            ParseErrorKind::DuplicateAttribute { previous } => {
                format!("{} at {}", self.message, place(previous))
            }
            _ => self.message.clone(),
        }
    }
}
