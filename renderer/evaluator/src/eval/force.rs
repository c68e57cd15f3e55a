//! Forcing: a delayed value is computed once, and what came of it stays in its cell.

use super::{Evaluator, Result};
use crate::error::{ErrorKind, EvalError};
use crate::position::PosIdx;
use crate::value::{Delayed, Failure, MappedOver, Slot, Value};

impl<'a> Evaluator<'a> {
    /// Forces a value that may be a [`Value::Thunk`].
    #[inline]
    pub fn force(&mut self, value: Value<'a>, position: PosIdx) -> Result<Value<'a>> {
        match value {
            Value::Thunk(slot) => {
                let value = slot.get();
                if value.is_whnf() {
                    return Ok(value);
                }
                self.on_stack(|evaluator| evaluator.force_unevaluated(slot, value, position))
            }
            value => Ok(value),
        }
    }

    /// Forces what is in a cell; the result stays in it.
    #[inline]
    pub(crate) fn force_slot(&mut self, slot: &'a Slot<'a>, position: PosIdx) -> Result<Value<'a>> {
        let value = slot.get();
        if value.is_whnf() {
            return Ok(value);
        }
        self.force_unevaluated(slot, value, position)
    }

    fn force_unevaluated(
        &mut self,
        slot: &'a Slot<'a>,
        state: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        self.check_stack()?;
        let Value::Delayed(delayed) = state else {
            return self.force_otherwise(slot, state, position);
        };
        slot.set(Value::Blackhole);
        match self.eval_delayed(delayed) {
            Ok(value) => Ok(self.keep_value(slot, value)),
            Err(error) => Err(self.fail(slot, state, error)),
        }
    }

    /// An expression in its level.
    #[expect(
        clippy::inline_always,
        reason = "half of all values are computed by it"
    )]
    #[inline(always)]
    pub(crate) fn eval_delayed(&mut self, delayed: Delayed) -> Result<Value<'a>> {
        let expr = self.thunks[delayed.thunk().0 as usize];
        let env = self.levels.env(delayed.level());
        self.eval(expr, &env)
    }

    /// What a cell held was computed.
    #[inline]
    fn keep_value(&self, slot: &'a Slot<'a>, value: Value<'a>) -> Value<'a> {
        let value = self.as_another(value);
        slot.set(value);
        value
    }

    fn force_otherwise(
        &mut self,
        slot: &'a Slot<'a>,
        state: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let result = match state {
            Value::Thunk(inner) => {
                let value = self.force_slot(inner, position)?;
                slot.set(value);
                return Ok(value);
            }
            Value::Blackhole => {
                return Err(EvalError::new(
                    ErrorKind::InfiniteRecursion,
                    "infinite recursion encountered",
                )
                .at(position));
            }
            Value::Mapped(item) => {
                slot.set(Value::Blackhole);
                let (mapped, index) = (self.mapped_of(item), item.index());
                match mapped.over {
                    MappedOver::Indices => {
                        self.call_1(mapped.function, Value::Int(index as i64), position)
                    }
                    MappedOver::Items(items) => {
                        let item = items[index].share();
                        self.call_1(mapped.function, item, position)
                    }
                    MappedOver::Attrs(attrs) => {
                        mapped.called.set(true);
                        let attr = attrs.at(index);
                        let name = Value::String(self.symbols.string(attr.name));
                        self.call_2(mapped.function, name, attr.value.share(), position)
                    }
                }
            }
            Value::Application(application) => {
                slot.set(Value::Blackhole);
                self.call(application.function, application.args, position)
            }
            Value::Failed(failure) => return self.force_failed(slot, failure, position),
            value => return Ok(value),
        };
        match result {
            Ok(value) => Ok(self.keep_value(slot, value)),
            Err(error) => Err(self.fail(slot, state, error)),
        }
    }

    /// A value could not be computed: it will not be tried again.
    #[cold]
    fn fail(
        &mut self,
        slot: &'a Slot<'a>,
        state: Value<'a>,
        mut error: Box<EvalError>,
    ) -> Box<EvalError> {
        let id = *error.failure.get_or_insert_with(|| {
            self.failures.push(None);
            (self.failures.len() - 1) as u32
        });
        slot.set(Value::Failed(self.arena.alloc(Failure { id, state })));
        error
    }

    #[cold]
    fn force_failed(
        &mut self,
        slot: &'a Slot<'a>,
        failure: &'a Failure<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        if let Some(error) = &self.failures[failure.id as usize] {
            // Another way to the same error, of which only values on that way know.
            let mut error = error.clone();
            error.failure = None;
            return Err(error);
        }
        slot.set(failure.state);
        self.force_slot(slot, position)
    }

    /// Takes an error that goes no further; values that it made fail will give it again.
    pub(crate) fn keep_failure(&mut self, error: Box<EvalError>) {
        if let Some(id) = error.failure {
            self.failures[id as usize] = Some(error);
        }
    }
}
