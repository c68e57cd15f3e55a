//! Strings, indented strings and paths, with what is interpolated in them.

use super::{ParseError, Parser};
use crate::ast::{AttrName, Node, NodeId, RemarkKind, Text};
use crate::lexer::{IndentedPart, PathPart, Result, StringPart, Token, TokenKind, unescape};

/// A part of an indented string whose indentation is not yet known.
#[derive(Clone, Copy)]
pub(super) struct IndentedText {
    position: u32,
    content: IndentedContent,
}

#[derive(Clone, Copy)]
enum IndentedContent {
    /// As written.
    Raw(Text),
    /// From an escape: ends the white space at the start of a line.
    Escaped(Text),
    Expression(NodeId),
}

const EMPTY: Text = Text { start: 0, len: 0 };

impl Parser<'_> {
    /// `"…"`, after the quote.
    pub(super) fn string(&mut self, open: Token) -> Result<NodeId> {
        match self.string_parts()? {
            Ok(text) => Ok(self.add_at(Node::String(text), open)),
            Err(node) => {
                self.set_start(node, open.start);
                Ok(node)
            }
        }
    }

    /// `"…"` as an attribute's name, after the quote.
    pub(super) fn string_name(&mut self) -> Result<AttrName> {
        Ok(match self.string_parts()? {
            Ok(text) => AttrName::Static(self.names.intern_text(&mut self.ast, text)),
            Err(node) => AttrName::Dynamic(node),
        })
    }

    /// What stands up to the closing quote: bytes, or a node where something is interpolated.
    fn string_parts(&mut self) -> Result<std::result::Result<Text, NodeId>> {
        let base = self.open_children.len();
        let mut only = None;
        let mut first = None;
        loop {
            match self.lexer.string_part()? {
                StringPart::Literal {
                    start,
                    end,
                    verbatim,
                } => {
                    let text = if verbatim {
                        Self::source_text(start, end)
                    } else {
                        self.unescaped(start, end)
                    };
                    if first.is_none() {
                        first = Some(start);
                        only = Some(text);
                    } else {
                        self.open_literal(text, start);
                    }
                }
                StringPart::Interpolation { start } => {
                    // Only now the leading literal is known to be a part of many.
                    if let (Some(text), Some(position)) = (only.take(), first) {
                        self.open_literal(text, position);
                    }
                    first.get_or_insert(start);
                    let part = self.interpolated(start)?;
                    self.open_children.push(part);
                }
                StringPart::End => break,
                StringPart::EndOfFile => {
                    return self.unfinished(&[TokenKind::Quote.describe()]);
                }
            }
        }
        if self.open_children.len() == base {
            return Ok(Ok(only.unwrap_or(EMPTY)));
        }
        let parts = self.close_children(base);
        let position = first.unwrap_or(0);
        Ok(Err(self.add(
            Node::Interpolation(parts),
            position,
            position,
        )))
    }

    fn unescaped(&mut self, start: u32, end: u32) -> Text {
        let from = self.ast.text.len();
        unescape(
            &self.source[start as usize..end as usize],
            &mut self.ast.text,
        );
        Text {
            start: from as u32,
            len: (self.ast.text.len() - from) as u32,
        }
    }

    fn open_literal(&mut self, text: Text, position: u32) {
        let node = self.add(Node::String(text), position, position);
        self.open_children.push(node);
    }

    /// The expression and brace after the `${` at `start`.
    fn interpolated(&mut self, start: u32) -> Result<NodeId> {
        let node = self.expression()?;
        self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
        self.set_start(node, start);
        Ok(node)
    }

    #[cold]
    fn unfinished<T>(&self, expected: &[&str]) -> Result<T> {
        let end = self.source.len() as u32;
        ParseError::unexpected(TokenKind::EndOfFile.describe(), expected, end, end)
    }

    /// `/a/b`, `./a/${b}`, `~/c`: after its first token.
    pub(super) fn path(&mut self, first: Token) -> Result<NodeId> {
        let expected = [TokenKind::DollarBrace.describe()];
        let base = self.open_children.len();
        match self.source[first.start as usize] {
            b'.' => {}
            b'/' => self.remark_literal(RemarkKind::AbsolutePath, first),
            b'~' => self.remark_literal(RemarkKind::HomePath, first),
            _ => self.remark_literal(RemarkKind::ShortPath, first),
        }
        let mut last = first;
        // A literal that goes on after the first token must be followed by `${`.
        let mut unattached = None;
        loop {
            let after_slash = self.source[last.end as usize - 1] == b'/';
            match self.lexer.path_part(last.start, after_slash)? {
                PathPart::Literal { start, end } => {
                    if unattached.is_some() {
                        return ParseError::unexpected("string", &expected, start, end);
                    }
                    let text = Self::source_text(start, end);
                    if self.open_children.len() == base {
                        unattached = Some((text, start, last.start));
                    } else {
                        self.open_literal(text, start);
                    }
                    last = Token {
                        kind: TokenKind::Path,
                        start,
                        end,
                    };
                }
                PathPart::Interpolation { start } => {
                    if self.open_children.len() == base {
                        let text = Self::source_text(first.start, first.end);
                        let node = self.add_at(Node::Path(text), first);
                        self.open_children.push(node);
                    }
                    if let Some((text, position, _)) = unattached.take() {
                        self.open_literal(text, position);
                    }
                    let node = self.expression()?;
                    last = self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
                    self.set_start(node, start);
                    self.open_children.push(node);
                }
                PathPart::End => break,
            }
        }
        if self.lexer.at_end() {
            self.lexer.report_end_of_file_at(last.start);
        }
        if let Some((_, start, before)) = unattached {
            let place = if self.lexer.at_end() { before } else { start };
            return ParseError::unexpected("end of path", &expected, place, last.end);
        }
        if self.open_children.len() == base {
            let text = Self::source_text(first.start, first.end);
            return Ok(self.add_at(Node::Path(text), first));
        }
        let parts = self.close_children(base);
        Ok(self.add_at(Node::PathInterpolation(parts), first))
    }

    /// `''…''`, after the opening quotes.
    pub(super) fn indented_string(&mut self, open: Token) -> Result<NodeId> {
        let base = self.open_text.len();
        loop {
            let (position, content) = match self.lexer.indented_part()? {
                IndentedPart::Literal { start, end } => {
                    (start, IndentedContent::Raw(Self::source_text(start, end)))
                }
                IndentedPart::Escaped { token, start, end } => (
                    token,
                    IndentedContent::Escaped(Self::source_text(start, end)),
                ),
                IndentedPart::Control { token, byte } => {
                    let start = self.ast.text.len() as u32;
                    self.ast.text.push(byte);
                    (token, IndentedContent::Escaped(Text { start, len: 1 }))
                }
                IndentedPart::Interpolation { start } => (
                    start,
                    IndentedContent::Expression(self.interpolated(start)?),
                ),
                IndentedPart::End => break,
                IndentedPart::EndOfFile => {
                    let interpolation = TokenKind::DollarBrace.describe();
                    return self.unfinished(&[
                        "indented string",
                        interpolation,
                        "end of an indented string",
                    ]);
                }
            };
            self.open_text.push(IndentedText { position, content });
        }
        let node = self.without_indentation(base, open);
        self.open_text.truncate(base);
        Ok(node)
    }

    /// The least indentation of the open text's lines from part `base` on. Lines of spaces do not count.
    fn indentation(&self, base: usize) -> usize {
        let mut least = 1_000_000;
        let mut current = 0;
        let mut at_line_start = true;
        for part in &self.open_text[base..] {
            let IndentedContent::Raw(text) = part.content else {
                if at_line_start {
                    at_line_start = false;
                    least = least.min(current);
                }
                continue;
            };
            let mut rest = self.ast.text(text);
            loop {
                if at_line_start {
                    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
                    current += spaces;
                    rest = &rest[spaces..];
                    match rest.first() {
                        None => break,
                        Some(b'\n') => {}
                        Some(_) => {
                            at_line_start = false;
                            least = least.min(current);
                        }
                    }
                }
                let Some(newline) = memchr::memchr(b'\n', rest) else {
                    break;
                };
                rest = &rest[newline + 1..];
                at_line_start = true;
                current = 0;
            }
        }
        least
    }

    /// The string that the open text from part `base` on makes.
    fn without_indentation(&mut self, base: usize, open: Token) -> NodeId {
        let indentation = self.indentation(base);
        let children = self.open_children.len();
        let mut strip = Strip {
            indentation,
            dropped: 0,
            at_line_start: true,
        };
        let count = self.open_text.len();
        for index in base..count {
            let part = self.open_text[index];
            let text = match part.content {
                IndentedContent::Expression(node) => {
                    strip.at_line_start = false;
                    strip.dropped = 0;
                    self.open_children.push(node);
                    continue;
                }
                IndentedContent::Raw(text) | IndentedContent::Escaped(text) => text,
            };
            let mut text = strip.text(text, &mut self.ast.text);
            if index + 1 == count {
                text = without_last_blank_line(text, &self.ast.text);
            }
            if text.len > 0 {
                self.open_literal(text, part.position);
            }
        }
        match self.open_children[children..] {
            [] => self.add_at(Node::String(EMPTY), open),
            // Even `''${"a"}''` is no interpolation.
            [only] if matches!(self.ast.node(only), Node::String(_)) => {
                self.open_children.truncate(children);
                self.set_start(only, open.start);
                only
            }
            _ => {
                let parts = self.close_children(children);
                self.add_at(Node::Interpolation(parts), open)
            }
        }
    }
}

/// Removes indentation from text that comes in pieces.
struct Strip {
    indentation: usize,
    /// Spaces seen at the start of the current line.
    dropped: usize,
    at_line_start: bool,
}

impl Strip {
    /// What is left of `piece`, as a new piece of `text` or, where nothing has to be removed, as it is.
    fn text(&mut self, piece: Text, text: &mut Vec<u8>) -> Text {
        let from = text.len();
        let mut index = piece.start as usize;
        let end = index + piece.len as usize;
        while index < end {
            let mut kept = index;
            if self.at_line_start {
                while index < end && text[index] == b' ' {
                    index += 1;
                }
                let spaces = index - kept;
                kept += spaces.min(self.indentation.saturating_sub(self.dropped));
                self.dropped += spaces;
                if index < end {
                    self.dropped = 0;
                    self.at_line_start = text[index] == b'\n';
                }
            }
            index = match memchr::memchr(b'\n', &text[index..end]) {
                Some(offset) => {
                    self.at_line_start = true;
                    index + offset + 1
                }
                None => end,
            };
            if text.len() == from && kept == piece.start as usize && index == end {
                return piece;
            }
            text.extend_from_within(kept..index);
        }
        Text {
            start: from as u32,
            len: (text.len() - from) as u32,
        }
    }
}

fn without_last_blank_line(piece: Text, text: &[u8]) -> Text {
    let bytes = &text[piece.start as usize..(piece.start + piece.len) as usize];
    match memchr::memrchr(b'\n', bytes) {
        Some(newline) if bytes[newline + 1..].iter().all(|&byte| byte == b' ') => Text {
            start: piece.start,
            len: newline as u32 + 1,
        },
        _ => piece,
    }
}
