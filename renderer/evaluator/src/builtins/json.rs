//! `fromJSON` and `toJSON`.

use super::{Global, Row};
use crate::context::ContextBuilder;
use crate::eval::{Evaluator, Result};
use crate::json::JsonOptions;
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![
        ("fromJSON", 1, Global::Underscored, from_json),
        ("toJSON", 1, Global::Underscored, to_json),
    ]
}

fn from_json<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the first argument passed to builtins.fromJSON";
    let text = evaluator.expect_string_no_context(args[0], PosIdx::NONE, what)?;
    evaluator.from_json(text)
}

fn to_json<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let mut context = ContextBuilder::default();
    let text = evaluator.to_json(args[0], JsonOptions::TO_JSON, &mut context)?;
    let text = evaluator.arena.alloc_slice_copy(&text);
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, text, context))
}
