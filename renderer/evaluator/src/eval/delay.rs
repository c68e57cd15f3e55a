//! Expressions in places where Nix makes thunks: what is not needed yet is delayed, what costs nothing is made at once.

use std::cell::Cell;

use crate::env::Env;
use crate::expr::{Expr, Lazy, LazyKind};
use crate::value::{Delayed, Slot, Value};

use super::Evaluator;
use super::ready::known;

impl<'a> Evaluator<'a> {
    /// Puts into a cell the value of an expression in a place where Nix makes a thunk.
    ///
    /// Values go straight into the cell they are for: one on the way from here to there is copied in other pieces than
    /// it was written in, which processors are slow at.
    #[inline]
    pub(crate) fn delay(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>, into: &Cell<Value<'a>>) {
        match (lazy.kind, lazy.expr) {
            (LazyKind::Constant, Expr::Constant(value)) => into.set(*value),
            (LazyKind::Variable, Expr::Variable { depth, index, .. }) => {
                into.set(env.share(&self.levels, *depth, *index));
            }
            (LazyKind::Thunk, _) => {
                into.set(Value::Delayed(Delayed::new(lazy.id, self.capture(env))));
            }
            _ => self.delay_other(lazy, env, into),
        }
    }

    #[inline(never)]
    fn delay_other(&mut self, lazy: &Lazy<'a>, env: &Env<'_, 'a>, into: &Cell<Value<'a>>) {
        if lazy.kind == LazyKind::Arithmetic {
            if let Some(value) = self.try_arithmetic(lazy.expr, env) {
                return into.set(value);
            }
        } else if let Some(value) = self.try_at_once(lazy, env) {
            return into.set(value);
        }
        into.set(Value::Delayed(Delayed::new(lazy.id, self.capture(env))));
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
                self.copied(&attrs.get_hinted(*name, hint)?.value)
            }
            Expr::WithVariable(variable) => {
                let scope = env.slot(&self.levels, variable.scopes.first()?.0, 0).get();
                let Value::Attrs(attrs) = known(scope) else {
                    return None;
                };
                let attr = attrs.get_hinted(variable.name, &variable.hint)?;
                self.copied(&attr.value)
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
    pub(crate) fn delay_boxed(
        &mut self,
        lazy: &Lazy<'a>,
        env: &Env<'_, 'a>,
        into: &Cell<Value<'a>>,
    ) {
        match (lazy.kind, lazy.expr) {
            (LazyKind::Constant, Expr::Constant(value)) => into.set(*value),
            (LazyKind::Variable, Expr::Variable { depth, index, .. }) => {
                into.set(env.share(&self.levels, *depth, *index));
            }
            (LazyKind::Thunk, _) => {
                let delayed = Value::Delayed(Delayed::new(lazy.id, self.capture(env)));
                into.set(Value::Thunk(self.arena.alloc(Slot::new(delayed))));
            }
            _ => {
                self.delay_other(lazy, env, into);
                if let Value::Delayed(..) = into.get() {
                    into.set(into.get().boxed(self.arena));
                }
            }
        }
    }
}
