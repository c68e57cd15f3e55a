//! Which expressions are delayed, and how: Nix makes a thunk of each, and not every one is needed.

use super::{Compiler, Result};
use crate::ast::NodeId;
use crate::expr::{Expr, Lazy, LazyKind, Op, ThunkId};
use crate::value::Value;

/// Largest list or set that is built at once instead of being delayed.
const LARGEST_CONSTRUCTOR: usize = 16;
/// Deepest arithmetic that is tried at once.
const DEEPEST_ARITHMETIC: u32 = 4;

impl<'a> Compiler<'a, '_> {
    /// An expression where Nix makes a thunk.
    pub(super) fn lazy(&mut self, id: NodeId) -> Result<Lazy<'a>> {
        let expr = self.alloc(id)?;
        Ok(self.delayable(expr))
    }

    pub(super) fn delayable(&mut self, expr: &'a Expr<'a>) -> Lazy<'a> {
        let kind = match kind_of(expr) {
            kind @ (LazyKind::Constant | LazyKind::Variable) => kind,
            kind if !self.input.delay_all || matches!(expr, Expr::List { items: [] }) => kind,
            _ => LazyKind::Thunk,
        };
        if matches!(kind, LazyKind::Thunk) {
            self.captures = true;
        }
        let id = ThunkId(self.input.thunks.len() as u32);
        if !matches!(expr, Expr::Constant(_) | Expr::Lambda(_)) || kind == LazyKind::Thunk {
            self.input.thunks.push(expr);
        }
        Lazy { expr, id, kind }
    }

    pub(super) fn lazies(&mut self, ids: &[NodeId]) -> Result<&'a [Lazy<'a>]> {
        let mut items = bumpalo::collections::Vec::with_capacity_in(ids.len(), self.input.arena);
        for &id in ids {
            items.push(self.lazy(id)?);
        }
        Ok(items.into_bump_slice())
    }
}

fn kind_of(expr: &Expr<'_>) -> LazyKind {
    match expr {
        Expr::Constant(_) => LazyKind::Constant,
        Expr::Variable { .. } => LazyKind::Variable,
        Expr::Lambda(_) => LazyKind::Constructor,
        Expr::List { items } if items.len() <= LARGEST_CONSTRUCTOR => LazyKind::Constructor,
        Expr::Attrs(code)
            if !code.recursive
                && code.dynamic.is_empty()
                && code.inherit_from.is_empty()
                && code.bindings.len() <= LARGEST_CONSTRUCTOR =>
        {
            LazyKind::Constructor
        }
        Expr::Binary { .. } if is_arithmetic(expr, DEEPEST_ARITHMETIC) && !is_constant(expr) => {
            LazyKind::Arithmetic
        }
        Expr::Select {
            base: Expr::Variable { .. },
            ..
        } => LazyKind::Select,
        Expr::WithVariable(_) => LazyKind::WithVariable,
        _ => LazyKind::Thunk,
    }
}

/// Such a thing is only written to see that it is delayed.
fn is_constant(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Binary { left, right, .. } => is_constant(left) && is_constant(right),
        expr => matches!(expr, Expr::Constant(_)),
    }
}

/// Only operators on numbers that [`crate::eval`] can try without evaluating anything else.
fn is_arithmetic(expr: &Expr<'_>, depth: u32) -> bool {
    match expr {
        Expr::Constant(Value::Int(_)) | Expr::Variable { .. } => true,
        Expr::Binary {
            op, left, right, ..
        } => {
            depth > 0
                && matches!(
                    op,
                    Op::Add
                        | Op::Sub
                        | Op::Mul
                        | Op::Less
                        | Op::LessEq
                        | Op::Greater
                        | Op::GreaterEq
                        | Op::Eq
                        | Op::NotEq
                )
                && is_arithmetic(left, depth - 1)
                && is_arithmetic(right, depth - 1)
        }
        _ => false,
    }
}
