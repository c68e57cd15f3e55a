//! Operators.

use super::{Coercion, Evaluator, Result};
use crate::context::ContextBuilder;
use crate::env::Env;
use crate::error::{ErrorKind, EvalError};
use crate::expr::{Expr, Op};
use crate::path::normalise;
use crate::position::PosIdx;
use crate::value::{Slot, Value};

impl<'a> Evaluator<'a> {
    #[inline(never)]
    pub(super) fn eval_binary(
        &mut self,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let &Expr::Binary {
            op,
            left,
            right,
            position,
            starts,
        } = expr
        else {
            unreachable!("an operator has operands");
        };
        self.check_stack()?;
        match op {
            Op::And => {
                let (in_left, in_right) = (
                    "in the left operand of the AND (&&) operator",
                    "in the right operand of the AND (&&) operator",
                );
                let value = self.eval_bool(left, env, position, in_left)?
                    && self.eval_bool(right, env, position, in_right)?;
                Ok(Value::from(value))
            }
            Op::Or => {
                let (in_left, in_right) = (
                    "in the left operand of the OR (||) operator",
                    "in the right operand of the OR (||) operator",
                );
                let value = self.eval_bool(left, env, position, in_left)?
                    || self.eval_bool(right, env, position, in_right)?;
                Ok(Value::from(value))
            }
            Op::Implies => {
                let (in_left, in_right) = (
                    "in the left operand of the IMPL (->) operator",
                    "in the right operand of the IMPL (->) operator",
                );
                let value = !self.eval_bool(left, env, position, in_left)?
                    || self.eval_bool(right, env, position, in_right)?;
                Ok(Value::from(value))
            }
            Op::Update => self.eval_update(left, right, env),
            Op::Add => self.eval_add(left, right, position, starts, env),
            _ => self
                .eval_both(op, left, right, position, env)
                .map_err(|error| builtin_trace(error, op, position)),
        }
    }

    #[inline]
    fn eval_both(
        &mut self,
        op: Op,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let (l, r) = match op {
            // `a > b` is `lessThan b a`, and a builtin's arguments are evaluated in order.
            Op::Greater | Op::LessEq => {
                let r = self.eval(right, env)?;
                (self.eval(left, env)?, r)
            }
            _ => (self.eval(left, env)?, self.eval(right, env)?),
        };
        if let (Value::Int(l), Value::Int(r)) = (l, r)
            && let Some(value) = on_ints(op, l, r)
        {
            return Ok(value);
        }
        if let (Value::String(l), Value::String(r)) = (l, r)
            && let Op::Eq | Op::NotEq = op
        {
            return Ok(Value::from((l.bytes == r.bytes) == (op == Op::Eq)));
        }
        self.operate(op, l, r, position)
    }

    /// An operator on evaluated operands.
    #[inline(never)]
    fn operate(
        &mut self,
        op: Op,
        l: Value<'a>,
        r: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        match op {
            Op::Eq => Ok(Value::from(self.equal(l, r, PosIdx::NONE)?)),
            Op::NotEq => Ok(Value::from(!self.equal(l, r, PosIdx::NONE)?)),
            Op::Concat => self.concat_lists(l, r, position),
            Op::Sub | Op::Mul | Op::Div => self.arithmetic(op, l, r, PosIdx::NONE),
            Op::Less => self.less(l, r, PosIdx::NONE, "").map(Value::from),
            Op::Greater => self.less(r, l, PosIdx::NONE, "").map(Value::from),
            Op::LessEq => self
                .less(r, l, PosIdx::NONE, "")
                .map(|less| Value::from(!less)),
            _ => self
                .less(l, r, PosIdx::NONE, "")
                .map(|less| Value::from(!less)),
        }
    }

    /// `-`, `*`, `/` on evaluated operands.
    pub(crate) fn arithmetic(
        &mut self,
        op: Op,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        if let (Value::Int(l), Value::Int(r)) = (left, right) {
            let (result, doing, sign) = match op {
                Op::Sub => (l.checked_sub(r), "subtracting", "-"),
                Op::Mul => (l.checked_mul(r), "multiplying", "*"),
                Op::Add => (l.checked_add(r), "adding", "+"),
                _ if r == 0 => {
                    return Err(EvalError::new(ErrorKind::Eval, "division by zero").at(position));
                }
                _ => (l.checked_div(r), "dividing", "/"),
            };
            return result.map(Value::Int).ok_or_else(|| {
                EvalError::new(
                    ErrorKind::Eval,
                    format!("integer overflow in {doing} {l} {sign} {r}"),
                )
                .at(position)
            });
        }
        let (first, second) = match op {
            Op::Sub => (
                "while evaluating the first argument of the subtraction",
                "while evaluating the second argument of the subtraction",
            ),
            Op::Mul => (
                "while evaluating the first argument of the multiplication",
                "while evaluating the second argument of the multiplication",
            ),
            Op::Add => (
                "while evaluating the first argument of the addition",
                "while evaluating the second argument of the addition",
            ),
            _ => (
                "while evaluating the first operand of the division",
                "while evaluating the second operand of the division",
            ),
        };
        if op == Op::Div {
            let divisor = self.expect_float(right, position, second)?;
            if divisor == 0.0 {
                return Err(EvalError::new(ErrorKind::Eval, "division by zero").at(position));
            }
        }
        if !matches!(left, Value::Float(_)) && !matches!(right, Value::Float(_)) {
            self.expect_int(left, position, first)?;
            self.expect_int(right, position, second)?;
        }
        let l = self.expect_float(left, position, first)?;
        let r = self.expect_float(right, position, second)?;
        Ok(Value::from(match op {
            Op::Sub => l - r,
            Op::Mul => l * r,
            Op::Add => l + r,
            _ => l / r,
        }))
    }

    #[inline(never)]
    pub(super) fn eval_negate(
        &mut self,
        operand: &'a Expr<'a>,
        position: PosIdx,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        self.check_stack()?;
        self.eval(operand, env)
            .and_then(|value| self.arithmetic(Op::Sub, Value::Int(0), value, PosIdx::NONE))
            .map_err(|error| builtin_trace(error, Op::Sub, position))
    }

    /// The right side first, as C++ Nix does.
    fn eval_update(
        &mut self,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let r = self.operand_attrs(
            right,
            env,
            "in the right operand of the update (//) operator",
        )?;
        let l = self.operand_attrs(left, env, "in the left operand of the update (//) operator")?;
        Ok(Value::Attrs(l.update(self.arena, &mut self.shapes, r)))
    }

    fn operand_attrs(
        &mut self,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
        what: &'static str,
    ) -> Result<&'a crate::attrs::Attrs<'a>> {
        if let Expr::Binary {
            op: Op::Update,
            left,
            right,
            ..
        } = expr
        {
            let Value::Attrs(attrs) = self.eval_update(left, right, env)? else {
                unreachable!("an update makes a set");
            };
            return Ok(attrs);
        }
        let position = expr.position();
        match self.eval(expr, env) {
            Ok(Value::Attrs(attrs)) => Ok(attrs),
            Ok(other) => Err(self.type_error("a set", other).trace(position, what)),
            Err(error) => Err(error.trace(position, what)),
        }
    }

    pub(crate) fn concat_lists(
        &mut self,
        left: Value<'a>,
        right: Value<'a>,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let what = "while evaluating one of the elements to concatenate";
        let l = self.expect_list(left, position, what)?;
        let r = self.expect_list(right, position, what)?;
        // A list of its own, though it shares the elements: printing tells lists that are the same one.
        if l.is_empty() {
            return Ok(Value::list(self.arena, r));
        }
        if r.is_empty() {
            return Ok(Value::list(self.arena, l));
        }
        self.make_room(size_of_val(l) + size_of_val(r))
            .map_err(|error| error.at(position))?;
        let items = self
            .arena
            .alloc_slice_fill_with(l.len() + r.len(), |index| {
                let item = if index < l.len() {
                    &l[index]
                } else {
                    &r[index - l.len()]
                };
                Slot::new(item.share())
            });
        Ok(Value::list(self.arena, items))
    }

    fn eval_add(
        &mut self,
        left: &'a Expr<'a>,
        right: &'a Expr<'a>,
        position: PosIdx,
        starts: [PosIdx; 2],
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let l = self.eval(left, env)?;
        let [l_start, r_start] = starts;
        match l {
            Value::Int(l) => match self.eval(right, env)? {
                Value::Int(r) => l.checked_add(r).map(Value::Int).ok_or_else(|| {
                    let message = format!("integer overflow in adding {l} + {r}");
                    EvalError::new(ErrorKind::Eval, message).at(r_start)
                }),
                Value::Float(r) => Ok(Value::from(l as f64 + f64::from(r))),
                other => Err(self.cannot_add(other, "an integer", r_start)),
            },
            Value::Float(l) => match self.eval(right, env)? {
                Value::Int(r) => Ok(Value::from(f64::from(l) + r as f64)),
                Value::Float(r) => Ok(Value::from(f64::from(l) + f64::from(r))),
                other => Err(self.cannot_add(other, "a float", r_start)),
            },
            Value::String(l) => {
                let r = self.eval(right, env)?;
                if let Value::String(r) = r {
                    let bytes = self.concat_bytes(&[l.bytes, r.bytes], position)?;
                    let context = self.contexts.union(l.context, r.context);
                    return Ok(Value::string_in(self.arena, bytes, context));
                }
                self.concat_values(&[(Value::String(l), l_start), (r, r_start)], position)
            }
            l => {
                // The left side is coerced before the right one is evaluated.
                if !matches!(l, Value::Path(_)) {
                    let mut context = ContextBuilder::default();
                    self.coerce_to_string(l, l_start, &mut context, SEGMENT, Coercion::PLAIN)?;
                }
                let r = self.eval(right, env)?;
                self.concat_values(&[(l, l_start), (r, r_start)], position)
            }
        }
    }

    fn concat_bytes(&self, parts: &[&[u8]], position: PosIdx) -> Result<&'a [u8]> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.make_room(len).map_err(|error| error.at(position))?;
        let mut bytes = bumpalo::collections::Vec::with_capacity_in(len, self.arena);
        for part in parts {
            bytes.extend_from_slice_copy(part);
        }
        Ok(bytes.into_bump_slice())
    }

    fn cannot_add(&mut self, value: Value<'a>, to: &str, position: PosIdx) -> Box<EvalError> {
        let shown = self.show_type(value);
        EvalError::new(ErrorKind::Eval, format!("cannot add {shown} to {to}")).at(position)
    }

    /// `a + b` where the first is neither a number nor, with the second, a string.
    fn concat_values(
        &mut self,
        parts: &[(Value<'a>, PosIdx)],
        position: PosIdx,
    ) -> Result<Value<'a>> {
        let mut context = ContextBuilder::default();
        let mut texts: Vec<u8> = Vec::new();
        let is_path = matches!(parts.first(), Some((Value::Path(_), _)));
        // Only after a string do paths stand for their copies in the store.
        let coercion = match parts.first() {
            Some((Value::String(_), _)) => Coercion::INTERPOLATION,
            _ => Coercion::PLAIN,
        };
        for (index, &(value, at)) in parts.iter().enumerate() {
            if let (0, Value::Path(path)) = (index, value) {
                texts.extend_from_slice(path.bytes);
                continue;
            }
            let text = self.coerce_to_string(value, at, &mut context, SEGMENT, coercion)?;
            self.make_room(texts.len() + text.len())
                .map_err(|error| error.at(position))?;
            texts.extend_from_slice(text);
        }
        self.concatenated(&texts, context, is_path, position)
    }

    fn concatenated(
        &mut self,
        text: &[u8],
        context: ContextBuilder,
        is_path: bool,
        position: PosIdx,
    ) -> Result<Value<'a>> {
        if is_path {
            if !context.is_empty() {
                let message = "a string that refers to a store path cannot be appended to a path";
                return Err(EvalError::new(ErrorKind::Eval, message).at(position));
            }
            let path = normalise(text);
            return Ok(Value::path_in(
                self.arena,
                self.arena.alloc_slice_copy(&path),
            ));
        }
        let context = self.contexts.finish(context);
        let bytes = self.arena.alloc_slice_copy(text);
        Ok(Value::string_in(self.arena, bytes, context))
    }

    /// `"a${b}"` or, if `path`, `./a${b}`.
    #[inline(never)]
    pub(super) fn eval_concat(
        &mut self,
        expr: &'a Expr<'a>,
        env: &Env<'_, 'a>,
    ) -> Result<Value<'a>> {
        let &Expr::Concat {
            parts,
            position,
            path,
        } = expr
        else {
            unreachable!("an interpolated string has parts");
        };
        self.check_stack()?;
        let mut context = ContextBuilder::default();
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        for (index, &(part, start)) in parts.iter().enumerate() {
            let value = self.eval(part, env)?;
            if let (Value::String(string), true) = (value, index > 0 || !path) {
                self.make_room(text.len() + string.bytes.len())
                    .map_err(|error| error.at(position))?;
                text.extend_from_slice(string.bytes);
                context.add(string.context);
                continue;
            }
            if let (Value::Path(start), true, 0) = (value, path, index) {
                text.extend_from_slice(start.bytes);
                continue;
            }
            let coercion = if path {
                Coercion::PLAIN
            } else {
                Coercion::INTERPOLATION
            };
            let part = self.coerce_to_string(value, start, &mut context, SEGMENT, coercion)?;
            text.extend_from_slice(part);
        }
        let result = self.concatenated(&text, context, path, position);
        self.text = text;
        result
    }
}

/// An operator on two numbers, where it cannot fail.
#[inline]
fn on_ints<'a>(op: Op, left: i64, right: i64) -> Option<Value<'a>> {
    match op {
        Op::Sub => left.checked_sub(right).map(Value::Int),
        Op::Mul => left.checked_mul(right).map(Value::Int),
        _ if op.compares() => Some(Value::from(op.holds(left, right))),
        _ => None,
    }
}

const SEGMENT: &str = "while evaluating a path segment";

/// The trace of an operator that is a builtin in disguise.
#[cold]
fn builtin_trace(error: Box<EvalError>, op: Op, position: PosIdx) -> Box<EvalError> {
    let name = match op {
        Op::Sub => "sub",
        Op::Mul => "mul",
        Op::Div => "div",
        Op::Less | Op::Greater | Op::LessEq | Op::GreaterEq => "lessThan",
        _ => return error,
    };
    let error = error.trace(position, format!("while calling the '{name}' builtin"));
    match op {
        // `a <= b` is `!(b < a)`.
        Op::LessEq | Op::GreaterEq => error.trace(position, "in the argument of the not operator"),
        _ => error,
    }
}
