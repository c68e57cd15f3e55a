//! A flake's environments on their way to the renderer: plain data, what its strings refer to, and positions.
//!
//! What is known from earlier runs is kept for each workload: the names of the environments, the attributes of each, and
//! what each workload evaluates to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_render::{CheckedEnvironment, Evaluated, Problems, check};
use nix_evaluator::{Attrs, ContextBuilder, EvalError, Evaluator, JsonOptions, PosIdx, Value};
use nix_flake::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::attributes::attribute;
use crate::failure::Failure;
use crate::flake::{Answers, CachedWork, WorkError};

/// Evaluates and checks environments.
pub(crate) struct CheckEnvironments<'w> {
    /// Their names; none: all.
    pub wanted: &'w [String],
    /// Told what is being done.
    pub say: &'w dyn Fn(&str),
    /// Whether nothing is to be done about environments of these names that evaluate to what has this digest.
    pub is_up_to_date: &'w dyn Fn(&BTreeSet<String>, &Digest) -> bool,
}

/// What comes of environments.
pub(crate) enum Environments {
    /// They are as they were, and nothing is to be done about them.
    UpToDate,
    /// They are to be rendered.
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
    attributes: Map<String, Json>,
    /// The workloads' names.
    workloads: Vec<String>,
}

/// What is kept of a workload.
#[derive(Clone, Serialize, Deserialize)]
struct Workload {
    systems: BTreeMap<String, OnSystem>,
    position: Option<Place>,
}

/// What a workload evaluates to on one system.
#[derive(Clone, Serialize, Deserialize)]
struct OnSystem {
    value: Json,
    /// The store paths that its strings refer to.
    references: Vec<String>,
}

/// Where a workload is defined.
#[derive(Clone, Serialize, Deserialize)]
struct Place {
    /// The file is in the flake's own tree, and its path counts from there.
    in_root: bool,
    file: String,
    line: u64,
    column: u64,
}

/// An environment as plain data.
struct Data {
    attributes: Map<String, Json>,
    workloads: BTreeMap<String, Workload>,
}

const NAMES: &str = "environments";

fn head_name(environment: &str) -> String {
    format!("environment {environment:?}")
}

fn workload_name(environment: &str, workload: &str) -> String {
    format!("workload {environment:?} {workload:?}")
}

impl CheckEnvironments<'_> {
    /// The environments that are wanted, of those there are.
    fn chosen(&self, all: &[String]) -> BTreeSet<String> {
        if self.wanted.is_empty() {
            all.iter().cloned().collect()
        } else {
            self.wanted.iter().cloned().collect()
        }
    }
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
        let chosen = self.chosen(&names);
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
            };
            // What is wrong is told better by an evaluation, which knows positions.
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
        let all = evaluator.expect_attrs(all.value.share(), all.position, what)?;
        let names: Vec<String> = evaluator
            .sorted_attrs(all)
            .iter()
            .map(|attr| evaluator.symbol_text(attr.name))
            .collect();
        keep(answers, NAMES.to_owned(), answers.mark(), &names);
        let mut environments = Vec::new();
        let chosen = self.chosen(&names);
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
            let data = evaluate(evaluator, name, value, answers)?;
            let result = data.check(name, answers, &|path| position(evaluator, value, path));
            environments.push(
                result.map_err(|problems| WorkError::Other(Failure::problems(name, &problems)))?,
            );
        }
        Ok(Environments::Checked {
            environments,
            digest: digest(answers, &chosen),
        })
    }
}

fn decode<T: for<'de> Deserialize<'de>>(answers: &Answers<'_>, name: &str) -> Option<T> {
    serde_json::from_slice(answers.known(name)?).ok()
}

fn keep(answers: &mut Answers<'_>, name: String, mark: usize, data: &impl Serialize) {
    if answers.known(&name).is_some() {
        return;
    }
    // Plain data is written without fail.
    if let Ok(data) = serde_json::to_vec(data) {
        answers.add(name, mark, data);
    }
}

/// Evaluates an environment all the way down, as far as it is not known.
fn evaluate<'a>(
    evaluator: &mut Evaluator<'a>,
    name: &str,
    value: Value<'a>,
    answers: &mut Answers<'_>,
) -> Result<Data, Box<EvalError>> {
    let mut attributes = Map::new();
    let mut workloads = None;
    match value {
        Value::Attrs(environment) => {
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
        }
        // The check finds fault with it.
        value => {
            let data = to_json(evaluator, value, &mut ContextBuilder::default())?;
            attributes.insert("_type".to_owned(), data);
        }
    }
    let Some(workloads) = workloads else {
        return Ok(Data {
            attributes,
            workloads: BTreeMap::new(),
        });
    };
    let names: Vec<String> = evaluator
        .sorted_attrs(workloads)
        .iter()
        .map(|attr| evaluator.symbol_text(attr.name))
        .collect();
    let head = Head {
        attributes,
        workloads: names.clone(),
    };
    keep(answers, head_name(name), answers.mark(), &head);
    let workloads = evaluate_workloads(evaluator, name, value, workloads, names, answers)?;
    Ok(Data {
        attributes: head.attributes,
        workloads,
    })
}

fn evaluate_workloads<'a>(
    evaluator: &mut Evaluator<'a>,
    environment: &str,
    value: Value<'a>,
    set: &'a Attrs<'a>,
    names: Vec<String>,
    answers: &mut Answers<'_>,
) -> Result<BTreeMap<String, Workload>, Box<EvalError>> {
    let mut workloads = BTreeMap::new();
    let mut missing = Vec::new();
    for name in names {
        match decode(answers, &workload_name(environment, &name)) {
            Some(known) => {
                workloads.insert(name, known);
            }
            None => missing.push(name),
        }
    }
    missing.sort_by_key(|name| answers.has_changed(&workload_name(environment, name)));
    let mut found = Vec::new();
    for name in missing {
        let Some(attr) = evaluator.find_attr(set, &name) else {
            continue;
        };
        let workload = evaluator.force(attr.value.share(), attr.position)?;
        let mut systems = BTreeMap::new();
        for (system, value) in members(evaluator, workload)? {
            let mut context = ContextBuilder::default();
            let value = to_json(evaluator, value, &mut context)?;
            let references = evaluator.referred_paths(&context)?;
            systems.insert(system, OnSystem { value, references });
        }
        found.push((name, answers.mark(), systems));
    }
    // Last of all: asking where something stands counts as looking at where the whole flake is.
    let positions = match attribute(evaluator, value, "positions")? {
        Some(positions) => to_json(evaluator, positions, &mut ContextBuilder::default())?,
        None => Json::Null,
    };
    for (name, mark, systems) in found {
        let workload = Workload {
            systems,
            position: Place::read(&positions[&name], answers),
        };
        keep(answers, workload_name(environment, &name), mark, &workload);
        workloads.insert(name, workload);
    }
    Ok(workloads)
}

impl Place {
    fn read(json: &Json, answers: &Answers<'_>) -> Option<Self> {
        let file = json["file"].as_str()?;
        let below = answers.root().and_then(|cache| cache.below_root(file));
        Some(Place {
            in_root: below.is_some(),
            file: below.unwrap_or(file).to_owned(),
            line: json["line"].as_u64()?,
            column: json["column"].as_u64()?,
        })
    }

    fn to_json(&self, answers: &Answers<'_>) -> Json {
        let root = match answers.root() {
            Some(cache) if self.in_root => cache.root(),
            _ => String::new(),
        };
        let file = format!("{root}{}", self.file);
        json!({ "file": file, "line": self.line, "column": self.column })
    }
}

impl Data {
    fn check(
        self,
        name: &str,
        answers: &Answers<'_>,
        position: &dyn Fn(&[&str]) -> Option<String>,
    ) -> Result<CheckedEnvironment, Problems> {
        let mut json = self.attributes;
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
        json.entry("workloads").or_insert(Json::Object(workloads));
        json.insert("positions".to_owned(), Json::Object(positions));
        check(&Evaluated {
            name,
            // Only what passed is kept, and only this very program reads it.
            keeps_rules: &|workload| answers.known(&workload_name(name, workload)).is_some(),
            value: &Json::Object(json),
            references: &|workload, system| {
                let key = (workload.to_owned(), system.to_owned());
                references.get(&key).cloned().unwrap_or_default()
            },
            position,
        })
    }
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
