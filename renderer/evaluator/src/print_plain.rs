//! The form in which `nix-instantiate --eval` has always printed values: functions as `<LAMBDA>`, what is not evaluated
//! as `<CODE>`.

use rustc_hash::FxHashSet;

use crate::ast_print::write_name;
use crate::eval::{Evaluator, Result};
use crate::print::{format_float, write_string};
use crate::value::{Bool, Slot, Value};

impl<'a> Evaluator<'a> {
    /// A value as far as it is evaluated.
    pub fn print_plain(&mut self, value: Value<'a>) -> Result<Vec<u8>> {
        self.on_stack(|evaluator| {
            let mut out = Vec::new();
            evaluator.write_plain(&mut out, value, 0, &mut FxHashSet::default(), 0)?;
            Ok(out)
        })
    }

    fn write_plain_slot(
        &mut self,
        out: &mut Vec<u8>,
        slot: &'a Slot<'a>,
        seen: &mut FxHashSet<usize>,
        depth: usize,
    ) -> Result<()> {
        let cell = slot.last();
        let address = std::ptr::from_ref(cell).addr();
        self.write_plain(out, cell.get(), address, seen, depth)
    }

    /// Lists are told apart by the cells that they are in, as C++ Nix does, sets by themselves.
    fn write_plain(
        &mut self,
        out: &mut Vec<u8>,
        value: Value<'a>,
        cell: usize,
        seen: &mut FxHashSet<usize>,
        depth: usize,
    ) -> Result<()> {
        self.check_depth(depth)?;
        match value {
            Value::Null => out.extend(b"null"),
            Value::Bool(Bool::True) => out.extend(b"true"),
            Value::Bool(Bool::False) => out.extend(b"false"),
            Value::Int(value) => out.extend(value.to_string().bytes()),
            Value::Float(value) => out.extend(format_float(value.into()).bytes()),
            Value::String(string) => write_string(out, string.bytes, usize::MAX),
            Value::Path(path) => out.extend(self.io.shown_path(path.bytes).bytes()),
            Value::List(list) => {
                if !list.items.is_empty() && !seen.insert(cell) {
                    out.extend("«repeated»".bytes());
                    return Ok(());
                }
                out.extend(b"[ ");
                for item in list.items {
                    self.write_plain_slot(out, item, seen, depth + 1)?;
                    out.push(b' ');
                }
                out.push(b']');
            }
            Value::Attrs(attrs) => {
                if !attrs.is_empty() && !seen.insert(std::ptr::from_ref(attrs).addr()) {
                    out.extend("«repeated»".bytes());
                    return Ok(());
                }
                out.extend(b"{ ");
                for attr in self.sorted_attrs(attrs) {
                    write_name(out, self.symbols.bytes(attr.name));
                    out.extend(b" = ");
                    self.write_plain_slot(out, attr.value, seen, depth + 1)?;
                    out.extend(b"; ");
                }
                out.push(b'}');
            }
            Value::Lambda(_) => out.extend(b"<LAMBDA>"),
            Value::Builtin(_) => out.extend(b"<PRIMOP>"),
            Value::PartialApplication(partial) => match partial.function {
                Value::Lambda(_) => out.extend(b"<LAMBDA>"),
                _ => out.extend(b"<PRIMOP-APP>"),
            },
            Value::Blackhole => out.extend("«potential infinite recursion»".bytes()),
            Value::Thunk(_)
            | Value::Delayed(..)
            | Value::Mapped(..)
            | Value::Application(_)
            | Value::Failed(_) => out.extend(b"<CODE>"),
        }
        Ok(())
    }
}
