//! Values of a wanted type.

use super::compare::is_function;
use super::{Evaluator, Result};
use crate::attrs::Attrs;
use crate::context::{ContextBuilder, ContextElement};
use crate::error::{ErrorKind, EvalError};
use crate::files;
use crate::position::PosIdx;
use crate::symbol::Symbol;
use crate::value::{Bool, NixString, Slot, Value};

/// How a value becomes a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coercion {
    /// Numbers, Booleans, null and lists do, too (`toString`, derivation attributes).
    pub more: bool,
    /// A path becomes the store path of its copy.
    pub copy_to_store: bool,
}

impl Coercion {
    /// `"${x}"`
    pub const INTERPOLATION: Coercion = Coercion {
        more: false,
        copy_to_store: true,
    };
    /// A string, or a path as it is.
    pub const PLAIN: Coercion = Coercion {
        more: false,
        copy_to_store: false,
    };
    /// `toString`
    pub const TO_STRING: Coercion = Coercion {
        more: true,
        copy_to_store: false,
    };
    /// An attribute of a derivation.
    pub const DERIVATION: Coercion = Coercion {
        more: true,
        copy_to_store: true,
    };
}

impl<'a> Evaluator<'a> {
    /// "expected WHAT but found a TYPE: VALUE"
    #[cold]
    pub(crate) fn type_error(&mut self, what: &str, found: Value<'a>) -> Box<EvalError> {
        let shown = self.show_typed(found);
        EvalError::new(
            ErrorKind::Type,
            format!("expected {what} but found {shown}"),
        )
    }

    #[cold]
    fn wrong_type(
        &mut self,
        wanted: &str,
        found: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Box<EvalError> {
        self.type_error(wanted, found)
            .at(position)
            .trace(position, what)
    }

    fn forced(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<Value<'a>> {
        match value {
            Value::Thunk(slot) => self
                .force_slot(slot, position)
                .map_err(|error| error.trace(position, what)),
            value => Ok(value),
        }
    }

    /// An integer. `what` says what for, in the trace.
    #[inline]
    pub fn expect_int(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<i64> {
        match value {
            Value::Int(value) => Ok(value),
            value => self.int_of(value, position, what),
        }
    }

    #[inline(never)]
    fn int_of(&mut self, value: Value<'a>, position: PosIdx, what: &'static str) -> Result<i64> {
        match self.forced(value, position, what)? {
            Value::Int(value) => Ok(value),
            other => Err(self.wrong_type("an integer", other, position, what)),
        }
    }

    /// A float, or an integer as one.
    pub fn expect_float(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<f64> {
        match self.forced(value, position, what)? {
            Value::Int(value) => Ok(value as f64),
            Value::Float(value) => Ok(value.into()),
            other => Err(self.wrong_type("a float", other, position, what)),
        }
    }

    /// A Boolean.
    #[inline]
    pub fn expect_bool(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<bool> {
        match value {
            Value::Bool(value) => Ok(value.into()),
            value => self.bool_of(value, position, what),
        }
    }

    #[inline(never)]
    fn bool_of(&mut self, value: Value<'a>, position: PosIdx, what: &'static str) -> Result<bool> {
        match self.forced(value, position, what)? {
            Value::Bool(value) => Ok(value.into()),
            other => Err(self.wrong_type("a Boolean", other, position, what)),
        }
    }

    /// A set.
    pub fn expect_attrs(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<&'a Attrs<'a>> {
        match self.force(value, position)? {
            Value::Attrs(attrs) => Ok(attrs),
            other => Err(self.type_error("a set", other).trace(position, what)),
        }
    }

    /// A list's elements.
    pub fn expect_list(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<&'a [Slot<'a>]> {
        match self.force(value, position)? {
            Value::List(list) => Ok(list.items),
            other => Err(self.type_error("a list", other).trace(position, what)),
        }
    }

    /// A function, or a set that can be called.
    pub fn expect_function(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<Value<'a>> {
        match self.forced(value, position, what)? {
            value if is_function(value) => Ok(value),
            Value::Attrs(attrs) if attrs.get(self.names.functor).is_some() => {
                Ok(Value::Attrs(attrs))
            }
            other => Err(self.wrong_type("a function", other, position, what)),
        }
    }

    /// A string, whatever its context.
    pub fn expect_string(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<&'a NixString<'a>> {
        match self.forced(value, position, what)? {
            Value::String(string) => Ok(string),
            other => Err(self.wrong_type("a string", other, position, what)),
        }
    }

    /// A string that refers to no store path.
    pub fn expect_string_no_context(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<&'a [u8]> {
        let string = self.expect_string(value, position, what)?;
        if string.context.is_none() {
            return Ok(string.bytes);
        }
        let elements = self.contexts.elements(string.context);
        let Some(&first) = elements.first() else {
            return Ok(string.bytes);
        };
        let message = format!(
            "the string '{}' is not allowed to refer to a store path (such as '{}')",
            String::from_utf8_lossy(string.bytes),
            self.show_context_element(first)
        );
        Err(EvalError::new(ErrorKind::Eval, message).trace(position, what))
    }

    /// A context element as messages show it: a store path, with `^output` after a derivation's.
    pub(crate) fn show_context_element(&self, element: ContextElement<'_>) -> String {
        let store = self.store_dir();
        match element {
            ContextElement::Opaque(path) => format!("{store}/{path}"),
            ContextElement::DrvDeep(path) => format!("{store}/{path} (deep)"),
            ContextElement::Built { drv_path, output } => format!("{store}/{drv_path}^{output}"),
        }
    }

    /// The attribute of a set that must be there.
    pub(crate) fn required_attr(
        &mut self,
        attrs: &'a Attrs<'a>,
        name: Symbol,
        what: &'static str,
    ) -> Result<crate::attrs::AttrRef<'a>> {
        attrs.get(name).ok_or_else(|| {
            let message = format!("attribute '{}' missing", self.shown_name(name));
            EvalError::new(ErrorKind::Type, message).trace(PosIdx::NONE, what)
        })
    }

    /// A value as a string. What the string refers to is added to `context`.
    pub fn coerce_to_string(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        context: &mut ContextBuilder,
        what: &'static str,
        how: Coercion,
    ) -> Result<&'a [u8]> {
        match self.force(value, position)? {
            Value::String(string) => {
                context.add(string.context);
                Ok(string.bytes)
            }
            value => {
                self.enter_call(position)?;
                let result = self.coerce_other(value, position, context, what, how);
                self.leave_call();
                result
            }
        }
    }

    fn coerce_other(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        context: &mut ContextBuilder,
        what: &'static str,
        how: Coercion,
    ) -> Result<&'a [u8]> {
        self.check_stack()?;
        match value {
            Value::Path(path) if how.copy_to_store => self.copy_path_to_store(path.bytes, context),
            Value::Path(path) => {
                self.io.observed(path.bytes);
                Ok(files::text(path.bytes))
            }
            Value::Attrs(attrs) => {
                if let Some(method) = attrs.get(self.names.to_string) {
                    let text = self.call(method.value.share(), &[value], position)?;
                    let what = "while evaluating the result of the `__toString` attribute";
                    return self.coerce_to_string(text, position, context, what, how);
                }
                if let Some(out_path) = attrs.get(self.names.out_path) {
                    return self.coerce_to_string(
                        out_path.value.share(),
                        position,
                        context,
                        what,
                        how,
                    );
                }
                Err(self.cannot_coerce(value).trace(position, what))
            }
            Value::Bool(Bool::True) if how.more => Ok(b"1"),
            Value::Bool(Bool::False) | Value::Null if how.more => Ok(b""),
            Value::Int(value) if how.more => Ok(self.digits(value)),
            Value::Float(value) if how.more => {
                let text = format!("{:.6}", f64::from(value));
                Ok(self.arena.alloc_str(&text).as_bytes())
            }
            Value::List(list) if how.more => {
                self.coerce_list(list.items, position, context, what, how)
            }
            other => Err(self.cannot_coerce(other).trace(position, what)),
        }
    }

    /// A number in decimal.
    fn digits(&self, value: i64) -> &'a [u8] {
        let mut digits = [0; 20];
        let (mut start, mut rest) = (digits.len(), value.unsigned_abs());
        while rest > 0 || start == digits.len() {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if value < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        self.arena.alloc_slice_copy(&digits[start..])
    }

    fn coerce_list(
        &mut self,
        items: &'a [Slot<'a>],
        position: PosIdx,
        context: &mut ContextBuilder,
        what: &'static str,
        how: Coercion,
    ) -> Result<&'a [u8]> {
        let mut text = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let part = self
                .coerce_to_string(
                    item.share(),
                    position,
                    context,
                    "while evaluating one element of the list",
                    how,
                )
                .map_err(|error| error.trace(position, what))?;
            self.make_room(text.len() + part.len())?;
            text.extend_from_slice(part);
            // An empty list as an element leaves no blank behind; one as the last element leaves the one before it.
            let empty_list = matches!(item.share(), Value::List(list) if list.items.is_empty());
            if index + 1 < items.len() && !empty_list {
                text.push(b' ');
            }
        }
        Ok(self.arena.alloc_slice_copy(&text))
    }

    fn cannot_coerce(&mut self, value: Value<'a>) -> Box<EvalError> {
        let (kind, shown) = (self.show_type(value), self.show_short(value));
        EvalError::new(
            ErrorKind::Type,
            format!("cannot coerce {kind} to a string: {shown}"),
        )
    }

    /// A path, or a string that is an absolute path; what a string refers to is added to `context`.
    pub(crate) fn coerce_to_path(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
        context: &mut ContextBuilder,
        what: &'static str,
    ) -> Result<Vec<u8>> {
        let mut value = self.forced(value, position, what)?;
        while let Value::Attrs(attrs) = value {
            let Some(method) = attrs.get(self.names.to_string) else {
                break;
            };
            value = self.call(method.value.share(), &[value], position)?;
            value = self.forced(value, position, what)?;
        }
        if let Value::Path(path) = value {
            return Ok(path.bytes.to_vec());
        }
        let text = self.coerce_to_string(value, position, context, what, Coercion::PLAIN)?;
        if !text.starts_with(b"/") {
            let message = format!(
                "string '{}' doesn't represent an absolute path",
                String::from_utf8_lossy(text)
            );
            return Err(EvalError::new(ErrorKind::Eval, message).trace(position, what));
        }
        Ok(crate::path::normalise(text))
    }
}
