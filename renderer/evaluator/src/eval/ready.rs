//! What can be had of expressions without evaluating anything: values that are there already.

use super::Evaluator;
use crate::env::Env;
use crate::expr::{Expr, Op};
use crate::value::{Slot, Value};

/// A value that is there, whether in this cell or in the one that it names.
pub(super) fn known(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Thunk(slot) => slot.get(),
        value => value,
    }
}

impl<'a> Evaluator<'a> {
    /// A number that is there, or what arithmetic makes of such; `None` where that does not do or would fail.
    #[inline]
    fn try_int(&self, expr: &Expr<'a>, env: &Env<'_, 'a>) -> Option<i64> {
        match expr {
            Expr::Constant(Value::Int(value)) => Some(*value),
            Expr::Variable { depth, index, .. } => {
                known_int(env.slot(&self.levels, *depth, *index))
            }
            Expr::Binary {
                op, left, right, ..
            } => self.try_sum(*op, left, right, env),
            _ => None,
        }
    }

    /// Arithmetic, as [`Evaluator::try_int`].
    #[inline(never)]
    fn try_sum(&self, op: Op, left: &Expr<'a>, right: &Expr<'a>, env: &Env<'_, 'a>) -> Option<i64> {
        let (left, right) = (self.try_int(left, env)?, self.try_int(right, env)?);
        match op {
            Op::Add => left.checked_add(right),
            Op::Sub => left.checked_sub(right),
            Op::Mul => left.checked_mul(right),
            _ => None,
        }
    }

    /// Arithmetic or a comparison, as [`Evaluator::try_int`].
    #[inline]
    pub(super) fn try_arithmetic(&self, expr: &Expr<'a>, env: &Env<'_, 'a>) -> Option<Value<'a>> {
        match expr {
            Expr::Binary {
                op, left, right, ..
            } if op.compares() => {
                let (left, right) = (self.try_int(left, env)?, self.try_int(right, env)?);
                Some(Value::from(op.holds(left, right)))
            }
            _ => self.try_int(expr, env).map(Value::Int),
        }
    }

    /// What a comparison with a literal number says, if the variable that is compared is there.
    #[inline]
    pub(super) fn ready_comparison(&self, expr: &Expr<'a>, env: &Env<'_, 'a>) -> Option<bool> {
        match expr {
            Expr::Binary {
                op,
                left: Expr::Variable { depth, index, .. },
                right: Expr::Constant(Value::Int(right)),
                ..
            } if op.compares() => match env.slot(&self.levels, *depth, *index).get() {
                Value::Int(left) => Some(op.holds(left, *right)),
                _ => None,
            },
            _ => None,
        }
    }
}

#[inline]
fn known_int(slot: &Slot<'_>) -> Option<i64> {
    match slot.get() {
        Value::Int(value) => Some(value),
        Value::Thunk(inner) => match inner.get() {
            Value::Int(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}
