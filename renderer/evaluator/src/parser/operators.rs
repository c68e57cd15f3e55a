//! Operators, their binding powers and pipes.

use super::Parser;
use crate::ast::{BinaryOp, Node, NodeId};
use crate::lexer::{Result, TokenKind};

/// What happens between operators of one binding power.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grouping {
    Left,
    Right,
    /// `a == b == c` is refused.
    None,
}

/// How strongly `!` binds: `!a + b` is `!(a + b)`, `!a // b` is `(!a) // b`.
const NOT: u8 = 7;
const HAS_ATTR: u8 = 11;
/// How strongly `-` before an operand binds: more than anything between operands.
const NEGATE: u8 = 12;

fn binary_operator(kind: TokenKind) -> Option<(BinaryOp, u8, Grouping)> {
    Some(match kind {
        TokenKind::Implies => (BinaryOp::Implies, 1, Grouping::Right),
        TokenKind::OrOr => (BinaryOp::Or, 2, Grouping::Left),
        TokenKind::AndAnd => (BinaryOp::And, 3, Grouping::Left),
        TokenKind::Equal => (BinaryOp::Eq, 4, Grouping::None),
        TokenKind::NotEqual => (BinaryOp::NotEq, 4, Grouping::None),
        TokenKind::Less => (BinaryOp::Less, 5, Grouping::None),
        TokenKind::Greater => (BinaryOp::Greater, 5, Grouping::None),
        TokenKind::LessEqual => (BinaryOp::LessEq, 5, Grouping::None),
        TokenKind::GreaterEqual => (BinaryOp::GreaterEq, 5, Grouping::None),
        TokenKind::Update => (BinaryOp::Update, 6, Grouping::Right),
        TokenKind::Plus => (BinaryOp::Add, 8, Grouping::Left),
        TokenKind::Minus => (BinaryOp::Sub, 8, Grouping::Left),
        TokenKind::Star => (BinaryOp::Mul, 9, Grouping::Left),
        TokenKind::Slash => (BinaryOp::Div, 9, Grouping::Left),
        TokenKind::Concat => (BinaryOp::Concat, 10, Grouping::Right),
        _ => return None,
    })
}

impl Parser<'_> {
    /// Operators and operands, pipes among them.
    pub(super) fn operation(&mut self) -> Result<NodeId> {
        let first = self.prefixed()?;
        let left = self.operators(first, 0)?;
        self.pipes(left)
    }

    /// The same, of which a first simple expression is already read.
    pub(super) fn operation_from(&mut self, simple: NodeId) -> Result<NodeId> {
        let first = self.application_from(simple)?;
        let left = self.operators(first, 0)?;
        self.pipes(left)
    }

    fn pipes(&mut self, mut left: NodeId) -> Result<NodeId> {
        let mut token = self.peek()?;
        match token.kind {
            TokenKind::PipeFrom => {
                self.bump();
                let argument = self.nested(|parser| {
                    let operand = parser.operand(0)?;
                    if parser.peek()?.kind == TokenKind::PipeFrom {
                        parser.pipes(operand)
                    } else {
                        Ok(operand)
                    }
                })?;
                Ok(self.piped(left, argument, token.start, left))
            }
            TokenKind::PipeInto => {
                while token.kind == TokenKind::PipeInto {
                    self.bump();
                    let function = self.operand(0)?;
                    left = self.piped(function, left, token.start, left);
                    token = self.peek()?;
                }
                Ok(left)
            }
            _ => Ok(left),
        }
    }

    fn piped(
        &mut self,
        function: NodeId,
        argument: NodeId,
        position: u32,
        first: NodeId,
    ) -> NodeId {
        let start = self.start(first);
        let base = self.open_children.len();
        self.open_children.push(argument);
        let call = self.apply(function, base, Some(position));
        self.set_start(call, start);
        call
    }

    /// An operand and all operators after it that bind at least as strongly as `power`.
    fn operand(&mut self, power: u8) -> Result<NodeId> {
        self.nested(|parser| {
            let first = parser.prefixed()?;
            parser.operators(first, power)
        })
    }

    fn prefixed(&mut self) -> Result<NodeId> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Bang => {
                self.bump();
                let operand = self.operand(NOT)?;
                let position = self.ast.position(operand);
                Ok(self.add(Node::Not(operand), position, token.start))
            }
            TokenKind::Minus => {
                self.bump();
                let operand = self.operand(NEGATE)?;
                Ok(self.add_at(Node::Negate(operand), token))
            }
            _ => self.application(),
        }
    }

    fn operators(&mut self, mut left: NodeId, power: u8) -> Result<NodeId> {
        // The binding power of the operator `left` was made with, if it does not group.
        let mut ungrouped = None;
        loop {
            let token = self.peek()?;
            if token.kind == TokenKind::Question {
                if HAS_ATTR < power {
                    return Ok(left);
                }
                self.bump();
                let path = self.attr_path()?;
                let (position, start) = (self.ast.position(left), self.start(left));
                left = self.add(Node::HasAttr { base: left, path }, position, start);
                ungrouped = None;
                continue;
            }
            let Some((op, own, grouping)) = binary_operator(token.kind) else {
                return Ok(left);
            };
            if own < power {
                return Ok(left);
            }
            if ungrouped == Some(own) {
                return self.unexpected(token, &[]);
            }
            self.bump();
            let right = self.operand(if grouping == Grouping::Right {
                own
            } else {
                own + 1
            })?;
            let start = self.start(left);
            left = self.add(Node::Binary { op, left, right }, token.start, start);
            ungrouped = (grouping == Grouping::None).then_some(own);
        }
    }
}
