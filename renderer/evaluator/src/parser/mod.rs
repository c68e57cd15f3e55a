//! From tokens to an [`Ast`]: recursive descent, with binding powers for the operators.

mod bindings;
mod calls;
mod error;
mod names;
mod operators;
mod patterns;
mod strings;
mod warning;

pub use error::{ParseError, ParseErrorKind};
pub use warning::or_warning;

use crate::ast::{Ast, AttrName, AttrPath, Children, Node, NodeId, Remark, RemarkKind, Span, Text};
use crate::lexer::{Lexer, Result, Token, TokenKind};
use bindings::{LargeSets, Scope};
use names::Names;
use strings::IndentedText;

/// Files beyond this are refused. It is far beyond any real one, and at most 60 times as much memory.
const MAX_SOURCE: usize = 1 << 28;
/// How deep expressions may be nested: far beyond what anyone writes or generates, and less than 100 MB of stack.
const MAX_DEPTH: u32 = 100_000;

/// What the parser accepts beyond the stable language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ParseOptions {
    /// `|>` and `<|`.
    pub pipe_operators: bool,
}

/// Parses a file of the stable language.
pub fn parse(source: &[u8]) -> std::result::Result<Ast, ParseError> {
    parse_with(source, ParseOptions::default())
}

/// Parses a file.
///
/// Takes and refuses what Nix 2.34 does, apart from undefined variables, which are found later. Any bytes are safe to
/// give: memory and time are proportional to their number, and size and nesting have a limit.
pub fn parse_with(source: &[u8], options: ParseOptions) -> std::result::Result<Ast, ParseError> {
    let result = tree(source, options);
    result.map_err(|error| *error)
}

fn tree(source: &[u8], options: ParseOptions) -> Result<Ast> {
    if source.len() > MAX_SOURCE {
        let message = format!("the file is too large to parse (more than {MAX_SOURCE} bytes)");
        return ParseError::fail(ParseErrorKind::Limit, message, 0, 0);
    }
    let mut parser = Parser::new(source, options);
    parser.file()?;
    Ok(parser.ast)
}

struct Parser<'s> {
    source: &'s [u8],
    lexer: Lexer<'s>,
    /// The token that is looked at but not yet consumed.
    ahead: Option<Token>,
    ast: Ast,
    names: Names,
    /// Children of unfinished lists, calls and strings, innermost last.
    open_children: Vec<NodeId>,
    /// Names of unfinished attribute paths, innermost last.
    open_names: Vec<AttrName>,
    /// Where the names of unfinished `inherit`s stand, innermost last.
    open_positions: Vec<u32>,
    /// Parts of unfinished indented strings, innermost last.
    open_text: Vec<IndentedText>,
    large_sets: LargeSets,
    /// The last `f or`, unless parentheses or arguments have made its meaning plain.
    or_call: Option<(NodeId, Span)>,
    depth: u32,
}

impl<'s> Parser<'s> {
    fn new(source: &'s [u8], options: ParseOptions) -> Self {
        // Names and literals without escapes are ranges of the source itself, which the text starts with.
        let mut text = Vec::with_capacity(source.len() + source.len() / 8);
        text.extend_from_slice(source);
        // What real files need, so that most vectors are allocated once.
        let nodes = source.len() / 16;
        let ast = Ast {
            text,
            nodes: Vec::with_capacity(nodes),
            positions: Vec::with_capacity(nodes),
            starts: Vec::with_capacity(nodes),
            ..Ast::default()
        };
        Self {
            source,
            lexer: Lexer::new(source, options.pipe_operators),
            ahead: None,
            ast,
            names: Names::default(),
            open_children: Vec::new(),
            open_names: Vec::new(),
            open_positions: Vec::new(),
            open_text: Vec::new(),
            large_sets: LargeSets::default(),
            or_call: None,
            depth: 0,
        }
    }

    fn file(&mut self) -> Result<()> {
        let root = self.expression()?;
        self.expect(TokenKind::EndOfFile, &[TokenKind::EndOfFile])?;
        self.ast.root = Some(root);
        Ok(())
    }

    // Tokens.

    #[inline]
    fn peek(&mut self) -> Result<Token> {
        if let Some(token) = self.ahead {
            return Ok(token);
        }
        let token = self.lexer.token()?;
        self.ahead = Some(token);
        Ok(token)
    }

    /// Consumes the token last peeked at.
    #[inline]
    fn bump(&mut self) {
        self.ahead = None;
    }

    fn expect(&mut self, kind: TokenKind, expected: &[TokenKind]) -> Result<Token> {
        let token = self.peek()?;
        if token.kind != kind {
            return self.unexpected(token, expected);
        }
        self.bump();
        Ok(token)
    }

    #[cold]
    #[expect(clippy::unused_self, reason = "reads as a sentence where it is used")]
    fn unexpected<T>(&self, token: Token, expected: &[TokenKind]) -> Result<T> {
        let expected: Vec<&str> = expected.iter().map(|kind| kind.describe()).collect();
        ParseError::unexpected(token.kind.describe(), &expected, token.start, token.end)
    }

    // Nodes.

    #[inline]
    fn add(&mut self, node: Node, position: u32, start: u32) -> NodeId {
        let id = NodeId(self.ast.nodes.len() as u32);
        self.ast.nodes.push(node);
        self.ast.positions.push(position);
        self.ast.starts.push(start);
        id
    }

    fn add_at(&mut self, node: Node, token: Token) -> NodeId {
        self.add(node, token.start, token.start)
    }

    #[inline]
    fn start(&self, id: NodeId) -> u32 {
        self.ast.starts[id.0 as usize]
    }

    fn set_start(&mut self, id: NodeId, start: u32) {
        self.ast.starts[id.0 as usize] = start;
    }

    /// Makes a run of the open children from `base` on.
    fn close_children(&mut self, base: usize) -> Children {
        let run = Children {
            start: self.ast.children.len() as u32,
            len: (self.open_children.len() - base) as u32,
        };
        self.ast.children.extend(self.open_children.drain(base..));
        run
    }

    /// Makes a run of the open names from `base` on.
    fn close_names(&mut self, base: usize) -> AttrPath {
        let run = AttrPath {
            start: self.ast.attr_names.len() as u32,
            len: (self.open_names.len() - base) as u32,
        };
        self.ast.attr_names.extend(self.open_names.drain(base..));
        run
    }

    fn remark(&mut self, kind: RemarkKind, span: Span) {
        self.ast.remarks.push(Remark { kind, span });
    }

    fn remark_literal(&mut self, kind: RemarkKind, token: Token) {
        let (start, end) = (token.start, token.end);
        self.remark(kind, Span { start, end });
    }

    fn source_text(start: u32, end: u32) -> Text {
        Text {
            start,
            len: end - start,
        }
    }

    /// Runs `parse` one level deeper, with enough stack.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let here = self.lexer.position();
            let message = format!("expression is nested too deeply (more than {MAX_DEPTH} levels)");
            return ParseError::fail(ParseErrorKind::Limit, message, here, here);
        }
        let result = if self.depth.is_multiple_of(16) {
            stacker::maybe_grow(256 * 1024, 2 * 1024 * 1024, || parse(self))
        } else {
            parse(self)
        };
        self.depth -= 1;
        result
    }

    // Expressions.

    fn expression(&mut self) -> Result<NodeId> {
        self.nested(Self::expression_here)
    }

    fn expression_here(&mut self) -> Result<NodeId> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Identifier => {
                self.bump();
                match self.peek()?.kind {
                    TokenKind::Colon => self.lambda(token),
                    TokenKind::At => self.named_pattern_lambda(token),
                    _ => {
                        let variable = self.variable(token);
                        self.operation_from(variable)
                    }
                }
            }
            TokenKind::BraceOpen => {
                self.bump();
                self.set_or_pattern_lambda(token)
            }
            TokenKind::Let => {
                self.bump();
                if self.peek()?.kind == TokenKind::BraceOpen {
                    let set = self.let_set(token)?;
                    self.operation_from(set)
                } else {
                    self.let_in(token)
                }
            }
            TokenKind::If => {
                self.bump();
                let condition = self.expression()?;
                self.expect(TokenKind::Then, &[TokenKind::Then])?;
                let then = self.expression()?;
                self.expect(TokenKind::Else, &[TokenKind::Else])?;
                let otherwise = self.expression()?;
                let node = Node::If {
                    condition,
                    then,
                    otherwise,
                };
                Ok(self.add_at(node, token))
            }
            TokenKind::Assert => {
                self.bump();
                let condition = self.expression()?;
                self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
                let body = self.expression()?;
                Ok(self.add_at(Node::Assert { condition, body }, token))
            }
            TokenKind::With => {
                self.bump();
                let scope = self.expression()?;
                self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
                let body = self.expression()?;
                Ok(self.add_at(Node::With { scope, body }, token))
            }
            _ => self.operation(),
        }
    }

    /// `x: body`, after `x`, at the colon.
    fn lambda(&mut self, name: Token) -> Result<NodeId> {
        self.bump();
        let body = self.expression()?;
        let param = self.name(name);
        Ok(self.add_at(Node::Lambda { param, body }, name))
    }

    /// `let … in body`, after `let`.
    fn let_in(&mut self, token: Token) -> Result<NodeId> {
        let bindings = self.bindings(Scope::Let, None)?;
        let body = self.expression()?;
        if !self.ast.bindings(bindings).dynamic.is_empty() {
            return ParseError::fail(
                ParseErrorKind::DynamicAttribute,
                "dynamic attributes not allowed in let",
                token.start,
                token.end,
            );
        }
        Ok(self.add_at(Node::Let { bindings, body }, token))
    }

    /// `let { … }`, after `let`, at the brace.
    fn let_set(&mut self, token: Token) -> Result<NodeId> {
        self.bump();
        let bindings = self.bindings(Scope::LetSet, None)?;
        let base = self.add_at(Node::Attrs(bindings), token);
        let body = self.names.intern(&mut self.ast, b"body");
        self.open_names.push(AttrName::Static(body));
        let path = self.close_names(self.open_names.len() - 1);
        let node = Node::Select {
            base,
            path,
            default: None,
        };
        Ok(self.add_at(node, token))
    }

    fn simple(&mut self) -> Result<NodeId> {
        if let Some(node) = self.optional_simple()? {
            return Ok(node);
        }
        let token = self.peek()?;
        self.unexpected(token, &[])
    }

    fn optional_simple(&mut self) -> Result<Option<NodeId>> {
        let token = self.peek()?;
        let id = match token.kind {
            TokenKind::Identifier => {
                self.bump();
                self.variable(token)
            }
            TokenKind::Integer => {
                let value = self.lexer.number() as i64;
                self.bump();
                self.add_at(Node::Int(value), token)
            }
            TokenKind::Float => {
                let value = f64::from_bits(self.lexer.number());
                self.bump();
                self.add_at(Node::Float(value), token)
            }
            TokenKind::Quote => {
                self.bump();
                self.string(token)?
            }
            TokenKind::IndentedOpen => {
                self.bump();
                self.indented_string(token)?
            }
            TokenKind::Path | TokenKind::HomePath => {
                self.bump();
                self.path(token)?
            }
            TokenKind::SearchPath => {
                self.bump();
                let text = Self::source_text(token.start + 1, token.end - 1);
                self.add_at(Node::SearchPath(text), token)
            }
            TokenKind::Uri => {
                self.bump();
                let text = Self::source_text(token.start, token.end);
                self.remark_literal(RemarkKind::UrlLiteral, token);
                self.add_at(Node::String(text), token)
            }
            TokenKind::ParenOpen => {
                self.bump();
                let inner = self.expression()?;
                self.expect(TokenKind::ParenClose, &[TokenKind::ParenClose])?;
                self.set_start(inner, token.start);
                inner
            }
            TokenKind::Let => {
                self.bump();
                let brace = self.peek()?;
                if brace.kind != TokenKind::BraceOpen {
                    return self.unexpected(brace, &[TokenKind::BraceOpen]);
                }
                self.nested(|parser| parser.let_set(token))?
            }
            TokenKind::Rec => {
                self.bump();
                self.expect(TokenKind::BraceOpen, &[TokenKind::BraceOpen])?;
                let bindings = self.nested(|parser| parser.bindings(Scope::RecSet, None))?;
                self.add_at(Node::Attrs(bindings), token)
            }
            TokenKind::BraceOpen => {
                self.bump();
                let bindings = self.nested(|parser| parser.bindings(Scope::Set, None))?;
                self.add_at(Node::Attrs(bindings), token)
            }
            TokenKind::BracketOpen => {
                self.bump();
                self.nested(|parser| parser.list(token))?
            }
            _ => return Ok(None),
        };
        Ok(Some(id))
    }

    fn variable(&mut self, token: Token) -> NodeId {
        if &self.source[token.start as usize..token.end as usize] == b"__curPos" {
            return self.add_at(Node::CurPos, token);
        }
        let name = self.name(token);
        self.add_at(Node::Var(name), token)
    }

    /// `[ … ]`, after the bracket.
    fn list(&mut self, open: Token) -> Result<NodeId> {
        let base = self.open_children.len();
        while let Some(element) = self.optional_select()? {
            self.open_children.push(element);
        }
        self.expect(TokenKind::BracketClose, &[])?;
        // C++ Nix says of a list that it stands where its first element does.
        let position = match self.open_children.get(base) {
            Some(&first) => self.ast.position(first),
            None => open.start,
        };
        let elements = self.close_children(base);
        Ok(self.add(Node::List(elements), position, open.start))
    }
}
