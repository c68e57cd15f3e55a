//! Forcing values all the way down.

use rustc_hash::FxHashSet;

use super::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::{MappedOver, Slot, Value};

impl<'a> Evaluator<'a> {
    /// Forces a value and everything in it (`deepSeq`, `--strict`).
    pub fn force_deep(&mut self, value: Value<'a>) -> Result<Value<'a>> {
        self.on_stack(|evaluator| {
            evaluator.enter_call(PosIdx::NONE)?;
            let result = evaluator.force(value, PosIdx::NONE).and_then(|value| {
                evaluator.force_parts(value, &mut FxHashSet::default())?;
                Ok(value)
            });
            evaluator.leave_call();
            result
        })
    }

    fn force_parts(&mut self, value: Value<'a>, seen: &mut FxHashSet<usize>) -> Result<()> {
        match value {
            Value::Attrs(attrs) => {
                if !seen.insert(std::ptr::from_ref(attrs).addr()) {
                    return Ok(());
                }
                for attr in attrs.entries(self.arena) {
                    self.force_part(attr.value, seen).map_err(|error| {
                        let name = self.shown_name(attr.name);
                        error.trace(
                            attr.position,
                            format!("while evaluating the attribute '{name}'"),
                        )
                    })?;
                }
                Ok(())
            }
            Value::List(list) => {
                if !seen.insert(std::ptr::from_ref(list).addr()) {
                    return Ok(());
                }
                for (index, item) in list.items.iter().enumerate() {
                    self.force_part(item, seen).map_err(|error| {
                        error.trace(
                            PosIdx::NONE,
                            format!("while evaluating list element at index {index}"),
                        )
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn force_part(&mut self, slot: &'a Slot<'a>, seen: &mut FxHashSet<usize>) -> Result<()> {
        // Cells that name others stay as they are: printing tells by them which values are the same one.
        let slot = slot.last();
        let position = self.application_position(slot.get());
        self.enter_call(position)?;
        let result = self
            .check_stack()
            .and_then(|()| self.force_slot(slot, position))
            .and_then(|value| self.force_parts(value, seen));
        self.leave_call();
        result
    }

    /// Where errors in a call that is still to be made say that it is made: where the function stands.
    fn application_position(&self, state: Value<'a>) -> PosIdx {
        let function = match state {
            Value::Mapped(item) => {
                let mapped = self.mapped_of(item);
                match mapped.over {
                    // Its function was not evaluated when the set was made.
                    MappedOver::Attrs(_) if !mapped.called.get() => return PosIdx::NONE,
                    _ => mapped.function,
                }
            }
            Value::Application(application) => application.function,
            _ => return PosIdx::NONE,
        };
        match function {
            Value::Lambda(lambda) => lambda.code.positions[0],
            _ => PosIdx::NONE,
        }
    }
}
