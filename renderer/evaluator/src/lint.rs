//! Warnings of what Nix takes but advises against.

use std::str::FromStr;

use crate::ast::{Ast, Remark, RemarkKind};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::parser::or_warning;
use crate::position::Positions;

/// What to do about something that is advised against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lint {
    /// Nothing.
    #[default]
    Ignore,
    /// A warning.
    Warn,
    /// It is an error.
    Fatal,
}

impl Lint {
    /// The name in Nix's settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Warn => "warn",
            Self::Fatal => "fatal",
        }
    }
}

/// Not the name of a [`Lint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 'ignore', 'warn', or 'fatal'")]
pub struct UnknownLint;

impl FromStr for Lint {
    type Err = UnknownLint;

    fn from_str(name: &str) -> std::result::Result<Self, UnknownLint> {
        match name {
            "ignore" => Ok(Self::Ignore),
            "warn" => Ok(Self::Warn),
            "fatal" => Ok(Self::Fatal),
            _ => Err(UnknownLint),
        }
    }
}

/// What to do about which literals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lints {
    /// `/a` and `~/a`: setting `lint-absolute-path-literals`.
    pub absolute_path_literals: Lint,
    /// `a/b`: setting `lint-short-path-literals`.
    pub short_path_literals: Lint,
    /// `http://a` without quotes: setting `lint-url-literals`.
    pub url_literals: Lint,
}

impl Lints {
    /// The lint that is called so in Nix's settings.
    pub fn by_name(&mut self, setting: &str) -> Option<&mut Lint> {
        match setting {
            "lint-absolute-path-literals" => Some(&mut self.absolute_path_literals),
            "lint-short-path-literals" => Some(&mut self.short_path_literals),
            "lint-url-literals" => Some(&mut self.url_literals),
            _ => None,
        }
    }
}

impl Evaluator<'_> {
    /// Prints the warnings of a file that was just parsed, and refuses what the settings refuse.
    pub(crate) fn check_remarks(&self, ast: &Ast, source: &[u8], base: u32) -> Result<()> {
        for &remark in &ast.remarks {
            if remark.kind == RemarkKind::OrCall {
                let text = or_warning(source, remark.span, |offset| {
                    self.describe_position(Positions::at(base, offset))
                });
                self.io.message(&format!("warning: {text}"));
            } else {
                self.check_literal(remark, source, base)?;
            }
        }
        Ok(())
    }

    fn check_literal(&self, remark: Remark, source: &[u8], base: u32) -> Result<()> {
        let lints = self.settings.lints;
        let (lint, name) = match remark.kind {
            RemarkKind::UrlLiteral => (lints.url_literals, "lint-url-literals"),
            RemarkKind::ShortPath => (lints.short_path_literals, "lint-short-path-literals"),
            _ => (lints.absolute_path_literals, "lint-absolute-path-literals"),
        };
        if lint == Lint::Ignore {
            return Ok(());
        }
        let range = remark.span.start as usize..remark.span.end as usize;
        let literal = String::from_utf8_lossy(source.get(range).unwrap_or_default());
        let text = match remark.kind {
            RemarkKind::UrlLiteral => {
                let verdict = if lint == Lint::Fatal {
                    "disallowed"
                } else {
                    "discouraged"
                };
                format!(
                    "URL literals are {verdict}. Consider using a string literal \"{literal}\" instead"
                )
            }
            RemarkKind::ShortPath => format!(
                "relative path literal '{literal}' should be prefixed with '.' for clarity: './{literal}'"
            ),
            kind => {
                let kind = if kind == RemarkKind::HomePath {
                    "home"
                } else {
                    "absolute"
                };
                format!(
                    "{kind} path literals are not portable. Consider replacing path literal '{literal}' by a string, \
                     relative path, or parameter"
                )
            }
        };
        let error = EvalError::new(ErrorKind::Parse, format!("{text} ({name})"))
            .at(Positions::at(base, remark.span.start));
        if lint == Lint::Fatal {
            return Err(error);
        }
        let warning = error.report_as("warning: ", &self.positions, true);
        self.io.message(&warning);
        Ok(())
    }
}
