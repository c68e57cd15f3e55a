//! The workloads of environments: evaluated by several evaluators together, as far as they are not known.

use std::collections::BTreeMap;

use nix_evaluator::{Attrs, EvalError, Evaluator, PosIdx, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::answers::{Answers, Mark};
use crate::attributes::attribute;
use crate::error::WorkError;
use crate::evaluators::Helper;
use crate::outputs::{chosen, configurations, names_of};
use crate::references::{References, with_references};
use crate::step::Step;
use crate::work_list::WorkList;

/// What is kept of a workload.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) systems: BTreeMap<String, OnSystem>,
    pub(crate) position: Option<Position>,
}

/// What a workload evaluates to on one system.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OnSystem {
    pub(crate) value: Json,
    /// The store paths that its strings refer to, and what builds them.
    pub(crate) references: References,
}

/// Where a workload is defined.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The file is in the flake's own tree, and its path counts from there.
    in_root: bool,
    file: String,
    line: u64,
    column: u64,
}

/// The name of a workload's answer: `["workload","<environment>","<workload>"]`.
pub(crate) fn workload_name(environment: &str, workload: &str) -> String {
    serde_json::to_string(&("workload", environment, workload)).expect("texts are JSON")
}

/// A workload's environment and its own name.
type WorkloadName = (String, String);

/// Workloads that one of several evaluators found: when, and what they evaluate to.
type FoundWorkload = (WorkloadName, (Mark, BTreeMap<String, OnSystem>));

/// Evaluates workloads by several evaluators.
pub(crate) struct FindWorkloads<'w> {
    /// The names of their environments; none: all.
    named: &'w [String],
    work: WorkList<WorkloadName, (Mark, BTreeMap<String, OnSystem>)>,
}

/// What workloads evaluate to.
pub(crate) struct Workloads {
    /// By environment and name.
    pub(crate) known: BTreeMap<String, BTreeMap<String, Workload>>,
    /// Those that were not known.
    pub(crate) found: Vec<FoundWorkload>,
}

impl<'w> FindWorkloads<'w> {
    /// Those of the environments of these names; none: of all.
    pub(crate) fn new(named: &'w [String]) -> Self {
        Self {
            named,
            work: WorkList::default(),
        }
    }

    /// Evaluates the workloads of environments, whose sets these are, as far as they are not known.
    pub(crate) fn find<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        sets: &BTreeMap<String, &'a Attrs<'a>>,
        answers: &Answers<'_>,
        progress: &dyn Fn(Step<'_>),
    ) -> Result<Workloads, Box<EvalError>> {
        let mut known: BTreeMap<String, BTreeMap<String, Workload>> = BTreeMap::new();
        let mut missing: Vec<WorkloadName> = Vec::new();
        for (environment, set) in sets {
            let known = known.entry(environment.clone()).or_default();
            for name in names_of(evaluator, set) {
                match answers.decode(&workload_name(environment, &name)) {
                    Some(workload) => {
                        known.insert(name, workload);
                    }
                    None => missing.push((environment.clone(), name)),
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
            progress(Step::Workload { environment, name });
            match evaluate_workload(evaluator, sets[environment], taken.item()) {
                Ok(systems) => taken.done((answers.mark(), systems)),
                Err(error) => {
                    failure = Some(error);
                    taken.ends_the_work();
                }
            }
        }
        let found = self.work.close();
        match failure {
            None => Ok(Workloads { known, found }),
            Some(error) => Err(error),
        }
    }
}

impl Helper for FindWorkloads<'_> {
    fn help<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &Answers<'_>,
    ) -> Result<(), WorkError> {
        let all = configurations(evaluator, flake)?;
        let mut sets = BTreeMap::new();
        for name in chosen(self.named, &names_of(evaluator, all)) {
            if let Some(attr) = evaluator.find_attr(all, &name) {
                let environment = evaluator.force(attr.value.share(), PosIdx::NONE)?;
                if let Some(Value::Attrs(set)) = attribute(evaluator, environment, "workloads")? {
                    sets.insert(name, set);
                }
            }
        }
        while let Some(taken) = self.work.take() {
            let Some(set) = sets.get(&taken.item().0) else {
                continue;
            };
            // It is given up, and this evaluation with it: what it has found before counts all the same.
            let Ok(systems) = evaluate_workload(evaluator, set, taken.item()) else {
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

/// Evaluates workloads of an environment that other evaluators found.
pub(crate) fn evaluate_again<'a>(
    evaluator: &mut Evaluator<'a>,
    environment: (&str, Value<'a>),
    names: &[String],
) -> Result<(), Box<EvalError>> {
    let (environment, value) = environment;
    if let Some(Value::Attrs(set)) = attribute(evaluator, value, "workloads")? {
        for name in names {
            evaluate_workload(evaluator, set, &(environment.to_owned(), name.clone()))?;
        }
    }
    Ok(())
}

/// Evaluates a workload all the way down.
fn evaluate_workload<'a>(
    evaluator: &mut Evaluator<'a>,
    set: &'a Attrs<'a>,
    (environment, name): &WorkloadName,
) -> Result<BTreeMap<String, OnSystem>, Box<EvalError>> {
    let mut systems = BTreeMap::new();
    let what = format!("while evaluating workload '{name}' of environment '{environment}'");
    let Some(attr) = evaluator.find_attr(set, name) else {
        return Ok(systems);
    };
    // The check finds fault with what is no set.
    let workload = evaluator.force(attr.value.share(), attr.position);
    let Value::Attrs(workload) = workload.map_err(|error| error.context(what.clone()))? else {
        return Ok(systems);
    };
    let mut values = Vec::new();
    for attr in evaluator.sorted_attrs(workload) {
        let system = evaluator.symbol_text(attr.name);
        let value = evaluator.force(attr.value.share(), attr.position);
        let value = value.map_err(|error| error.context(format!("{what} for {system}")))?;
        values.push((system, value));
    }
    for (system, value) in values {
        let evaluated = with_references(evaluator, value);
        let (value, references) =
            evaluated.map_err(|error| error.context(format!("{what} for {system}")))?;
        systems.insert(system, OnSystem { value, references });
    }
    Ok(systems)
}

impl Position {
    /// As `nixlib` hands it over.
    pub(crate) fn from_json(json: &Json, answers: &Answers<'_>) -> Option<Self> {
        let file = json["file"].as_str()?;
        let below = answers.root().and_then(|cache| cache.below_root(file));
        Some(Self {
            in_root: below.is_some(),
            file: below.unwrap_or(file).to_owned(),
            line: json["line"].as_u64()?,
            column: json["column"].as_u64()?,
        })
    }

    /// The same, for the tree of now, with the file as messages name it.
    pub(crate) fn to_json(&self, answers: &Answers<'_>, shown: &dyn Fn(&str) -> String) -> Json {
        let root = match answers.root() {
            Some(cache) if self.in_root => cache.root(),
            _ => String::new(),
        };
        let file = shown(&format!("{root}{}", self.file));
        json!({ "file": file, "line": self.line, "column": self.column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_answers_are_these_texts() {
        assert_eq!(workload_name("prod", "web"), r#"["workload","prod","web"]"#);
        let odd = workload_name("a\",\"b", "c\n");
        assert_eq!(odd, r#"["workload","a\",\"b","c\n"]"#);
        assert_ne!(odd, workload_name("a", "b\",\"c\n"));
    }
}
