//! Equality and order of values.

use super::{Evaluator, Result};
use crate::attrs::Attrs;
use crate::error::{ErrorKind, EvalError};
use crate::position::PosIdx;
use crate::value::{Slot, Value};

impl<'a> Evaluator<'a> {
    /// `left == right`, for evaluated values.
    pub(crate) fn equal(
        &mut self,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
    ) -> Result<bool> {
        Ok(match (left, right) {
            (Value::Int(l), Value::Int(r)) => l == r,
            (Value::String(l), Value::String(r)) => l.bytes == r.bytes,
            (Value::Bool(l), Value::Bool(r)) => l == r,
            (Value::Null, Value::Null) => true,
            #[expect(clippy::float_cmp, reason = "Nix compares floats exactly")]
            (Value::Float(l), Value::Float(r)) => f64::from(l) == f64::from(r),
            #[expect(clippy::float_cmp, reason = "Nix compares floats exactly")]
            (Value::Int(l), Value::Float(r)) => l as f64 == f64::from(r),
            #[expect(clippy::float_cmp, reason = "Nix compares floats exactly")]
            (Value::Float(l), Value::Int(r)) => f64::from(l) == r as f64,
            (Value::Path(l), Value::Path(r)) => l.bytes == r.bytes,
            (Value::List(l), Value::List(r)) => {
                if l.items.len() != r.items.len() {
                    return Ok(false);
                }
                if std::ptr::eq(l.items, r.items) && l.items.is_empty() {
                    return Ok(true);
                }
                for (l, r) in l.items.iter().zip(r.items) {
                    if !self.equal_slots(l, r, position)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Attrs(_), Value::Attrs(_)) => self.equal_attrs(left, right, position)?,
            _ => false,
        })
    }

    /// Equality of two elements: one and the same value is equal to itself, even a function or NaN.
    pub(crate) fn equal_slots(
        &mut self,
        left: &'a Slot<'a>,
        right: &'a Slot<'a>,
        position: PosIdx,
    ) -> Result<bool> {
        self.enter_call(position)?;
        let result = self.equal_slots_here(left, right, position);
        self.leave_call();
        result
    }

    fn equal_slots_here(
        &mut self,
        left: &'a Slot<'a>,
        right: &'a Slot<'a>,
        position: PosIdx,
    ) -> Result<bool> {
        self.check_stack()?;
        let l = self.force_slot(left, position)?;
        if std::ptr::eq(left, right) {
            return Ok(true);
        }
        let r = self.force_slot(right, position)?;
        let same = match (l, r) {
            (Value::Lambda(l), Value::Lambda(r)) => std::ptr::eq(l, r),
            (Value::Builtin(l), Value::Builtin(r)) => std::ptr::eq(l, r),
            (Value::PartialApplication(l), Value::PartialApplication(r)) => std::ptr::eq(l, r),
            (Value::Attrs(l), Value::Attrs(r)) => std::ptr::eq(l, r),
            (Value::List(l), Value::List(r)) => std::ptr::eq(l, r),
            _ => false,
        };
        if same {
            return Ok(true);
        }
        self.equal(l, r, position)
    }

    /// Derivations are equal when their `outPath`s are.
    fn equal_attrs(&mut self, left: Value<'a>, right: Value<'a>, position: PosIdx) -> Result<bool> {
        let (Value::Attrs(l), Value::Attrs(r)) = (left, right) else {
            return Ok(false);
        };
        if self.is_derivation(left)?
            && self.is_derivation(right)?
            && let (Some(l), Some(r)) = (l.get(self.names.out_path), r.get(self.names.out_path))
        {
            return self.equal_slots(l.value, r.value, position);
        }
        let (l, r) = (l.entries(self.arena), r.entries(self.arena));
        if l.len() != r.len() {
            return Ok(false);
        }
        if l.iter().zip(r).any(|(l, r)| l.name != r.name) {
            return Ok(false);
        }
        for (l, r) in l.iter().zip(r) {
            if !self.equal_slots(l.value, r.value, position)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `type` is "derivation".
    pub(crate) fn is_derivation(&mut self, value: Value<'a>) -> Result<bool> {
        let Value::Attrs(attrs) = value else {
            return Ok(false);
        };
        let Some(attr) = attrs.get(self.names.type_) else {
            return Ok(false);
        };
        let kind = self.force_slot(attr.value, attr.position)?;
        Ok(matches!(kind, Value::String(string) if string.bytes == b"derivation"))
    }

    /// What makes two values unequal, as an assertion's error; it looks where [`Evaluator::equal`] looks.
    pub(super) fn assert_equal(
        &mut self,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
    ) -> Result<()> {
        self.check_stack()?;
        let left = self.force(left, position)?;
        let right = self.force(right, position)?;
        let is_number = |value| matches!(value, Value::Int(_) | Value::Float(_));
        if is_number(left) && is_number(right) {
            if self.equal(left, right, position)? {
                return Ok(());
            }
            return Err(self.unequal(
                "%t with value '%v' is not equal to %T with value '%V'",
                left,
                right,
            ));
        }
        match (left, right) {
            (Value::Null, Value::Null) => Ok(()),
            (Value::Bool(l), Value::Bool(r)) if l == r => Ok(()),
            (Value::Bool(_), Value::Bool(_)) => {
                Err(self.unequal("boolean '%v' is not equal to boolean '%V'", left, right))
            }
            (Value::String(l), Value::String(r)) if l.bytes == r.bytes => Ok(()),
            (Value::String(_), Value::String(_)) => {
                Err(self.unequal("string '%v' is not equal to string '%V'", left, right))
            }
            (Value::Path(l), Value::Path(r)) if l.bytes == r.bytes => Ok(()),
            (Value::Path(_), Value::Path(_)) => {
                Err(self.unequal("path '%v' is not equal to path '%V'", left, right))
            }
            (Value::List(l), Value::List(r)) if l.items.len() != r.items.len() => {
                let sizes = format!(
                    "list of size '{}' is not equal to list of size '{}'",
                    l.items.len(),
                    r.items.len()
                );
                let text = format!("{sizes}, left hand side is '%v', right hand side is '%V'");
                Err(self.unequal(&text, left, right))
            }
            (Value::List(l), Value::List(r)) => {
                for (index, (l, r)) in l.items.iter().zip(r.items).enumerate() {
                    if !self.equal_slots(l, r, position)? {
                        self.assert_equal(l.share(), r.share(), position)
                            .map_err(|error| {
                                error.trace(
                                    position,
                                    format!("while comparing list element {index}"),
                                )
                            })?;
                    }
                }
                Ok(())
            }
            (Value::Attrs(l), Value::Attrs(r)) => {
                self.assert_equal_attrs((left, l), (right, r), position)
            }
            _ if is_function(left) && is_function(right) => Err(EvalError::new(
                ErrorKind::Assertion,
                "distinct functions and immediate comparisons of identical functions compare as unequal",
            )),
            _ => Err(self.unequal(
                "%t of value '%v' is not equal to %T of value '%V'",
                left,
                right,
            )),
        }
    }

    fn assert_equal_attrs(
        &mut self,
        (left, l): (Value<'a>, &'a Attrs<'a>),
        (right, r): (Value<'a>, &'a Attrs<'a>),
        position: PosIdx,
    ) -> Result<()> {
        if self.is_derivation(left)?
            && self.is_derivation(right)?
            && let (Some(l), Some(r)) = (l.get(self.names.out_path), r.get(self.names.out_path))
        {
            return self
                .assert_equal(l.value.share(), r.value.share(), position)
                .map_err(|error| {
                    error.trace(
                        position,
                        "while comparing a derivation by its 'outPath' attribute",
                    )
                });
        }
        let (entries, others) = (l.entries(self.arena), r.entries(self.arena));
        if entries.len() != others.len() {
            let text = "attribute names of attribute set '%v' differs from attribute set '%V'";
            return Err(self.unequal(text, left, right));
        }
        for (attr, other) in entries.iter().zip(others) {
            if attr.name != other.name {
                let (name, text) = if r.get(attr.name).is_none() {
                    (attr.name, "is contained in '%v', but not in '%V'")
                } else {
                    (other.name, "is missing in '%v', but is contained in '%V'")
                };
                let text = format!("attribute name '{}' {text}", self.shown_name(name));
                return Err(self.unequal(&text, left, right));
            }
            if self.equal_slots(attr.value, other.value, position)? {
                continue;
            }
            self.assert_equal(attr.value.share(), other.value.share(), position)
                .map_err(|error| {
                    error
                        .trace(other.position, "where right hand side is")
                        .trace(attr.position, "where left hand side is")
                        .trace(
                            position,
                            format!("while comparing attribute '{}'", self.shown_name(attr.name)),
                        )
                })?;
        }
        Ok(())
    }

    /// An assertion's error; `%t`, `%v` are the left side's type and value, `%T`, `%V` the right side's.
    fn unequal(&mut self, text: &str, left: Value<'a>, right: Value<'a>) -> Box<EvalError> {
        let mut message = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            message.push_str(before);
            let (directive, after) = after.split_at(after.len().min(1));
            message.push_str(&match directive {
                "t" => self.show_type(left),
                "v" => self.show_short(left),
                "T" => self.show_type(right),
                _ => self.show_short(right),
            });
            rest = after;
        }
        message.push_str(rest);
        EvalError::new(ErrorKind::Assertion, message)
    }

    /// `left < right`, for evaluated values. `what`: what is being done, for the trace.
    pub(crate) fn less(
        &mut self,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<bool> {
        self.less_here(left, right, position, what)
            .map_err(|error| {
                if what.is_empty() {
                    error
                } else {
                    error.trace(PosIdx::NONE, what)
                }
            })
    }

    fn less_here(
        &mut self,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
        what: &'static str,
    ) -> Result<bool> {
        self.check_stack()?;
        Ok(match (left, right) {
            (Value::Int(l), Value::Int(r)) => l < r,
            (Value::Float(l), Value::Float(r)) => f64::from(l) < f64::from(r),
            (Value::Int(l), Value::Float(r)) => (l as f64) < f64::from(r),
            (Value::Float(l), Value::Int(r)) => f64::from(l) < r as f64,
            (Value::String(l), Value::String(r)) => l.bytes < r.bytes,
            (Value::Path(l), Value::Path(r)) => {
                self.io.observed(l.bytes);
                self.io.observed(r.bytes);
                l.bytes < r.bytes
            }
            (Value::List(l), Value::List(r)) => {
                for (index, right) in r.items.iter().enumerate() {
                    let Some(left) = l.items.get(index) else {
                        return Ok(true);
                    };
                    if !self
                        .equal_slots(left, right, position)
                        .map_err(|error| error.trace(position, what))?
                    {
                        let l = self.force_slot(left, position)?;
                        let r = self.force_slot(right, position)?;
                        return self.less(l, r, position, "while comparing two list elements");
                    }
                }
                false
            }
            _ => return Err(self.incomparable(left, right)),
        })
    }

    fn incomparable(&mut self, left: Value<'a>, right: Value<'a>) -> Box<EvalError> {
        let (l, r) = (self.show_type(left), self.show_type(right));
        let (shown_l, shown_r) = (self.show_short(left), self.show_short(right));
        let same = std::mem::discriminant(&left) == std::mem::discriminant(&right)
            || (is_function(left) && is_function(right));
        let message = if same {
            format!(
                "cannot compare {l} with {r}; values of that type are incomparable (values are {shown_l} and {shown_r})"
            )
        } else {
            format!("cannot compare {l} with {r}; values are {shown_l} and {shown_r}")
        };
        EvalError::new(ErrorKind::Eval, message)
    }
}

/// A function of any kind.
pub(crate) fn is_function(value: Value<'_>) -> bool {
    matches!(
        value,
        Value::Lambda(_) | Value::Builtin(_) | Value::PartialApplication(_)
    )
}
