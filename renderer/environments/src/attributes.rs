//! Attributes of what a flake outputs.

use nix_evaluator::{ContextBuilder, ErrorKind, EvalError, Evaluator, JsonOptions, PosIdx, Value};
use serde_json::Value as Json;

/// An attribute of a value, evaluated; none if the value is no set or has no such attribute.
pub fn attribute<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    name: &str,
) -> Result<Option<Value<'a>>, Box<EvalError>> {
    let Value::Attrs(attrs) = evaluator.force(value, PosIdx::NONE)? else {
        return Ok(None);
    };
    match evaluator.find_attr(attrs, name) {
        None => Ok(None),
        Some(attr) => {
            let value = attr.value.share();
            evaluator.force(value, attr.position).map(Some)
        }
    }
}

/// The names of a set, sorted, and their values, not evaluated.
pub fn members<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<Vec<(String, Value<'a>)>, Box<EvalError>> {
    let Value::Attrs(attrs) = evaluator.force(value, PosIdx::NONE)? else {
        return Ok(Vec::new());
    };
    let sorted = evaluator.sorted_attrs(attrs);
    Ok(sorted
        .into_iter()
        .map(|attr| (evaluator.symbol_text(attr.name), attr.value.share()))
        .collect())
}

/// The first of several selection paths that the outputs of a flake have.
pub fn select_first<'a>(
    evaluator: &mut Evaluator<'a>,
    flake: &str,
    outputs: Value<'a>,
    paths: &[String],
) -> Result<Value<'a>, Box<EvalError>> {
    let mut near = Vec::new();
    for path in paths {
        let mut value = outputs;
        let mut names = split_path(path).into_iter();
        loop {
            let Some(name) = names.next() else {
                return Ok(value);
            };
            let Some(inner) = attribute(evaluator, value, &name)? else {
                near.extend(near_names(evaluator, value, &name)?);
                break;
            };
            value = inner;
        }
    }
    near.dedup();
    let quoted: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
    let named = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    let message = format!("flake '{flake}' does not provide attribute {named}");
    let mut error = EvalError::new(ErrorKind::Eval, message);
    error.suggestions = near;
    Err(error)
}

/// The names in a set that may have been meant.
fn near_names<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    name: &str,
) -> Result<Vec<String>, Box<EvalError>> {
    let members = members(evaluator, value)?;
    let names = members.iter().map(|(name, _)| name.as_bytes());
    let error = EvalError::new(ErrorKind::Eval, "").suggest(name.as_bytes(), names);
    Ok(error.suggestions)
}

/// A value as `builtins.toJSON` gives it; the store paths that it refers to are added to `context`.
pub(crate) fn to_json<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    context: &mut ContextBuilder,
) -> Result<Json, Box<EvalError>> {
    let text = evaluator.to_json(value, JsonOptions::TO_JSON, context)?;
    Ok(serde_json::from_slice(&text).expect("the evaluator writes JSON"))
}

/// The names in `a.b."c.d"`.
fn split_path(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => names.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::split_path;

    #[test]
    fn quoted_names_may_have_dots() {
        assert_eq!(split_path("a.\"b.c\".d"), ["a", "b.c", "d"]);
        assert!(split_path("").is_empty());
    }
}
