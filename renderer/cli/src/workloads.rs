//! The workloads of environments: evaluated by several evaluations together, as far as they are not known.

use std::collections::{BTreeMap, BTreeSet};

use nix_evaluator::{Attrs, ContextBuilder, EvalError, Evaluator, PosIdx, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::attributes::attribute;
use crate::cached_work::{Answers, Help, Mark};
use crate::environment::{Data, Open, configurations, decode, keep, names_of, to_json};
use crate::flake::WorkError;
use crate::shared_work::SharedWork;

/// What is kept of a workload.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub systems: BTreeMap<String, OnSystem>,
    pub position: Option<Place>,
}

/// What a workload evaluates to on one system.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OnSystem {
    pub value: Json,
    /// The store paths that its strings refer to.
    pub references: Vec<String>,
}

/// Where a workload is defined.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The file is in the flake's own tree, and its path counts from there.
    in_root: bool,
    file: String,
    line: u64,
    column: u64,
}

pub(crate) fn workload_name(environment: &str, workload: &str) -> String {
    format!("workload {environment:?} {workload:?}")
}

/// Evaluates workloads, as one of several.
pub(crate) struct FindWorkloads<'w> {
    /// The names of their environments; none: all.
    wanted: &'w [String],
    work: SharedWork<WorkloadName, (Mark, BTreeMap<String, OnSystem>)>,
}

/// A workload's environment and its own name.
type WorkloadName = (String, String);

impl<'w> FindWorkloads<'w> {
    /// Those of the environments of these names; none: of all.
    pub(crate) fn new(wanted: &'w [String]) -> Self {
        Self {
            wanted,
            work: SharedWork::default(),
        }
    }
}

impl Help for FindWorkloads<'_> {
    fn help<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &Answers<'_>,
    ) -> Result<(), WorkError> {
        let all = configurations(evaluator, flake)?;
        let mut sets = BTreeMap::new();
        for name in self.chosen(&names_of(evaluator, all)) {
            if let Some(attr) = evaluator.find_attr(all, &name) {
                let environment = evaluator.force(attr.value.share(), PosIdx::NONE)?;
                if let Some(Value::Attrs(set)) = attribute(evaluator, environment, "workloads")? {
                    sets.insert(name, set);
                }
            }
        }
        while let Some(taken) = self.work.take() {
            let (environment, name) = taken.item();
            let Some(set) = sets.get(environment) else {
                continue;
            };
            // It is given up, and this evaluation with it: what it has found before counts all the same.
            let Ok(systems) = evaluate_workload(evaluator, set, name) else {
                break;
            };
            taken.done((answers.mark(), systems));
        }
        Ok(())
    }

    fn end(&self) {
        self.work.close();
    }
}

impl FindWorkloads<'_> {
    /// The environments that are wanted, of those there are.
    pub(crate) fn chosen(&self, all: &[String]) -> BTreeSet<String> {
        if self.wanted.is_empty() {
            all.iter().cloned().collect()
        } else {
            self.wanted.iter().cloned().collect()
        }
    }

    /// Evaluates the workloads of environments, as far as they are not known.
    pub(crate) fn find<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        opened: Vec<Open<'a>>,
        answers: &mut Answers<'_>,
        say: &dyn Fn(&str),
    ) -> Result<Vec<Data>, Box<EvalError>> {
        let mut known: BTreeMap<String, BTreeMap<String, Workload>> = BTreeMap::new();
        let mut missing: Vec<WorkloadName> = Vec::new();
        let mut sets = BTreeMap::new();
        for open in &opened {
            let Some(set) = open.workloads else { continue };
            sets.insert(open.name.clone(), set);
            let known = known.entry(open.name.clone()).or_default();
            for name in names_of(evaluator, set) {
                match decode(answers, &workload_name(&open.name, &name)) {
                    Some(workload) => {
                        known.insert(name, workload);
                    }
                    None => missing.push((open.name.clone(), name)),
                }
            }
        }
        missing.sort_by_key(|(environment, name)| {
            answers.has_changed(&workload_name(environment, name))
        });
        self.work.open(missing);
        let mut failure = None;
        while let Some(taken) = self.work.take_or_wait() {
            let (environment, name) = taken.item();
            say(&format!("evaluating workload {name} of {environment}"));
            match evaluate_workload(evaluator, sets[environment], name) {
                Ok(systems) => taken.done((answers.mark(), systems)),
                Err(error) => {
                    failure = Some(error);
                    taken.ends_the_work();
                }
            }
        }
        let found = self.work.close();
        if let Some(error) = failure {
            return Err(error);
        }
        // Last of all: asking where something stands counts as looking at where the whole flake is.
        let mut positions = BTreeMap::new();
        for open in &opened {
            positions.insert(open.name.clone(), open.positions(evaluator)?);
        }
        let mut elsewhere: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((environment, name), (mark, systems)) in found {
            if !answers.is_own(mark) {
                let names = elsewhere.entry(environment.clone()).or_default();
                names.push(name.clone());
            }
            let workload = Workload {
                systems,
                position: Place::read(&positions[&environment][&name], answers),
            };
            let answer = workload_name(&environment, &name);
            keep(answers, answer, mark, &workload);
            known.entry(environment).or_default().insert(name, workload);
        }
        let data = opened.into_iter().map(|open| Data {
            workloads: known.remove(&open.name).unwrap_or_default(),
            found_elsewhere: elsewhere.remove(&open.name).unwrap_or_default(),
            attributes: open.attributes,
        });
        Ok(data.collect())
    }
}

/// Evaluates workloads of an environment that other evaluations found.
pub(crate) fn evaluate_again<'a>(
    evaluator: &mut Evaluator<'a>,
    environment: Value<'a>,
    names: &[String],
) -> Result<(), Box<EvalError>> {
    if let Some(Value::Attrs(set)) = attribute(evaluator, environment, "workloads")? {
        for name in names {
            evaluate_workload(evaluator, set, name)?;
        }
    }
    Ok(())
}

/// Evaluates a workload all the way down.
fn evaluate_workload<'a>(
    evaluator: &mut Evaluator<'a>,
    set: &'a Attrs<'a>,
    name: &str,
) -> Result<BTreeMap<String, OnSystem>, Box<EvalError>> {
    let mut systems = BTreeMap::new();
    let Some(attr) = evaluator.find_attr(set, name) else {
        return Ok(systems);
    };
    let workload = evaluator.force(attr.value.share(), attr.position)?;
    for (system, value) in members(evaluator, workload)? {
        let mut context = ContextBuilder::default();
        let value = to_json(evaluator, value, &mut context)?;
        let references = evaluator.referred_paths(&context)?;
        systems.insert(system, OnSystem { value, references });
    }
    Ok(systems)
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

    /// As `nixlib` hands it over.
    pub(crate) fn to_json(&self, answers: &Answers<'_>) -> Json {
        let root = match answers.root() {
            Some(cache) if self.in_root => cache.root(),
            _ => String::new(),
        };
        let file = format!("{root}{}", self.file);
        json!({ "file": file, "line": self.line, "column": self.column })
    }
}
