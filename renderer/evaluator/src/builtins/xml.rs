//! `toXML`.

use super::{Global, Row};
use crate::context::ContextBuilder;
use crate::eval::{Evaluator, Result};
use crate::position::PosIdx;
use crate::value::Value;
use crate::xml::XmlOptions;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    vec![("toXML", 1, Global::Underscored, to_xml)]
}

fn to_xml<'a>(evaluator: &mut Evaluator<'a>, args: &[Value<'a>], _: PosIdx) -> Result<Value<'a>> {
    let mut context = ContextBuilder::default();
    let text = evaluator.to_xml(args[0], XmlOptions::TO_XML, &mut context)?;
    let text = evaluator.arena.alloc_slice_copy(&text);
    let context = evaluator.contexts.finish(context);
    Ok(Value::string_in(evaluator.arena, text, context))
}
