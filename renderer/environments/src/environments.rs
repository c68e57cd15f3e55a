//! The environments of a flake: known from earlier runs, or evaluated and checked.
//!
//! What is known is kept for each workload: the names of the environments, the attributes of each, and what each workload
//! evaluates to.

use std::collections::{BTreeMap, BTreeSet};

use niphas_render::CheckedEnvironment;
use nix_evaluator::{EvalError, Evaluator, PosIdx, Value};
use nix_flake::Digest;

use crate::answers::Answers;
use crate::attributes::attribute;
use crate::definitions::{DEFINITIONS, evaluate_definitions};
use crate::environment::{
    EnvironmentData, EnvironmentHead, EnvironmentParts, OpenedEnvironment, environment_name,
    position,
};
use crate::error::{EnvironmentProblems, EvaluationError, RefusedEnvironments, WorkError};
use crate::evaluation::Evaluation;
use crate::evaluators::CachedEvaluation;
use crate::opened_flake::OpenedFlake;
use crate::outputs::{chosen, configurations, names_of};
use crate::roots::BuiltOutput;
use crate::step::Step;
use crate::workload::{
    FindWorkloads, Position, Workload, Workloads, evaluate_again, workload_name,
};

/// Environments of a flake, on their way through a run.
pub struct Environments<'f> {
    cached: CachedEvaluation<'f>,
    /// The names that the caller gave; none: all environments.
    named: &'f [String],
    known: Option<KnownEnvironments>,
}

/// Environments that nothing has changed of since an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEnvironments {
    /// Their names.
    pub names: BTreeSet<String>,
    /// Of all that they evaluate to.
    pub digest: Digest,
}

/// Environments that can be rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedEnvironments {
    /// Each of them.
    pub environments: Vec<CheckedEnvironment>,
    /// What builds the store paths that they refer to, by path.
    pub(crate) built: BTreeMap<String, BuiltOutput>,
    /// Of all that they evaluate to: that of [`KnownEnvironments`] in a later run, as long as nothing changes. None where
    /// that cannot be told, or where answers of earlier runs do not count.
    pub digest: Option<Digest>,
}

/// The name of the answer with the environments' names.
const NAMES: &str = "environments";

/// An environment that is evaluated.
struct UncheckedEnvironment<'a> {
    name: String,
    value: Value<'a>,
    data: EnvironmentParts,
    /// The workloads of it that other evaluators found.
    found_elsewhere: Vec<String>,
}

impl<'f> Environments<'f> {
    /// Looks up what earlier runs found about the environments of these names; none: about all. Where that is everything, what
    /// was said on the way to it is said again.
    pub fn open(
        flake: &'f OpenedFlake,
        evaluation: &'f Evaluation,
        named: &'f [String],
    ) -> Result<Self, EvaluationError> {
        let cached = CachedEvaluation::open(flake, evaluation, "environments")?;
        let known = KnownEnvironments::find(&cached.answers(), named);
        if known.is_some() {
            cached.all_is_known();
        }
        Ok(Self {
            cached,
            named,
            known,
        })
    }

    /// The environments, where everything about them is known and need not be evaluated.
    pub fn known(&self) -> Option<&KnownEnvironments> {
        self.known.as_ref()
    }

    /// Evaluates the environments as far as they are not known, and checks them. `progress` is called on this thread.
    pub fn evaluate(
        &self,
        progress: &dyn Fn(Step<'_>),
    ) -> Result<EvaluatedEnvironments, EvaluationError> {
        Ok(self.evaluate_with_data(progress)?.0)
    }

    /// As [`Self::evaluate`], and gives what was checked as plain data, too.
    pub fn evaluate_with_data(
        &self,
        progress: &dyn Fn(Step<'_>),
    ) -> Result<(EvaluatedEnvironments, Vec<EnvironmentData>), EvaluationError> {
        if let Some(known) = &self.known
            && let Some((environments, data)) =
                known.check(&self.cached.answers(), &|file| self.cached.shown(file))
        {
            let digest = Some(known.digest);
            return Ok((EvaluatedEnvironments::of(environments, &data, digest), data));
        }
        let workloads = FindWorkloads::new(self.named);
        let helper = &workloads;
        self.cached.run(Some(helper), |evaluator, flake, answers| {
            let opened = self.open_all(evaluator, flake, answers, progress)?;
            let unchecked = find(evaluator, &workloads, opened, answers, progress)?;
            let names = unchecked.iter().map(|found| found.name.clone()).collect();
            let mut environments = Vec::new();
            let mut data = Vec::new();
            let mut refused = Vec::new();
            for environment in unchecked {
                match environment.check(evaluator, answers)? {
                    Ok((checked, of_environment)) => {
                        environments.push(checked);
                        data.push(of_environment);
                    }
                    Err(problems) => refused.push(problems),
                }
            }
            RefusedEnvironments::unless_empty(refused).map_err(EvaluationError::from)?;
            let digest = self.cached.uses_answers().then(|| digest(answers, &names));
            let evaluated = EvaluatedEnvironments::of(environments, &data, digest.flatten());
            Ok((evaluated, data))
        })
    }

    /// Evaluates all of the environments but their workloads.
    fn open_all<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
        answers: &mut Answers<'_>,
        progress: &dyn Fn(Step<'_>),
    ) -> Result<Vec<OpenedEnvironment<'a>>, WorkError> {
        let all = configurations(evaluator, flake)?;
        let known = names_of(evaluator, all);
        answers.keep(NAMES.to_owned(), answers.mark(), &known);
        let mut opened = Vec::new();
        for name in chosen(self.named, &known) {
            let Some(attr) = evaluator.find_attr(all, &name) else {
                return Err(EvaluationError::UnknownEnvironment { name, known }.into());
            };
            progress(Step::Environment { name: &name });
            let value = evaluator.force(attr.value.share(), PosIdx::NONE);
            let environment =
                value.and_then(|value| OpenedEnvironment::open(evaluator, &name, value, answers));
            let what = || format!("while evaluating environment '{name}'");
            opened.push(environment.map_err(|error| error.context(what()))?);
        }
        refuse_what_has_no_workloads(evaluator, &opened)?;
        Ok(opened)
    }
}

/// Refuses what is no environment, and systems that no workload can be evaluated for.
fn refuse_what_has_no_workloads<'a>(
    evaluator: &Evaluator<'a>,
    opened: &[OpenedEnvironment<'a>],
) -> Result<(), WorkError> {
    let refused = opened
        .iter()
        .filter_map(|opened| opened.check(evaluator).err());
    RefusedEnvironments::unless_empty(refused.collect()).map_err(EvaluationError::from)?;
    Ok(())
}

/// Evaluates the workloads of environments, as far as they are not known, and keeps what is found.
fn find<'a>(
    evaluator: &mut Evaluator<'a>,
    workloads: &FindWorkloads<'_>,
    opened: Vec<OpenedEnvironment<'a>>,
    answers: &mut Answers<'_>,
    progress: &dyn Fn(Step<'_>),
) -> Result<Vec<UncheckedEnvironment<'a>>, Box<EvalError>> {
    let sets = opened
        .iter()
        .filter_map(|opened| Some((opened.name.clone(), opened.workloads?)))
        .collect();
    let Workloads { mut known, found } = workloads.find(evaluator, &sets, answers, progress)?;
    // Last of all: asking where something stands counts as looking at where the whole flake is.
    let mut positions = BTreeMap::new();
    for opened in &opened {
        positions.insert(opened.name.clone(), opened.positions(evaluator)?);
    }
    let mut elsewhere: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((environment, name), (mark, systems)) in found {
        if !answers.is_own(mark) {
            let names = elsewhere.entry(environment.clone()).or_default();
            names.push(name.clone());
        }
        let workload = Workload {
            systems,
            position: Position::from_json(&positions[&environment][&name], answers),
        };
        answers.keep(workload_name(&environment, &name), mark, &workload);
        known.entry(environment).or_default().insert(name, workload);
    }
    let unchecked = opened.into_iter().map(|opened| UncheckedEnvironment {
        data: EnvironmentParts {
            attributes: opened.attributes,
            workloads: known.remove(&opened.name).unwrap_or_default(),
        },
        found_elsewhere: elsewhere.remove(&opened.name).unwrap_or_default(),
        name: opened.name,
        value: opened.value,
    });
    Ok(unchecked.collect())
}

impl<'a> UncheckedEnvironment<'a> {
    fn check(
        self,
        evaluator: &mut Evaluator<'a>,
        answers: &Answers<'_>,
    ) -> Result<Result<(CheckedEnvironment, EnvironmentData), EnvironmentProblems>, Box<EvalError>>
    {
        let (name, value) = (self.name, self.value);
        let is_of_modules = attribute(evaluator, value, DEFINITIONS)?.is_some();
        let again = (is_of_modules || !self.found_elsewhere.is_empty()).then(|| self.data.clone());
        let check = |parts: EnvironmentParts, evaluator: &Evaluator<'a>| {
            let data = parts.join(&name, answers, &|file| {
                evaluator.shown_path(file.as_bytes())
            });
            let keeps_rules = keeps_rules(&name, answers);
            let checked = data.check(&keeps_rules, &|path| position(evaluator, value, path));
            checked.map(|checked| (checked, data))
        };
        let mut result = check(self.data, evaluator);
        if let (Err(_), Some(data)) = (&result, again) {
            // Where something stands is only seen in what was evaluated here.
            evaluate_again(evaluator, (&name, value), &self.found_elsewhere)?;
            let names: Vec<_> = data.workloads.keys().cloned().collect();
            evaluate_definitions(evaluator, value, &names)?;
            result = check(data, evaluator);
        }
        Ok(result)
    }
}

impl KnownEnvironments {
    /// The environments of these names, if everything about them is known.
    fn find(answers: &Answers<'_>, named: &[String]) -> Option<Self> {
        let all: Vec<String> = answers.decode(NAMES)?;
        let names = chosen(named, &all);
        if !names.iter().all(|name| all.contains(name)) {
            return None;
        }
        let digest = digest(answers, &names)?;
        Some(Self { names, digest })
    }

    /// Checks them as they are known.
    fn check(
        &self,
        answers: &Answers<'_>,
        shown: &dyn Fn(&str) -> String,
    ) -> Option<(Vec<CheckedEnvironment>, Vec<EnvironmentData>)> {
        let mut environments = Vec::new();
        let mut all = Vec::new();
        for name in &self.names {
            let head: EnvironmentHead = answers.decode(&environment_name(name))?;
            let mut workloads = BTreeMap::new();
            for workload in head.workloads {
                let data = answers.decode(&workload_name(name, &workload))?;
                workloads.insert(workload, data);
            }
            let parts = EnvironmentParts {
                attributes: head.attributes,
                workloads,
            };
            let data = parts.join(name, answers, shown);
            // Problems are reported better by an evaluation, which knows positions.
            let checked = data.check(&keeps_rules(name, answers), &|_| None);
            environments.push(checked.ok()?);
            all.push(data);
        }
        Some((environments, all))
    }
}

/// Which workloads of an environment were checked before: only what passed is kept, and only this very program reads it.
fn keeps_rules<'k>(environment: &'k str, answers: &'k Answers<'_>) -> impl Fn(&str) -> bool {
    move |workload| {
        answers
            .known(&workload_name(environment, workload))
            .is_some()
    }
}

impl EvaluatedEnvironments {
    fn of(
        environments: Vec<CheckedEnvironment>,
        data: &[EnvironmentData],
        digest: Option<Digest>,
    ) -> Self {
        let built = data.iter().flat_map(EnvironmentData::built_outputs);
        Self {
            environments,
            built: built.collect(),
            digest,
        }
    }

    /// Environments that another process evaluated. They are checked as if they had been evaluated here, but problems have no
    /// positions.
    pub fn from_data(data: &[EnvironmentData]) -> Result<Self, RefusedEnvironments> {
        let mut environments = Vec::new();
        let mut refused = Vec::new();
        for data in data {
            match data.check(&|_| false, &|_| None) {
                Ok(checked) => environments.push(checked),
                Err(problems) => refused.push(problems),
            }
        }
        RefusedEnvironments::unless_empty(refused)?;
        Ok(Self::of(environments, data, None))
    }
}

/// A digest of what environments evaluate to, if all of it is there.
fn digest(answers: &Answers<'_>, environments: &BTreeSet<String>) -> Option<Digest> {
    let data = answers.data();
    let mut names = Vec::new();
    for name in environments {
        let head_name = environment_name(name);
        let head: EnvironmentHead = serde_json::from_slice(data(&head_name)?).ok()?;
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
