//! An environment as it evaluated, on its way to the renderer: plain data, what its strings refer to, and positions.

use std::collections::BTreeMap;

use niphas_render::{CheckedEnvironment, Evaluated, Problems, check};
use nix_evaluator::{ContextBuilder, EvalError, Evaluator, JsonOptions, Value};
use serde_json::Value as Json;

/// What is wrong with an environment.
pub(crate) enum EnvironmentError {
    /// It does not evaluate.
    Eval(Box<EvalError>),
    /// It evaluates, but not to what fits the API.
    Problems(Problems),
}

impl From<Box<EvalError>> for EnvironmentError {
    fn from(error: Box<EvalError>) -> Self {
        EnvironmentError::Eval(error)
    }
}

/// Evaluates an environment all the way down, and checks it.
pub(crate) fn check_environment<'a>(
    evaluator: &mut Evaluator<'a>,
    name: &str,
    value: Value<'a>,
) -> Result<CheckedEnvironment, EnvironmentError> {
    let (json, references) = plain_data(evaluator, value)?;
    let no_references: &[String] = &[];
    let evaluated = Evaluated {
        name,
        value: &json,
        references: &|workload, system| {
            let key = (workload.to_owned(), system.to_owned());
            references
                .get(&key)
                .map_or(no_references, Vec::as_slice)
                .to_vec()
        },
        position: &|path| position(evaluator, value, path),
    };
    check(&evaluated).map_err(EnvironmentError::Problems)
}

/// Store paths by workload and system.
type References = BTreeMap<(String, String), Vec<String>>;

/// The environment as JSON. Workloads are converted one by one, for what the strings of each refer to.
fn plain_data<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<(Json, References), Box<EvalError>> {
    let mut references = References::new();
    let Value::Attrs(environment) = value else {
        return Ok((
            to_json(evaluator, value, &mut ContextBuilder::default())?,
            references,
        ));
    };
    let mut json = serde_json::Map::new();
    for attr in evaluator.sorted_attrs(environment) {
        let name = evaluator.symbol_text(attr.name);
        let value = evaluator.force(attr.value.share(), attr.position)?;
        let data = match value {
            Value::Attrs(_) if name == "workloads" => {
                let mut workloads = serde_json::Map::new();
                for (workload, value) in members(evaluator, value)? {
                    let mut systems = serde_json::Map::new();
                    for (system, value) in members(evaluator, value)? {
                        let mut context = ContextBuilder::default();
                        systems.insert(system.clone(), to_json(evaluator, value, &mut context)?);
                        references.insert(
                            (workload.clone(), system),
                            evaluator.referred_paths(&context)?,
                        );
                    }
                    workloads.insert(workload, Json::Object(systems));
                }
                Json::Object(workloads)
            }
            value => to_json(evaluator, value, &mut ContextBuilder::default())?,
        };
        json.insert(name, data);
    }
    Ok((Json::Object(json), references))
}

/// The members of a set, evaluated; nothing of anything else, which the check finds fault with.
fn members<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<Vec<(String, Value<'a>)>, Box<EvalError>> {
    let Value::Attrs(attrs) = value else {
        return Ok(Vec::new());
    };
    let mut members = Vec::new();
    for attr in evaluator.sorted_attrs(attrs) {
        let name = evaluator.symbol_text(attr.name);
        members.push((name, evaluator.force(attr.value.share(), attr.position)?));
    }
    Ok(members)
}

fn to_json<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    context: &mut ContextBuilder,
) -> Result<Json, Box<EvalError>> {
    let text = evaluator.to_json(value, JsonOptions::TO_JSON, context)?;
    Ok(serde_json::from_slice(&text).expect("the evaluator writes JSON"))
}

/// Where an attribute of the environment stands in the source, if it does.
fn position<'a>(
    evaluator: &Evaluator<'a>,
    environment: Value<'a>,
    path: &[&str],
) -> Option<String> {
    let (last, above) = path.split_last()?;
    let mut value = environment;
    for name in above {
        let Value::Attrs(attrs) = value else {
            return None;
        };
        value = evaluator.find_attr(attrs, name)?.value.share();
    }
    let Value::Attrs(attrs) = value else {
        return None;
    };
    let position = evaluator.find_attr(attrs, last)?.position;
    let found = evaluator.positions().resolve(position)?;
    Some(format!(
        "{}:{}:{}",
        found.origin.describe(),
        found.line,
        found.column
    ))
}
