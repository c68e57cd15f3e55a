//! An environment on its way to the renderer: plain data, what its strings refer to, and positions.

use std::collections::BTreeMap;

use niphas_render::{
    CheckedEnvironment, ENVIRONMENT, Element, Evaluated, Problem, check, check_head,
};
use nix_evaluator::{Attrs, ContextBuilder, EvalError, Evaluator, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::answers::Answers;
use crate::attributes::{attribute, to_json};
use crate::definitions::{DEFINITIONS, defined_at, evaluate_definitions};
use crate::error::EnvironmentProblems;
use crate::outputs::names_of;
use crate::references::References;
use crate::roots::BuiltOutput;
use crate::workload::Workload;

/// What is kept of an environment itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct EnvironmentHead {
    /// All attributes but `workloads`, `positions`, `definitions` and `roots`; or what it is if it is no set.
    pub(crate) attributes: Json,
    /// The workloads' names.
    pub(crate) workloads: Vec<String>,
}

/// The name of an environment's answer: `["environment","<name>"]`.
pub(crate) fn environment_name(environment: &str) -> String {
    serde_json::to_string(&("environment", environment)).expect("texts are JSON")
}

/// An environment whose workloads are still to be evaluated.
pub(crate) struct OpenedEnvironment<'a> {
    pub(crate) name: String,
    pub(crate) value: Value<'a>,
    pub(crate) attributes: Json,
    pub(crate) workloads: Option<&'a Attrs<'a>>,
    /// Why it is no environment, if that is seen without evaluating it.
    why_none: Option<&'static str>,
}

/// What an environment evaluated to, as plain data: what one process hands to another, which checks it again
/// ([`EvaluatedEnvironments::from_data`](crate::EvaluatedEnvironments::from_data)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentData {
    /// The environment's name.
    pub(crate) name: String,
    /// All of it, with positions.
    value: Json,
    /// The store paths that strings refer to, by workload and system.
    references: BTreeMap<String, BTreeMap<String, References>>,
}

/// An environment as its parts are kept.
#[derive(Clone)]
pub(crate) struct EnvironmentParts {
    /// As in [`EnvironmentHead`].
    pub(crate) attributes: Json,
    pub(crate) workloads: BTreeMap<String, Workload>,
}

impl<'a> OpenedEnvironment<'a> {
    /// Evaluates all of an environment but its workloads.
    pub(crate) fn open(
        evaluator: &mut Evaluator<'a>,
        name: &str,
        value: Value<'a>,
        answers: &mut Answers<'_>,
    ) -> Result<Self, Box<EvalError>> {
        let mut opened = Self {
            name: name.to_owned(),
            value,
            attributes: Json::Null,
            workloads: None,
            why_none: None,
        };
        match value {
            Value::Attrs(environment) => {
                let kind = attribute(evaluator, value, "_type")?;
                if matches!(kind, Some(Value::String(kind)) if kind.bytes == ENVIRONMENT.as_bytes())
                {
                    opened.read(evaluator, environment)?;
                } else {
                    opened.why_none =
                        Some("it is a set that niphas.lib.mkEnvironment did not make");
                }
            }
            Value::Lambda(_) | Value::Builtin(_) | Value::PartialApplication(_) => {
                opened.why_none = Some("it is a function");
            }
            Value::List(_) => opened.why_none = Some("it is a list"),
            // The check finds fault with it.
            value => {
                opened.attributes = to_json(evaluator, value, &mut ContextBuilder::default())?;
            }
        }
        if let Some(workloads) = opened.workloads {
            let head = EnvironmentHead {
                attributes: opened.attributes.clone(),
                workloads: names_of(evaluator, workloads),
            };
            answers.keep(environment_name(name), answers.mark(), &head);
        }
        Ok(opened)
    }

    /// Reads what `niphas.lib.mkEnvironment` made.
    fn read(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        environment: &'a Attrs<'a>,
    ) -> Result<(), Box<EvalError>> {
        let mut attributes = Map::new();
        for attr in evaluator.sorted_attrs(environment) {
            let name = evaluator.symbol_text(attr.name);
            // `roots` is for Nix.
            if matches!(name.as_str(), "positions" | "roots" | DEFINITIONS) {
                continue;
            }
            match evaluator.force(attr.value.share(), attr.position)? {
                Value::Attrs(set) if name == "workloads" => self.workloads = Some(set),
                value => {
                    let data = to_json(evaluator, value, &mut ContextBuilder::default())?;
                    attributes.insert(name, data);
                }
            }
        }
        self.attributes = Json::Object(attributes);
        evaluate_definitions(evaluator, self.value, &[])
    }

    /// Checks what has to be right before the workloads are evaluated.
    pub(crate) fn check(&self, evaluator: &Evaluator<'a>) -> Result<(), EnvironmentProblems> {
        let position = |path: &[Element]| position(evaluator, self.value, path);
        let checked = match self.why_none {
            Some(why) => Err(Problem::not_an_environment(why).into()),
            None => check_head(&self.attributes, &position),
        };
        checked.map_err(|problems| EnvironmentProblems {
            environment: self.name.clone(),
            problems,
        })
    }

    /// Where the workloads are defined.
    pub(crate) fn positions(&self, evaluator: &mut Evaluator<'a>) -> Result<Json, Box<EvalError>> {
        if self.workloads.is_none() {
            return Ok(Json::Null);
        }
        match attribute(evaluator, self.value, "positions")? {
            Some(positions) => to_json(evaluator, positions, &mut ContextBuilder::default()),
            None => Ok(Json::Null),
        }
    }
}

impl EnvironmentParts {
    /// The environment as one piece of data.
    pub(crate) fn join(
        self,
        name: &str,
        answers: &Answers<'_>,
        shown: &dyn Fn(&str) -> String,
    ) -> EnvironmentData {
        let mut environment = self.attributes;
        let mut references: BTreeMap<String, BTreeMap<String, References>> = BTreeMap::new();
        let mut workloads = Map::new();
        let mut positions = Map::new();
        for (workload, data) in self.workloads {
            if let Some(position) = data.position {
                positions.insert(workload.clone(), position.to_json(answers, shown));
            }
            let mut systems = Map::new();
            for (system, on_system) in data.systems {
                let of_workload = references.entry(workload.clone()).or_default();
                of_workload.insert(system.clone(), on_system.references);
                systems.insert(system, on_system.value);
            }
            workloads.insert(workload, Json::Object(systems));
        }
        if let Json::Object(attributes) = &mut environment {
            let workloads = Json::Object(workloads);
            attributes.entry("workloads").or_insert(workloads);
            attributes.insert("positions".to_owned(), Json::Object(positions));
        }
        EnvironmentData {
            name: name.to_owned(),
            value: environment,
            references,
        }
    }
}

impl EnvironmentData {
    /// What builds the store paths that the workloads refer to, by path.
    pub(crate) fn built_outputs(&self) -> impl Iterator<Item = (String, BuiltOutput)> {
        let references = self.references.values().flat_map(BTreeMap::values);
        let references = references.flatten();
        references.filter_map(|(path, built)| Some((path.clone(), built.clone()?)))
    }

    /// Checks it. What workloads are known to keep the rules of the schema is up to the caller, and where attributes stand.
    pub(crate) fn check(
        &self,
        keeps_rules: &dyn Fn(&str) -> bool,
        position: &dyn Fn(&[Element]) -> Option<String>,
    ) -> Result<CheckedEnvironment, EnvironmentProblems> {
        let checked = check(&Evaluated {
            name: &self.name,
            keeps_rules,
            value: &self.value,
            references: &|workload, system| {
                let systems = self.references.get(workload);
                let references = systems.and_then(|systems| systems.get(system)).into_iter();
                references.flat_map(BTreeMap::keys).cloned().collect()
            },
            position,
        });
        checked.map_err(|problems| EnvironmentProblems {
            environment: self.name.clone(),
            problems,
        })
    }
}

/// Where an attribute of the environment stands in the source, if it does.
pub(crate) fn position<'a>(
    evaluator: &Evaluator<'a>,
    environment: Value<'a>,
    path: &[Element],
) -> Option<String> {
    if let Some(position) = defined_at(evaluator, environment, path) {
        return evaluator.positions().describe(position);
    }
    let (last, above) = path.split_last()?;
    let mut value = environment;
    for element in above {
        value = match (element, value) {
            (Element::Attribute(name), Value::Attrs(attrs)) => {
                evaluator.find_attr(attrs, name)?.value.share()
            }
            (Element::Index(index), Value::List(list)) => list.items.get(*index)?.share(),
            _ => return None,
        };
    }
    match (last, value) {
        (Element::Attribute(name), Value::Attrs(attrs)) => {
            let position = evaluator.find_attr(attrs, name)?.position;
            evaluator.positions().describe(position)
        }
        // Elements of lists have no positions.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::environment_name;

    #[test]
    fn names_of_answers_are_these_texts() {
        assert_eq!(environment_name("prod"), r#"["environment","prod"]"#);
        assert_eq!(environment_name("a\"b"), r#"["environment","a\"b"]"#);
    }
}
