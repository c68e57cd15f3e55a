//! Functions that take a set apart: `{ a, b ? 1, ... }@args: body`.

use super::bindings::Scope;
use super::{ParseError, ParseErrorKind, Parser};
use crate::ast::{Formal, Name, Node, NodeId, Pattern, PatternId};
use crate::lexer::{Result, Token, TokenKind};

const FORMAL_OR_END: [TokenKind; 3] = [
    TokenKind::Identifier,
    TokenKind::Ellipsis,
    TokenKind::BraceClose,
];

impl Parser<'_> {
    /// What starts with the brace just read: a set, or a function.
    pub(super) fn set_or_pattern_lambda(&mut self, open: Token) -> Result<NodeId> {
        let token = self.peek()?;
        let bindings = match token.kind {
            TokenKind::BraceClose => {
                self.bump();
                if matches!(self.peek()?.kind, TokenKind::Colon | TokenKind::At) {
                    return self.pattern_lambda(open, Pattern::default());
                }
                self.new_bindings(Scope::Set)
            }
            TokenKind::Ellipsis => {
                let pattern = self.formals(None)?;
                return self.pattern_lambda(open, pattern);
            }
            TokenKind::Identifier => {
                self.bump();
                match self.peek()?.kind {
                    TokenKind::Comma | TokenKind::Question | TokenKind::BraceClose => {
                        let pattern = self.formals(Some(token))?;
                        return self.pattern_lambda(open, pattern);
                    }
                    _ => self.bindings(Scope::Set, Some(token))?,
                }
            }
            _ => self.bindings(Scope::Set, None)?,
        };
        let set = self.add_at(Node::Attrs(bindings), open);
        self.operation_from(set)
    }

    /// `args@{ … }: body`, after `args`, at the `@`.
    pub(super) fn named_pattern_lambda(&mut self, name: Token) -> Result<NodeId> {
        self.bump();
        self.expect(TokenKind::BraceOpen, &[TokenKind::BraceOpen])?;
        let token = self.peek()?;
        let pattern = match token.kind {
            TokenKind::BraceClose => {
                self.bump();
                Pattern::default()
            }
            TokenKind::Ellipsis => self.formals(None)?,
            TokenKind::Identifier => {
                self.bump();
                self.formals(Some(token))?
            }
            _ => return self.unexpected(token, &FORMAL_OR_END),
        };
        self.expect(TokenKind::Colon, &[TokenKind::Colon])?;
        self.pattern_body(name, pattern, Some(name))
    }

    /// The rest of a function whose pattern starts at `open` and is read up to its closing brace.
    fn pattern_lambda(&mut self, open: Token, pattern: Pattern) -> Result<NodeId> {
        let token = self.peek()?;
        let name = match token.kind {
            TokenKind::Colon => {
                self.bump();
                None
            }
            TokenKind::At => {
                self.bump();
                let name = self.expect(TokenKind::Identifier, &[TokenKind::Identifier])?;
                self.expect(TokenKind::Colon, &[TokenKind::Colon])?;
                Some(name)
            }
            _ => return self.unexpected(token, &[TokenKind::Colon, TokenKind::At]),
        };
        self.pattern_body(open, pattern, name)
    }

    fn pattern_body(
        &mut self,
        first: Token,
        mut pattern: Pattern,
        name: Option<Token>,
    ) -> Result<NodeId> {
        let body = self.expression()?;
        pattern.at = name.map(|name| self.name(name));
        self.check_formals(&pattern, first)?;
        let id = PatternId(self.ast.patterns.len() as u32);
        self.ast.patterns.push(pattern);
        Ok(self.add_at(Node::PatternLambda { pattern: id, body }, first))
    }

    /// Formals up to the closing brace, given the first one's name if it is already read.
    fn formals(&mut self, first: Option<Token>) -> Result<Pattern> {
        let mut pattern = Pattern::default();
        if let Some(name) = first {
            self.formal(name, &mut pattern)?;
        } else {
            return self.ellipsis(pattern);
        }
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::BraceClose => {
                    self.bump();
                    return Ok(pattern);
                }
                TokenKind::Comma => self.bump(),
                _ => return self.unexpected(token, &[TokenKind::BraceClose, TokenKind::Comma]),
            }
            let token = self.peek()?;
            match token.kind {
                TokenKind::BraceClose => {
                    self.bump();
                    return Ok(pattern);
                }
                TokenKind::Ellipsis => return self.ellipsis(pattern),
                TokenKind::Identifier => {
                    self.bump();
                    self.formal(token, &mut pattern)?;
                }
                _ => return self.unexpected(token, &FORMAL_OR_END),
            }
        }
    }

    fn ellipsis(&mut self, mut pattern: Pattern) -> Result<Pattern> {
        self.bump();
        self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
        pattern.ellipsis = true;
        Ok(pattern)
    }

    fn formal(&mut self, name: Token, pattern: &mut Pattern) -> Result<()> {
        let default = if self.peek()?.kind == TokenKind::Question {
            self.bump();
            Some(self.expression()?)
        } else {
            None
        };
        pattern.formals.push(Formal {
            name: self.name(name),
            position: name.start,
            default,
        });
        Ok(())
    }

    /// Refuses a name that stands twice. Of several the one that the file mentioned first is reported.
    fn check_formals(&self, pattern: &Pattern, first: Token) -> Result<()> {
        let mut sorted: Vec<(Name, u32)> = pattern
            .formals
            .iter()
            .map(|formal| (formal.name, formal.position))
            .collect();
        sorted.sort_unstable();
        let twice = sorted
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1]);
        let repeated = twice.or_else(|| {
            let at = pattern.at?;
            sorted
                .iter()
                .any(|&(name, _)| name == at)
                .then_some((at, first.start))
        });
        let Some((name, position)) = repeated else {
            return Ok(());
        };
        let bytes = self.ast.name(name);
        ParseError::fail(
            ParseErrorKind::DuplicateParameter,
            format!(
                "duplicate formal function argument '{}'",
                String::from_utf8_lossy(bytes)
            ),
            position,
            position + bytes.len() as u32,
        )
    }
}
