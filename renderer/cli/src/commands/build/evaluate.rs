//! What a command line names, evaluated: derivations and store paths to build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use niphas_environments::{
    Buildable, Evaluation, EvaluationRecord, Outputs, attribute, buildables_of, select_first,
};
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_builder::{DerivationFolder, Derivations, Sources};
use nix_evaluator::io::LocalIo;
use nix_evaluator::{EvalError, Evaluator, Origin, Value};
use nix_formats::StoreDir;

use super::source_folder::SourceFolder;
use super::targets::Target;
use crate::commands::eval::attribute_paths;
use crate::evaluation::{absolute, here};
use crate::evaluation_args::AutoCallArgs;
use crate::failure::Failure;
use crate::flake::{parse_with_fragment, without_outputs};
use crate::flake_evaluation::FlakeEvaluationArgs;

/// What to build, and what that begins with.
pub(crate) struct Goals {
    /// In the order of the command line.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) derivations: Vec<Arc<dyn Derivations>>,
    pub(crate) sources: Vec<Arc<dyn Sources>>,
}

/// What the words of a command line stand for.
#[derive(Debug, clap::Args)]
pub(crate) struct GoalArgs {
    /// FLAKE#ATTRIBUTE, which may be an environment, or the path of a .drv file; with --file or --expr an attribute path
    #[arg(value_name = "INSTALLABLE")]
    installables: Vec<String>,
    /// Take attributes of this file (implies --impure)
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "expr")]
    file: Option<std::path::PathBuf>,
    /// Take attributes of this expression
    #[arg(short = 'E', long, value_name = "EXPR", hide_short_help = true)]
    expr: Option<String>,
    /// Take this attribute of --file or --expr; repeatable
    #[arg(short = 'A', long = "attr", value_name = "PATH", hide = true)]
    attributes: Vec<String>,
}

/// How the words of a command line are evaluated.
#[derive(Debug, clap::Args)]
pub(crate) struct GoalEvaluationArgs {
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    evaluation: FlakeEvaluationArgs,
}

/// Words, and how they are evaluated.
struct Evaluated<'a> {
    goals: &'a GoalArgs,
    auto_call: &'a AutoCallArgs,
    evaluation: &'a FlakeEvaluationArgs,
}

impl GoalArgs {
    /// Evaluates what has to be, and keeps what that makes for builds.
    pub(crate) fn goals(&self, args: &GoalEvaluationArgs) -> Result<Goals, Failure> {
        let evaluated = Evaluated {
            goals: self,
            auto_call: &args.auto_call,
            evaluation: &args.evaluation,
        };
        evaluated.goals()
    }
}

impl Evaluated<'_> {
    fn goals(&self) -> Result<Goals, Failure> {
        let mut words: Vec<&str> = self.goals.installables.iter().map(String::as_str).collect();
        words.extend(self.goals.attributes.iter().map(String::as_str));
        if words.is_empty() {
            words.push("");
        }
        let record = Arc::new(EvaluationRecord::new(StoreDir::default()));
        let mut goals = Goals {
            wanted: Vec::new(),
            derivations: vec![Arc::clone(&record) as _],
            sources: vec![Arc::clone(&record) as _],
        };
        if self.goals.file.is_some() || self.goals.expr.is_some() {
            let found = self.evaluate_expression(&words, &record)?;
            for buildable in found {
                goals.want(buildable)?;
            }
            return Ok(goals);
        }
        self.auto_call.refuse()?;
        let targets = words.iter().map(|word| Target::of(word));
        let targets = targets.collect::<Result<Vec<Target>, Failure>>()?;
        let evaluated = words.iter().zip(&targets);
        let evaluated: Vec<&str> = evaluated
            .filter(|(_, target)| **target == Target::Expression)
            .map(|(word, _)| *word)
            .collect();
        let mut found = self.evaluate_flakes(&evaluated, &record)?;
        let mut folders = BTreeSet::new();
        for (word, target) in words.into_iter().zip(targets) {
            match target {
                Target::Expression => {
                    for buildable in found.remove(word).unwrap_or_default() {
                        goals.want(buildable)?;
                    }
                }
                Target::Path(path) => goals.wanted.push(Wanted::Path(path)),
                Target::Derivation { folder, wanted } => {
                    if folders.insert(folder.clone()) {
                        goals.read(&folder);
                    }
                    goals.wanted.push(wanted);
                }
            }
        }
        Ok(goals)
    }

    fn evaluate_expression(
        &self,
        words: &[&str],
        record: &Arc<EvaluationRecord>,
    ) -> Result<Vec<Buildable>, Failure> {
        let mut evaluation = match self.goals.file {
            Some(_) => self.evaluation.impure_evaluation()?,
            None => self.evaluation.evaluation()?,
        };
        evaluation.record = Some(Arc::clone(record));
        for word in words {
            without_outputs(word)?;
        }
        let fetcher = self.evaluation.fetcher()?;
        Ok(evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
            let root = match (&self.goals.file, &self.goals.expr) {
                (Some(file), _) => {
                    evaluator.eval_file(&absolute(file.as_os_str().as_encoded_bytes()))?
                }
                (None, text) => {
                    let text = text.as_deref().unwrap_or_default();
                    evaluator.eval_source(text.as_bytes(), Origin::String, &here())?
                }
            };
            let args = self.auto_call.arguments(evaluator)?;
            let mut found = Vec::new();
            for word in words {
                let (path, outputs) = Outputs::split(word);
                let value = evaluator.select(path, args, root)?;
                let value = evaluator.auto_call(args, value)?;
                found.extend(self.of_expression(evaluator, value, &outputs, args)?);
            }
            Ok(found)
        })?)
    }

    /// As Nix has it, a set or a list stands for the derivations in it.
    fn of_expression<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
        outputs: &Outputs,
        args: &'a nix_evaluator::Attrs<'a>,
    ) -> Result<Vec<Buildable>, Box<EvalError>> {
        let is_one = match value {
            Value::Attrs(_) => {
                let has = |name: &str, evaluator: &mut Evaluator<'a>| {
                    attribute(evaluator, value, name).map(|found| found.is_some())
                };
                has("type", evaluator)? || has("_type", evaluator)?
            }
            Value::List(_) => false,
            _ => true,
        };
        if is_one {
            return buildables_of(evaluator, value, outputs, self.evaluation.system());
        }
        let names = match outputs {
            Outputs::Named(names) => Some(names.clone()),
            Outputs::Usual | Outputs::All => None,
        };
        let found = evaluator.derivations(value, args)?;
        let found = found.into_iter().map(|found| Buildable::Outputs {
            drv_path: found.drv_path,
            outputs: names.clone(),
        });
        Ok(found.collect())
    }

    /// What the words stand for. Each flake is evaluated once.
    fn evaluate_flakes<'w>(
        &self,
        words: &[&'w str],
        record: &Arc<EvaluationRecord>,
    ) -> Result<BTreeMap<&'w str, Vec<Buildable>>, Failure> {
        let mut by_flake: BTreeMap<&str, Vec<&'w str>> = BTreeMap::new();
        for word in words {
            let flake = without_outputs(word)?.split('#').next().unwrap_or_default();
            by_flake.entry(flake).or_default().push(word);
        }
        let mut evaluated = BTreeMap::new();
        for words in by_flake.into_values() {
            let mut evaluation = self.evaluation.evaluation()?;
            evaluation.record = Some(Arc::clone(record));
            let found = self.evaluate_flake(&words, &evaluation)?;
            evaluated.extend(words.into_iter().zip(found));
        }
        Ok(evaluated)
    }

    fn evaluate_flake(
        &self,
        words: &[&str],
        evaluation: &Evaluation,
    ) -> Result<Vec<Vec<Buildable>>, Failure> {
        let opened = self.evaluation.open(words[0])?.flake;
        let name = opened.locked.flake.locked.to_string();
        let mut fragments = Vec::new();
        for word in words {
            let (word, outputs) = Outputs::split(word);
            fragments.push((parse_with_fragment(word)?.1, outputs));
        }
        let system = &evaluation.settings.system;
        let all = evaluation.run(&opened.fetcher, LocalIo::default(), |evaluator| {
            let flake = opened.value(evaluator)?;
            let flake_outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            let mut all = Vec::new();
            for (fragment, outputs) in &fragments {
                let paths = attribute_paths(fragment, system);
                let value = select_first(evaluator, &name, flake_outputs, &paths)?;
                let system = self.evaluation.system();
                all.push(buildables_of(evaluator, value, outputs, system)?);
            }
            Ok(all)
        })?;
        Ok(all)
    }
}

impl Goals {
    fn want(&mut self, buildable: Buildable) -> Result<(), Failure> {
        let store_dir = StoreDir::default();
        self.wanted.push(match buildable {
            Buildable::Path(path) => Wanted::Path(store_dir.parse(path)?),
            Buildable::Outputs { drv_path, outputs } => Wanted::Outputs {
                derivation: store_dir.parse(drv_path)?,
                outputs: match outputs {
                    None => WantedOutputs::All,
                    Some(names) => WantedOutputs::Named(names.into_iter().collect()),
                },
            },
        });
        Ok(())
    }

    /// Reads derivations and sources from a folder, too.
    fn read(&mut self, folder: &Path) {
        let (folder, store_dir) = (folder.to_owned(), StoreDir::default());
        let derivations = DerivationFolder::new(folder.clone(), store_dir.clone());
        self.derivations.push(Arc::new(derivations));
        self.sources
            .push(Arc::new(SourceFolder::new(folder, store_dir)));
    }
}
