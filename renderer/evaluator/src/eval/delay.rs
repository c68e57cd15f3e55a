//! Expressions in places where Nix makes thunks: what is not needed yet is delayed, what costs nothing is made at once.

use super::Evaluator;
use super::ready::known;
use crate::env::Env;
use crate::expr::{Expr, Lazy, LazyKind};
use crate::value::{Delayed, Slot, Value};

impl<'a> Evaluator<'a> {
    /// What a cell gets for an expression in a place where Nix makes a thunk.
    #[inline]
    pub(crate) fn delay(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        match (lazy.kind, lazy.expr) {
            (LazyKind::Constant, Expr::Constant(value)) => *value,
            (LazyKind::Variable, Expr::Variable { depth, index, .. }) => {
                env.share(&self.levels, *depth, *index)
            }
            (LazyKind::Thunk, _) => self.delayed(lazy, env),
            _ => self.delay_other(lazy, env),
        }
    }

    /// An expression for later.
    #[inline]
    pub(super) fn delayed(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        Value::Delayed(Delayed::new(lazy.id, self.capture(env)))
    }

    #[inline(never)]
    fn delay_other(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        let value = match lazy.kind {
            LazyKind::Arithmetic => self.try_arithmetic(lazy.expr, env),
            _ => self.try_at_once(lazy, env),
        };
        value.unwrap_or_else(|| self.delayed(lazy, env))
    }

    #[inline]
    fn try_at_once(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Option<Value<'a>> {
        match lazy.expr {
            Expr::Lambda(code) => Some(self.make_lambda(code, env)),
            Expr::List { items } => Some(self.make_list(items, env)),
            Expr::Attrs(code) => Some(self.make_plain_attrs(code, env)),
            Expr::Select {
                base, name, hint, ..
            } => {
                let Expr::Variable { depth, index, .. } = base else {
                    return None;
                };
                let Value::Attrs(attrs) = known(env.slot(&self.levels, *depth, *index).get())
                else {
                    return None;
                };
                self.copied(attrs.value_hinted(*name, hint)?)
            }
            Expr::WithVariable(variable) => {
                let scope = env.slot(&self.levels, variable.scopes.first()?.0, 0).get();
                let Value::Attrs(attrs) = known(scope) else {
                    return None;
                };
                self.copied(attrs.value_hinted(variable.name, &variable.hint)?)
            }
            _ => None,
        }
    }

    /// The value of a cell for another that Nix would copy it into, if it is there.
    fn copied(&self, slot: &Slot<'a>) -> Option<Value<'a>> {
        let value = known(slot.get());
        value.is_whnf().then(|| self.as_another(value))
    }

    /// A value that was copied into a cell of its own. That only shows in functions: two are equal if they are in the same
    /// cell, and so these need to be others.
    #[inline]
    pub(super) fn as_another(&self, value: Value<'a>) -> Value<'a> {
        match value {
            Value::Lambda(_) | Value::Builtin(_) | Value::PartialApplication(_) => {
                self.another_function(value)
            }
            value => value,
        }
    }

    #[inline(never)]
    fn another_function(&self, value: Value<'a>) -> Value<'a> {
        match value {
            Value::Lambda(lambda) => Value::Lambda(self.arena.alloc(*lambda)),
            Value::Builtin(builtin) => Value::Builtin(self.arena.alloc(*builtin)),
            Value::PartialApplication(partial) => {
                Value::PartialApplication(self.arena.alloc(*partial))
            }
            value => value,
        }
    }

    /// [`Evaluator::delay`], where what needs a cell of its own gets one.
    #[inline]
    pub(crate) fn delay_boxed(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        match (lazy.kind, lazy.expr) {
            (LazyKind::Constant, Expr::Constant(value)) => *value,
            (LazyKind::Variable, Expr::Variable { depth, index, .. }) => {
                env.share(&self.levels, *depth, *index)
            }
            _ => self.delay_other_boxed(lazy, env),
        }
    }

    #[inline(never)]
    fn delay_other_boxed(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>) -> Value<'a> {
        let value = match lazy.kind {
            LazyKind::Thunk => self.delayed(lazy, env),
            _ => self.delay_other(lazy, env),
        };
        value.boxed(self.arena)
    }
}
