//! Functions whose argument is a set that they take apart: `{ a, b ? 1, ... }@args: …`.

use super::call::trace_call_site;
use super::{Evaluator, Result};
use crate::attrs::Attrs;
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{LambdaCode, PatternCode};
use crate::position::PosIdx;
use crate::value::{Slot, Value};

impl<'a> Evaluator<'a> {
    /// Takes the last argument apart. It is in the slot that the `@` name, or else the first formal, is to have.
    pub(super) fn match_pattern(
        &mut self,
        code: &'a LambdaCode<'a>,
        pattern: &'a PatternCode<'a>,
        env: &Env<'a, 'a>,
        position: PosIdx,
    ) -> Result<()> {
        let slots = env.slots();
        let own = code.positions[code.arity() - 1];
        let first = code.params.len();
        let argument = slots.get(first).map_or(Value::Null, Slot::get);
        let attrs = match self.force_argument(argument, own) {
            Ok(Value::Attrs(attrs)) => attrs,
            Ok(other) => {
                let what = "while evaluating the value passed for the lambda argument";
                let error = self.type_error("a set", other).trace(own, what);
                return Err(trace_call_site(error, position));
            }
            Err(error) => return Err(trace_call_site(error, position)),
        };
        let mut formals = slots.get(first..).unwrap_or_default();
        if pattern.at.is_some() {
            formals[0].set(Value::Attrs(attrs));
            formals = &formals[1..];
        }
        let mut used = 0;
        let mut walk = attrs.walk();
        let first_formal = (slots.len() - formals.len()) as u32;
        for ((formal, slot), index) in pattern.formals.iter().zip(formals).zip(first_formal..) {
            if let Some(attr) = walk.get(formal.name) {
                used += 1;
                slot.set(attr.value.share());
            } else if let Some(default) = &formal.default {
                slot.set(self.delay_in_level(default, env, Some(index)));
            } else {
                let message = format!(
                    "function '{}' called without required argument '{}'",
                    self.function_name(code),
                    self.shown_name(formal.name)
                );
                return Err(EvalError::new(ErrorKind::Type, message)
                    .at(own)
                    .trace(position, "from call site"));
            }
        }
        if !pattern.ellipsis && used != attrs.entries(self.arena).len() {
            return Err(self
                .unexpected_argument(code, pattern, attrs, own)
                .trace(position, "from call site"));
        }
        Ok(())
    }

    /// Forces an argument where it is, in a copy of what its slot holds.
    fn force_argument(&mut self, argument: Value<'a>, position: PosIdx) -> Result<Value<'a>> {
        match argument {
            Value::Delayed(delayed) => self.eval_delayed(delayed),
            value if value.is_whnf() => Ok(value),
            Value::Thunk(slot) => self.force_slot(slot, position),
            value => {
                let slot = self.arena.alloc(Slot::new(value));
                self.force_slot(slot, position)
            }
        }
    }

    fn function_name(&self, code: &LambdaCode<'a>) -> String {
        code.name.get().map_or_else(
            || "anonymous lambda".to_owned(),
            |name| self.symbols.text(name),
        )
    }

    fn unexpected_argument(
        &self,
        code: &LambdaCode<'a>,
        pattern: &PatternCode<'a>,
        attrs: &'a Attrs<'a>,
        position: PosIdx,
    ) -> Box<EvalError> {
        let known = |name| pattern.formals.iter().any(|formal| formal.name == name);
        let unexpected = attrs
            .entries(self.arena)
            .iter()
            .filter(|attr| !known(attr.name));
        let first = unexpected.min_by(|l, r| self.symbols.compare(l.name, r.name));
        let Some(first) = first else {
            return EvalError::new(ErrorKind::Type, "function called with unexpected arguments")
                .at(position);
        };
        let message = format!(
            "function '{}' called with unexpected argument '{}'",
            self.function_name(code),
            self.shown_name(first.name)
        );
        EvalError::new(ErrorKind::Type, message)
            .at(position)
            .suggest(
                self.symbols.bytes(first.name),
                pattern
                    .formals
                    .iter()
                    .map(|formal| self.symbols.bytes(formal.name)),
            )
    }
}
