//! Builtins that ask what a value is.

use super::{Global, Row};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::{Bare, Underscored};
    vec![
        ("isNull", 1, Bare, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Null))
        }),
        ("isBool", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Bool(_)))
        }),
        ("isInt", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Int(_)))
        }),
        ("isFloat", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Float(_)))
        }),
        ("isString", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::String(_)))
        }),
        ("isPath", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Path(_)))
        }),
        ("isList", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::List(_)))
        }),
        ("isAttrs", 1, Underscored, |e, args, _| {
            is(e, args, |v| matches!(v, Value::Attrs(_)))
        }),
        ("isFunction", 1, Underscored, |e, args, _| {
            is(e, args, |v| {
                matches!(
                    v,
                    Value::Lambda(_) | Value::Builtin(_) | Value::PartialApplication(_)
                )
            })
        }),
        ("typeOf", 1, Underscored, type_of),
    ]
}

fn is<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    test: fn(Value<'a>) -> bool,
) -> Result<Value<'a>> {
    let value = evaluator.force(args[0], PosIdx::NONE)?;
    Ok(Value::from(test(value)))
}

fn type_of<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let name = match evaluator.force(args[0], PosIdx::NONE)? {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::String(_) => "string",
        Value::Path(_) => "path",
        Value::List(_) => "list",
        Value::Attrs(_) => "set",
        _ => "lambda",
    };
    Ok(Value::String(evaluator.interned(name)))
}
