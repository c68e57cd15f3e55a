//! Calls, and what may follow an expression: a path of attributes, or the word `or`.

use super::Parser;
use crate::ast::{BinaryOp, Node, NodeId, RemarkKind, Span};
use crate::lexer::{Result, TokenKind};

impl Parser<'_> {
    /// A function and its arguments, given that the first operand is read as far as `simple`.
    pub(super) fn application_from(&mut self, simple: NodeId) -> Result<NodeId> {
        let function = self.select_from(simple)?;
        self.or_call = None;
        let base = self.open_children.len();
        while let Some(argument) = self.optional_select()? {
            self.open_children.push(argument);
        }
        if self.open_children.len() == base {
            return Ok(function);
        }
        Ok(self.apply(function, base, None))
    }

    pub(super) fn application(&mut self) -> Result<NodeId> {
        let simple = self.simple()?;
        self.application_from(simple)
    }

    /// A call of `function` with the open children from `base` on. Calls that C++ Nix makes one call (`(f a) b`)
    /// become one here, and are reported where the first one stands.
    pub(super) fn apply(&mut self, function: NodeId, base: usize, position: Option<u32>) -> NodeId {
        let start = self.start(function);
        match self.ast.node(function) {
            Node::Apply {
                function: inner,
                args,
            } => {
                let position = self.ast.position(function);
                // Copying long runs again and again would be quadratic; a call of a call means the same.
                if args.len > 16 {
                    let args = self.close_children(base);
                    return self.add(Node::Apply { function, args }, position, start);
                }
                let earlier = self.ast.children(args).to_vec();
                self.open_children.splice(base..base, earlier);
                let args = self.close_children(base);
                self.add(
                    Node::Apply {
                        function: inner,
                        args,
                    },
                    position,
                    start,
                )
            }
            node => {
                let is_call = matches!(
                    node,
                    Node::Negate(_)
                        | Node::SearchPath(_)
                        | Node::Binary {
                            op: BinaryOp::Sub
                                | BinaryOp::Mul
                                | BinaryOp::Div
                                | BinaryOp::Less
                                | BinaryOp::Greater,
                            ..
                        }
                );
                let position = if is_call {
                    self.ast.position(function)
                } else {
                    position.unwrap_or(start)
                };
                let args = self.close_children(base);
                self.add(Node::Apply { function, args }, position, start)
            }
        }
    }

    pub(super) fn optional_select(&mut self) -> Result<Option<NodeId>> {
        let Some(simple) = self.optional_simple()? else {
            return Ok(None);
        };
        let select = self.select_from(simple)?;
        self.note_or_call(select);
        Ok(Some(select))
    }

    /// Notes `f or` where a list or a call takes it for one element, though another version would see two.
    pub(super) fn note_or_call(&mut self, id: NodeId) {
        match self.or_call.take() {
            Some((call, span)) if call == id => self.remark(RemarkKind::OrCall, span),
            _ => {}
        }
    }

    /// What may follow a simple expression: a path of attributes, or the word `or`.
    pub(super) fn select_from(&mut self, base: NodeId) -> Result<NodeId> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Dot => {
                self.bump();
                let path = self.attr_path()?;
                let default = if self.peek()?.kind == TokenKind::Or {
                    self.bump();
                    let default = self.nested(|parser| {
                        let simple = parser.simple()?;
                        parser.select_from(simple)
                    })?;
                    self.note_or_call(default);
                    Some(default)
                } else {
                    None
                };
                let start = self.start(base);
                Ok(self.add(
                    Node::Select {
                        base,
                        path,
                        default,
                    },
                    start,
                    start,
                ))
            }
            // A function may be called `or`: `f or` is a call.
            TokenKind::Or => {
                self.bump();
                let or = self.names.intern(&mut self.ast, b"or");
                let start = self.start(base);
                let argument = self.add(Node::Var(or), start, start);
                let open = self.open_children.len();
                self.open_children.push(argument);
                let args = self.close_children(open);
                let node = Node::Apply {
                    function: base,
                    args,
                };
                let call = self.add(node, start, start);
                let span = Span {
                    start,
                    end: token.end,
                };
                self.or_call = Some((call, span));
                Ok(call)
            }
            _ => Ok(base),
        }
    }
}
