//! The environments among a flake's outputs.

use std::collections::BTreeSet;

use niphas_render::nearest;
use nix_evaluator::{Attrs, Evaluator, Value};

use crate::error::{EvaluationError, WorkError};

/// The flake's environments.
pub(crate) fn configurations<'a>(
    evaluator: &mut Evaluator<'a>,
    flake: Value<'a>,
) -> Result<&'a Attrs<'a>, WorkError> {
    let Value::Attrs(outputs) = flake else {
        return Err(EvaluationError::OutputsAreNoSet.into());
    };
    let Some(all) = evaluator.find_attr(outputs, "niphasConfigurations") else {
        let names = names_of(evaluator, outputs);
        let ours = names.iter().filter(|name| name.starts_with("niphas"));
        let similar = nearest("niphasConfigurations", ours.map(String::as_str));
        return Err(EvaluationError::NoEnvironments { similar }.into());
    };
    let what = "while evaluating the flake output 'niphasConfigurations'";
    Ok(evaluator.expect_attrs(all.value.share(), all.position, what)?)
}

/// The environments that are chosen, of those there are: all where none is named.
pub(crate) fn chosen(named: &[String], all: &[String]) -> BTreeSet<String> {
    let names = if named.is_empty() { all } else { named };
    names.iter().cloned().collect()
}

/// The names in a set, sorted.
pub(crate) fn names_of<'a>(evaluator: &Evaluator<'a>, set: &'a Attrs<'a>) -> Vec<String> {
    let attrs = evaluator.sorted_attrs(set);
    let names = attrs.iter().map(|attr| evaluator.symbol_text(attr.name));
    names.collect()
}
