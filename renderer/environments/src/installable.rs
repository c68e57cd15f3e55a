//! The store paths that something of a flake stands for: a derivation, a string, an environment.

use niphas_render::ENVIRONMENT;
use nix_evaluator::{Coercion, ContextBuilder, ErrorKind, EvalError, Evaluator, PosIdx, Value};

use crate::attributes::{attribute, members, to_json};

/// Which outputs of a derivation are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outputs {
    /// Those that Nix installs.
    Usual,
    /// All.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

impl Outputs {
    /// What stands in `attribute^outputs`, and the attribute: `^*` for all, else names with commas between them.
    pub fn split(text: &str) -> (&str, Self) {
        match text.rsplit_once('^') {
            None => (text, Self::Usual),
            Some((attribute, "*")) => (attribute, Self::All),
            Some((attribute, names)) => {
                let names = names.split(',').map(str::to_owned);
                (attribute, Self::Named(names.collect()))
            }
        }
    }
}

/// The store paths that a value stands for: outputs of a derivation, what a string or path refers to, or all that the
/// workloads of an environment refer to.
pub fn store_paths_of<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    outputs: &Outputs,
) -> Result<Vec<String>, Box<EvalError>> {
    let value = evaluator.force(value, PosIdx::NONE)?;
    if text(evaluator, value, "type")?.as_deref() == Some("derivation") {
        return of_derivation(evaluator, value, outputs);
    }
    if *outputs != Outputs::Usual {
        return Err(error("only derivations have outputs".to_owned()));
    }
    let mut context = ContextBuilder::default();
    match value {
        Value::Attrs(_) if text(evaluator, value, "_type")?.as_deref() == Some(ENVIRONMENT) => {
            if let Some(workloads) = attribute(evaluator, value, "workloads")? {
                to_json(evaluator, workloads, &mut context)?;
            }
        }
        Value::Attrs(_) | Value::List(_) | Value::Lambda(_) => {
            return Err(nothing_to_build(evaluator, value)?);
        }
        value => {
            let what = "while evaluating a store path";
            let coercion = Coercion::INTERPOLATION;
            evaluator.coerce_to_string(value, PosIdx::NONE, &mut context, what, coercion)?;
        }
    }
    let referred = evaluator.referred_paths(&context)?;
    if referred.is_empty() {
        return Err(error("the value refers to no store path".to_owned()));
    }
    Ok(referred.into_iter().map(|referred| referred.path).collect())
}

/// The error if a set, a list or a function stands for no store path.
pub(crate) fn nothing_to_build<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<Box<EvalError>, Box<EvalError>> {
    let message = "expected a derivation, a store path or an environment of niphas";
    let names = members(evaluator, value)?;
    let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
    Ok(error(if names.is_empty() {
        message.to_owned()
    } else {
        let names = nix_formats::few(&names);
        format!("{message}, found a set with the attributes {names}")
    }))
}

fn of_derivation<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    outputs: &Outputs,
) -> Result<Vec<String>, Box<EvalError>> {
    let Some(drv_path) = text(evaluator, value, "drvPath")? else {
        return Err(error(
            "the derivation has no attribute 'drvPath'".to_owned(),
        ));
    };
    let known = evaluator.outputs_of(&drv_path)?;
    let names = match outputs {
        Outputs::All => known.iter().map(|(name, _)| name.clone()).collect(),
        Outputs::Named(names) => names.clone(),
        Outputs::Usual => usual_outputs(evaluator, value)?,
    };
    let paths =
        names.into_iter().map(
            |name| match known.iter().find(|(known, _)| *known == name) {
                Some((_, Some(path))) => Ok(path.clone()),
                Some((_, None)) => Err(error(format!(
                    "the path of output '{name}' of '{drv_path}' is known only once it is built"
                ))),
                None => {
                    let known: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
                    let known = known.join(", ");
                    Err(error(format!(
                        "derivation '{drv_path}' has no output '{name}'; it has: {known}"
                    )))
                }
            },
        );
    paths.collect()
}

/// The outputs that Nix builds where none is named.
pub(crate) fn usual_outputs<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<Vec<String>, Box<EvalError>> {
    let is_specified = attribute(evaluator, value, "outputSpecified")?;
    if let Some(Value::Bool(is_specified)) = is_specified
        && bool::from(is_specified)
    {
        return Ok(text(evaluator, value, "outputName")?.into_iter().collect());
    }
    let mut names = Vec::new();
    if let Some(meta) = attribute(evaluator, value, "meta")?
        && let Some(Value::List(list)) = attribute(evaluator, meta, "outputsToInstall")?
    {
        for item in list.items {
            if let Value::String(name) = evaluator.force(item.share(), PosIdx::NONE)? {
                names.push(String::from_utf8_lossy(name.bytes).into_owned());
            }
        }
    }
    if names.is_empty() {
        names.push("out".to_owned());
    }
    Ok(names)
}

pub(crate) fn text<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    name: &str,
) -> Result<Option<String>, Box<EvalError>> {
    Ok(match attribute(evaluator, value, name)? {
        Some(Value::String(text)) => Some(String::from_utf8_lossy(text.bytes).into_owned()),
        _ => None,
    })
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "the evaluator's errors are boxed"
)]
pub(crate) fn error(message: String) -> Box<EvalError> {
    EvalError::new(ErrorKind::Eval, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_stand_behind_the_last_caret() {
        let named =
            |names: &[&str]| Outputs::Named(names.iter().map(|&name| name.into()).collect());
        assert_eq!(Outputs::split("a.b"), ("a.b", Outputs::Usual));
        assert_eq!(Outputs::split("a^*"), ("a", Outputs::All));
        assert_eq!(Outputs::split("a^out,dev"), ("a", named(&["out", "dev"])));
        assert_eq!(Outputs::split("a^"), ("a", named(&[""])));
    }
}
