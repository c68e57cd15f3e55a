//! What a value's strings refer to.

use std::collections::BTreeMap;

use nix_evaluator::{ContextBuilder, EvalError, Evaluator, PosIdx, Value};
use serde_json::Value as Json;

use crate::attributes::to_json;
use crate::roots::BuiltOutput;

/// The store paths that a value's strings refer to, and what builds them.
pub(crate) type References = BTreeMap<String, Option<BuiltOutput>>;

/// A value as plain data, and the store paths that its strings refer to.
pub(crate) fn with_references<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<(Json, References), Box<EvalError>> {
    let mut context = ContextBuilder::default();
    let json = to_json(evaluator, value, &mut context)?;
    match evaluator.referred_paths(&context) {
        Ok(references) => {
            let references = references.into_iter();
            let references = references
                .map(|referred| (referred.path, referred.built_by.map(BuiltOutput::from)));
            Ok((json, references.collect()))
        }
        Err(error) => Err(placed(evaluator, value, error)),
    }
}

/// The error about what a value refers to, at the innermost attribute whose strings do.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "the evaluator's results hold boxed errors"
)]
fn placed<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    error: Box<EvalError>,
) -> Box<EvalError> {
    let (mut value, mut place) = (value, error.position);
    while let Some((inner, position)) = the_one_to_blame(evaluator, value) {
        value = inner;
        if position.is_some() {
            place = position;
        }
    }
    error.at(place)
}

/// The first part of a set or list with such a string, and its position if it has one.
fn the_one_to_blame<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Option<(Value<'a>, PosIdx)> {
    let parts: Vec<(Value<'a>, PosIdx)> = match value {
        // It stands for one string.
        Value::Attrs(attrs)
            if ["outPath", "__toString"]
                .iter()
                .any(|name| evaluator.find_attr(attrs, name).is_some()) =>
        {
            return None;
        }
        Value::Attrs(attrs) => {
            let attrs = evaluator.sorted_attrs(attrs).into_iter();
            attrs
                .map(|attr| (attr.value.share(), attr.position))
                .collect()
        }
        Value::List(list) => {
            let items = list.items.iter();
            items.map(|item| (item.share(), PosIdx::NONE)).collect()
        }
        _ => return None,
    };
    parts.into_iter().find(|(part, _)| {
        let mut context = ContextBuilder::default();
        to_json(evaluator, *part, &mut context).is_ok()
            && evaluator.referred_paths(&context).is_err()
    })
}
