//! Builtins on flakes and references to them.

use super::fetch::outside_error;
use super::{Global, Row};
use crate::attrs::Attrs;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Evaluator, Result};
use crate::io::{FetchAttribute, FetchAttributes};
use crate::position::PosIdx;
use crate::value::Value;

pub(super) fn table<'a>() -> Vec<Row<'a>> {
    use Global::Underscored;
    vec![
        ("flakeRefToString", 1, Underscored, flake_ref_to_string),
        ("getFlake", 1, Underscored, get_flake),
        ("parseFlakeRef", 1, Underscored, parse_flake_ref),
    ]
}

/// Fetches and evaluates the flake that a reference names, for `builtins.getFlake`.
pub type GetFlake<'a> = dyn Fn(&mut Evaluator<'a>, &str) -> Result<Value<'a>> + 'a;

impl<'a> Evaluator<'a> {
    /// Has `builtins.getFlake` call `get_flake`, with references that pure evaluation allows.
    pub fn set_get_flake(&mut self, get_flake: &'a GetFlake<'a>) {
        self.get_flake = Some(get_flake);
    }
}

fn get_flake<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.getFlake";
    let reference = evaluator.expect_string_no_context(args[0], PosIdx::NONE, what)?;
    let reference = String::from_utf8_lossy(reference);
    let parsed = evaluator.io.parse_flake_ref(&reference);
    let parsed = parsed.map_err(|error| outside_error(&error))?;
    if evaluator.settings.pure && !parsed.locked {
        let place = evaluator.describe_position(PosIdx::NONE);
        let message = format!(
            "cannot call 'getFlake' on unlocked flake reference '{reference}', at {place} (use --impure to override)"
        );
        return Err(EvalError::new(ErrorKind::Eval, message));
    }
    let Some(get_flake) = evaluator.get_flake else {
        let message = "this evaluation knows no flakes";
        return Err(EvalError::new(ErrorKind::Eval, message));
    };
    get_flake(evaluator, &reference)
}

fn parse_flake_ref<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.parseFlakeRef";
    let reference = evaluator.expect_string_no_context(args[0], PosIdx::NONE, what)?;
    let parsed = evaluator
        .io
        .parse_flake_ref(&String::from_utf8_lossy(reference))
        .map_err(|error| outside_error(&error))?;
    let attrs = evaluator.fetched_attrs(parsed.attributes);
    Ok(Value::Attrs(Attrs::from_unsorted(evaluator.arena, attrs)))
}

fn flake_ref_to_string<'a>(
    evaluator: &mut Evaluator<'a>,
    args: &[Value<'a>],
    _: PosIdx,
) -> Result<Value<'a>> {
    let what = "while evaluating the argument passed to builtins.flakeRefToString";
    let attrs = evaluator.expect_attrs(args[0], PosIdx::NONE, what)?;
    let mut attributes = FetchAttributes::new();
    for attr in evaluator.sorted_attrs(attrs) {
        let name = evaluator.shown_name(attr.name);
        let value = match evaluator.force(attr.value.share(), attr.position)? {
            Value::Int(number) if number < 0 => {
                let message = format!("negative value given for flake ref attr {name}: {number}");
                return Err(EvalError::new(ErrorKind::Eval, message));
            }
            Value::Int(number) => FetchAttribute::Int(number),
            Value::Bool(flag) => FetchAttribute::Bool(flag.into()),
            Value::String(text) => {
                FetchAttribute::String(String::from_utf8_lossy(text.bytes).into_owned())
            }
            value => {
                let kind = evaluator.show_type(value);
                let message = format!(
                    "flake reference attribute sets may only contain integers, Booleans, and strings, but attribute '{name}' is {kind}"
                );
                return Err(EvalError::new(ErrorKind::Eval, message));
            }
        };
        attributes.insert(evaluator.symbols.text(attr.name), value);
    }
    let text = evaluator.io.flake_ref_to_string(&attributes);
    let text = text.map_err(|error| outside_error(&error))?;
    Ok(Value::string(evaluator.arena, text.as_bytes()))
}
