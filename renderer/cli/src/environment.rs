//! A flake's environments on their way to the renderer: plain data, what its strings refer to, and positions.
//!
//! What is known from earlier runs is kept for each workload: the names of the environments, the attributes of each, and
//! what each workload evaluates to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_render::{CheckedEnvironment, Evaluated, Problems, check};
use nix_evaluator::{Attrs, ContextBuilder, EvalError, Evaluator, JsonOptions, PosIdx, Value};
use nix_flake::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::attributes::attribute;
use crate::cached_work::{Answers, CachedWork, Help, Mark};
use crate::failure::Failure;
use crate::flake::WorkError;
use crate::workloads::{FindWorkloads, Workload, evaluate_again, workload_name};

/// Evaluates and checks environments.
pub(crate) struct CheckEnvironments<'w> {
    /// Told what is being done.
    pub say: &'w dyn Fn(&str),
    /// Whether nothing has to be done about environments of these names that evaluate to what has this digest.
    pub is_up_to_date: &'w dyn Fn(&BTreeSet<String>, &Digest) -> bool,
    /// The workloads, which helpers find, too.
    pub workloads: FindWorkloads<'w>,
}

/// What comes of environments.
pub(crate) enum Environments {
    /// They are as they were, and nothing has to be done about them.
    UpToDate,
    /// They have to be rendered.
    Checked {
        /// Each of them.
        environments: Vec<CheckedEnvironment>,
        /// Of all that they evaluate to, where that can be told.
        digest: Option<Digest>,
    },
}

/// What is kept of an environment itself.
#[derive(Serialize, Deserialize)]
struct Head {
    /// All attributes but `workloads` and `positions`.
    attributes: Json,
    /// The workloads' names.
    workloads: Vec<String>,
}

/// An environment as plain data.
#[derive(Clone)]
pub(crate) struct Data {
    /// All attributes but `workloads` and `positions`; or what it is if it is no set.
    pub attributes: Json,
    pub workloads: BTreeMap<String, Workload>,
    /// The workloads that other evaluations found.
    pub found_elsewhere: Vec<String>,
}

/// An environment whose workloads are still to be evaluated.
pub(crate) struct Open<'a> {
    pub name: String,
    value: Value<'a>,
    pub attributes: Json,
    pub workloads: Option<&'a Attrs<'a>>,
}

const NAMES: &str = "environments";

fn head_name(environment: &str) -> String {
    format!("environment {environment:?}")
}

/// A digest of what environments evaluate to, if all of it is there.
fn digest(answers: &Answers<'_>, environments: &BTreeSet<String>) -> Option<Digest> {
    let data = answers.data();
    let mut names = Vec::new();
    for name in environments {
        let head_name = head_name(name);
        let head: Head = serde_json::from_slice(data(&head_name)?).ok()?;
        names.push(head_name);
        names.extend(
            head.workloads
                .iter()
                .map(|workload| workload_name(name, workload)),
        );
    }
    let mut parts = Vec::with_capacity(2 * names.len());
    for name in &names {
        parts.extend([name.as_bytes(), data(name)?]);
    }
    Some(nix_flake::digest(&parts))
}

impl CachedWork for CheckEnvironments<'_> {
    type Output = Environments;

    fn known(&self, answers: &Answers<'_>) -> Option<Self::Output> {
        let names: Vec<String> = decode(answers, NAMES)?;
        let chosen = self.workloads.chosen(&names);
        if !chosen.iter().all(|name| names.contains(name)) {
            return None;
        }
        let digest = digest(answers, &chosen)?;
        if (self.is_up_to_date)(&chosen, &digest) {
            return Some(Environments::UpToDate);
        }
        let mut environments = Vec::new();
        for name in chosen {
            let head: Head = decode(answers, &head_name(&name))?;
            let mut workloads = BTreeMap::new();
            for workload in head.workloads {
                let data = decode(answers, &workload_name(&name, &workload))?;
                workloads.insert(workload, data);
            }
            let data = Data {
                attributes: head.attributes,
                workloads,
                found_elsewhere: Vec::new(),
            };
            // Problems are reported better by an evaluation, which knows positions.
            environments.push(data.check(&name, answers, &|_| None).ok()?);
        }
        Some(Environments::Checked {
            environments,
            digest: Some(digest),
        })
    }

    fn run<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &mut Answers<'_>,
    ) -> Result<Self::Output, WorkError> {
        let all = configurations(evaluator, flake)?;
        let names = names_of(evaluator, all);
        keep(answers, NAMES.to_owned(), answers.mark(), &names);
        let chosen = self.workloads.chosen(&names);
        let mut opened = Vec::new();
        for name in &chosen {
            let Some(attr) = evaluator.find_attr(all, name) else {
                let known = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                };
                let error =
                    anyhow::anyhow!("the flake has no environment '{name}'; it has: {known}");
                return Err(WorkError::Other(error.into()));
            };
            (self.say)(&format!("evaluating environment {name}"));
            let value = evaluator.force(attr.value.share(), PosIdx::NONE)?;
            opened.push(Open::new(evaluator, name, value, answers)?);
        }
        let values: Vec<(String, Value<'a>)> = opened
            .iter()
            .map(|open| (open.name.clone(), open.value))
            .collect();
        let data = self.workloads.find(evaluator, opened, answers, self.say)?;
        let mut environments = Vec::new();
        for ((name, value), mut data) in values.into_iter().zip(data) {
            let elsewhere = std::mem::take(&mut data.found_elsewhere);
            let again = (!elsewhere.is_empty()).then(|| data.clone());
            let mut result = data.check(&name, answers, &|path| position(evaluator, value, path));
            if let (Err(_), Some(data)) = (&result, again) {
                // Where something stands is only seen in what was evaluated here.
                evaluate_again(evaluator, value, &elsewhere)?;
                result = data.check(&name, answers, &|path| position(evaluator, value, path));
            }
            environments.push(
                result.map_err(|problems| WorkError::Other(Failure::problems(&name, &problems)))?,
            );
        }
        Ok(Environments::Checked {
            environments,
            digest: digest(answers, &chosen),
        })
    }

    fn help(&self) -> Option<&dyn Help> {
        Some(&self.workloads)
    }
}

/// The flake's environments.
pub(crate) fn configurations<'a>(
    evaluator: &mut Evaluator<'a>,
    flake: Value<'a>,
) -> Result<&'a Attrs<'a>, WorkError> {
    let Value::Attrs(outputs) = flake else {
        return Err(WorkError::Other(
            anyhow::anyhow!("the flake's outputs are not a set").into(),
        ));
    };
    let Some(all) = evaluator.find_attr(outputs, "niphasConfigurations") else {
        return Err(WorkError::Other(Failure::with_hint(
            anyhow::anyhow!("the flake has no output 'niphasConfigurations'"),
            "declare environments with niphas.lib.mkEnvironment, as docs/reference/environment.md shows",
        )));
    };
    let what = "while evaluating the flake output 'niphasConfigurations'";
    Ok(evaluator.expect_attrs(all.value.share(), all.position, what)?)
}

pub(crate) fn names_of<'a>(evaluator: &Evaluator<'a>, set: &'a Attrs<'a>) -> Vec<String> {
    let attrs = evaluator.sorted_attrs(set);
    let names = attrs.iter().map(|attr| evaluator.symbol_text(attr.name));
    names.collect()
}

pub(crate) fn decode<T: for<'de> Deserialize<'de>>(answers: &Answers<'_>, name: &str) -> Option<T> {
    serde_json::from_slice(answers.known(name)?).ok()
}

pub(crate) fn keep(answers: &mut Answers<'_>, name: String, mark: Mark, data: &impl Serialize) {
    if answers.known(&name).is_some() {
        return;
    }
    // Plain data is written without fail.
    if let Ok(data) = serde_json::to_vec(data) {
        answers.add(name, mark, data);
    }
}

impl<'a> Open<'a> {
    /// Evaluates all of an environment but its workloads.
    fn new(
        evaluator: &mut Evaluator<'a>,
        name: &str,
        value: Value<'a>,
        answers: &mut Answers<'_>,
    ) -> Result<Self, Box<EvalError>> {
        let mut workloads = None;
        let attributes = match value {
            Value::Attrs(environment) => {
                let mut attributes = Map::new();
                for attr in evaluator.sorted_attrs(environment) {
                    let attr_name = evaluator.symbol_text(attr.name);
                    if attr_name == "positions" {
                        continue;
                    }
                    let value = evaluator.force(attr.value.share(), attr.position)?;
                    match value {
                        Value::Attrs(set) if attr_name == "workloads" => workloads = Some(set),
                        value => {
                            let data = to_json(evaluator, value, &mut ContextBuilder::default())?;
                            attributes.insert(attr_name, data);
                        }
                    }
                }
                Json::Object(attributes)
            }
            // The check finds fault with it.
            value => to_json(evaluator, value, &mut ContextBuilder::default())?,
        };
        let mut head = Head {
            attributes,
            workloads: Vec::new(),
        };
        if let Some(workloads) = workloads {
            head.workloads = names_of(evaluator, workloads);
            keep(answers, head_name(name), answers.mark(), &head);
        }
        Ok(Self {
            name: name.to_owned(),
            value,
            attributes: head.attributes,
            workloads,
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

impl Data {
    fn check(
        self,
        name: &str,
        answers: &Answers<'_>,
        position: &dyn Fn(&[&str]) -> Option<String>,
    ) -> Result<CheckedEnvironment, Problems> {
        let mut environment = self.attributes;
        let mut references = BTreeMap::new();
        let mut workloads = Map::new();
        let mut positions = Map::new();
        for (workload, data) in self.workloads {
            if let Some(place) = data.position {
                positions.insert(workload.clone(), place.to_json(answers));
            }
            let mut systems = Map::new();
            for (system, on_system) in data.systems {
                references.insert((workload.clone(), system.clone()), on_system.references);
                systems.insert(system, on_system.value);
            }
            workloads.insert(workload, Json::Object(systems));
        }
        if let Json::Object(attributes) = &mut environment {
            let workloads = Json::Object(workloads);
            attributes.entry("workloads").or_insert(workloads);
            attributes.insert("positions".to_owned(), Json::Object(positions));
        }
        check(&Evaluated {
            name,
            // Only what passed is kept, and only this very program reads it.
            keeps_rules: &|workload| answers.known(&workload_name(name, workload)).is_some(),
            value: &environment,
            references: &|workload, system| {
                let key = (workload.to_owned(), system.to_owned());
                references.get(&key).cloned().unwrap_or_default()
            },
            position,
        })
    }
}

pub(crate) fn to_json<'a>(
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
