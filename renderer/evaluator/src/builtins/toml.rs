//! `fromTOML`.

use super::{Global, Row};
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![("fromTOML", 1, Global::Bare, from_toml)]
}

fn from_toml<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.fromTOML";
    let text = evaluator.expect_string_no_context(args[0], PosIdx::NONE, what)?;
    evaluator.from_toml(text)
}
