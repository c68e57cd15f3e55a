//! Arithmetic, bits and order.

use super::{Global, Row};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::expr::Op;
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::Underscored;
    vec![
        ("add", 2, Underscored, |e, args, _| {
            arithmetic(e, Op::Add, args)
        }),
        ("sub", 2, Underscored, |e, args, _| {
            arithmetic(e, Op::Sub, args)
        }),
        ("mul", 2, Underscored, |e, args, _| {
            arithmetic(e, Op::Mul, args)
        }),
        ("div", 2, Underscored, |e, args, _| {
            arithmetic(e, Op::Div, args)
        }),
        ("bitAnd", 2, Underscored, |e, args, _| {
            let (l, r) = integers(
                e,
                args,
                "while evaluating the first argument passed to builtins.bitAnd",
                "while evaluating the second argument passed to builtins.bitAnd",
            )?;
            Ok(Value::Int(l & r))
        }),
        ("bitOr", 2, Underscored, |e, args, _| {
            let (l, r) = integers(
                e,
                args,
                "while evaluating the first argument passed to builtins.bitOr",
                "while evaluating the second argument passed to builtins.bitOr",
            )?;
            Ok(Value::Int(l | r))
        }),
        ("bitXor", 2, Underscored, |e, args, _| {
            let (l, r) = integers(
                e,
                args,
                "while evaluating the first argument passed to builtins.bitXor",
                "while evaluating the second argument passed to builtins.bitXor",
            )?;
            Ok(Value::Int(l ^ r))
        }),
        ("ceil", 1, Underscored, |e, args, _| {
            round(
                e,
                args,
                f64::ceil,
                "while evaluating the first argument passed to builtins.ceil",
            )
        }),
        ("floor", 1, Underscored, |e, args, _| {
            round(
                e,
                args,
                f64::floor,
                "while evaluating the first argument passed to builtins.floor",
            )
        }),
        ("lessThan", 2, Underscored, less_than),
    ]
}

fn arithmetic<'a>(evaluator: &mut Evaluator<'a>, op: Op, args: &[Value<'a>]) -> Result<Value<'a>> {
    let left = evaluator.force(args[0], PosIdx::NONE)?;
    let right = evaluator.force(args[1], PosIdx::NONE)?;
    evaluator.arithmetic(op, left, right, PosIdx::NONE)
}

fn integers<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    first: &'static str,
    second: &'static str,
) -> Result<(i64, i64)> {
    let left = evaluator.expect_int(args[0], PosIdx::NONE, first)?;
    let right = evaluator.expect_int(args[1], PosIdx::NONE, second)?;
    Ok((left, right))
}

fn less_than<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let left = evaluator.force(args[0], PosIdx::NONE)?;
    let right = evaluator.force(args[1], PosIdx::NONE)?;
    Ok(Value::from(evaluator.less(
        left,
        right,
        PosIdx::NONE,
        "",
    )?))
}

/// `ceil` and `floor` go through a float even for integers; where that loses something, C++ Nix says so at length.
fn round<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    rounding: fn(f64) -> f64,
    what: &'static str,
) -> Result<Value<'a>> {
    const ISSUE: &str = "Due to a bug (see https://github.com/NixOS/nix/issues/12899)";
    const FUTURE: &str = "Future Nix versions might implement the correct behavior.";
    let argument = evaluator.expect_float(args[0], PosIdx::NONE, what)?;
    let rounded = rounding(argument);
    let least = i64::MIN as f64;
    let in_range = rounded >= least && rounded < -least;
    let integer = match evaluator.force(args[0], PosIdx::NONE)? {
        Value::Int(integer) => Some(integer),
        _ => None,
    };
    let message = match (integer, in_range) {
        (None, true) => return Ok(Value::Int(rounded as i64)),
        (Some(integer), true) if rounded as i64 == integer => return Ok(Value::Int(integer)),
        (Some(integer), true) => format!(
            "{ISSUE} a loss of precision occurred in previous Nix versions because the NixInt argument {integer} was \
             rounded to {}.\n\t{FUTURE}",
            rounded as i64
        ),
        (Some(integer), false) => format!(
            "{ISSUE} the NixInt argument {integer} caused undefined behavior in previous Nix versions.\n\t{FUTURE}"
        ),
        (None, false) => format!(
            "NixFloat argument {} is not in the range of NixInt",
            crate::print::format_float(argument)
        ),
    };
    Err(EvalError::new(ErrorKind::Eval, message))
}
