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
use crate::imports::{How, ImportArgs, ImportBuilds, ImportDefault, record};

/// What to build, and what builds it.
pub(crate) struct Goals {
    /// In the order of the command line.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) builds: Arc<ImportBuilds>,
}

/// What builds begin with.
#[derive(Clone)]
pub(crate) struct Beginnings {
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
    imports: ImportArgs,
    #[command(flatten)]
    evaluation: FlakeEvaluationArgs,
}

/// Words, and how they are evaluated.
struct Evaluated<'a> {
    goals: &'a GoalArgs,
    args: &'a GoalEvaluationArgs,
    record: Arc<EvaluationRecord>,
    /// Whether logs are printed of what the evaluation imports. None: nothing is built for it.
    prints_logs: Option<bool>,
}

impl GoalArgs {
    /// Evaluates what has to be, and keeps what that makes for builds.
    pub(crate) fn goals(&self, args: &GoalEvaluationArgs, how: How<'_>) -> Result<Goals, Failure> {
        let allows = args
            .imports
            .allows(ImportDefault::Allowed, args.evaluation.options());
        let evaluated = Evaluated {
            goals: self,
            args,
            record: record(),
            prints_logs: allows.then(|| how.options.prints_logs()),
        };
        evaluated.goals(|beginnings| ImportBuilds::of(beginnings, how))
    }

    /// What is meant, evaluated without building anything.
    pub(crate) fn wanted(&self, args: &GoalEvaluationArgs) -> Result<Vec<Wanted>, Failure> {
        let evaluated = Evaluated {
            goals: self,
            args,
            record: record(),
            prints_logs: None,
        };
        Ok(evaluated.goals(|_| ImportBuilds::none())?.wanted)
    }
}

impl Evaluated<'_> {
    fn goals(
        &self,
        builds_of: impl FnOnce(Beginnings) -> Arc<ImportBuilds>,
    ) -> Result<Goals, Failure> {
        let mut words: Vec<&str> = self.goals.installables.iter().map(String::as_str).collect();
        words.extend(self.goals.attributes.iter().map(String::as_str));
        if words.is_empty() {
            words.push("");
        }
        let mut beginnings = Beginnings::of(&self.record);
        if self.goals.file.is_some() || self.goals.expr.is_some() {
            let builds = builds_of(beginnings);
            let found = self.evaluate_expression(&words, &builds)?;
            let wanted = found
                .into_iter()
                .map(wanted)
                .collect::<Result<_, Failure>>()?;
            return Ok(Goals { wanted, builds });
        }
        self.args.auto_call.refuse()?;
        let targets = words.iter().map(|word| Target::of(word));
        let targets = targets.collect::<Result<Vec<Target>, Failure>>()?;
        let mut folders = BTreeSet::new();
        for target in &targets {
            if let Target::Derivation { folder, .. } = target
                && folders.insert(folder.clone())
            {
                beginnings.read(folder);
            }
        }
        let evaluated = words.iter().zip(&targets);
        let evaluated: Vec<&str> = evaluated
            .filter(|(_, target)| **target == Target::Expression)
            .map(|(word, _)| *word)
            .collect();
        let builds = builds_of(beginnings);
        let mut found = self.evaluate_flakes(&evaluated, &builds)?;
        let mut all = Vec::new();
        for (word, target) in words.into_iter().zip(targets) {
            match target {
                Target::Expression => {
                    for buildable in found.remove(word).unwrap_or_default() {
                        all.push(wanted(buildable)?);
                    }
                }
                Target::Path(path) => all.push(Wanted::Path(path)),
                Target::Derivation { wanted, .. } => all.push(wanted),
            }
        }
        Ok(Goals {
            wanted: all,
            builds,
        })
    }

    /// Lets an evaluation keep what it makes, and build what it imports.
    fn equip(&self, evaluation: &mut Evaluation, builds: &Arc<ImportBuilds>) {
        match self.prints_logs {
            Some(prints_logs) => builds.equip(evaluation, &self.record, prints_logs),
            None => evaluation.record = Some(Arc::clone(&self.record)),
        }
    }

    fn evaluate_expression(
        &self,
        words: &[&str],
        builds: &Arc<ImportBuilds>,
    ) -> Result<Vec<Buildable>, Failure> {
        let mut evaluation = match self.goals.file {
            Some(_) => self.args.evaluation.impure_evaluation()?,
            None => self.args.evaluation.evaluation()?,
        };
        self.equip(&mut evaluation, builds);
        for word in words {
            without_outputs(word)?;
        }
        let fetcher = self.args.evaluation.fetcher()?;
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
            let args = self.args.auto_call.arguments(evaluator)?;
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
            return buildables_of(evaluator, value, outputs, self.args.evaluation.system());
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
        builds: &Arc<ImportBuilds>,
    ) -> Result<BTreeMap<&'w str, Vec<Buildable>>, Failure> {
        let mut by_flake: BTreeMap<&str, Vec<&'w str>> = BTreeMap::new();
        for word in words {
            let flake = without_outputs(word)?.split('#').next().unwrap_or_default();
            by_flake.entry(flake).or_default().push(word);
        }
        let mut evaluated = BTreeMap::new();
        for words in by_flake.into_values() {
            let mut evaluation = self.args.evaluation.evaluation()?;
            self.equip(&mut evaluation, builds);
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
        let opened = self.args.evaluation.open(words[0])?.flake;
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
                let system = self.args.evaluation.system();
                all.push(buildables_of(evaluator, value, outputs, system)?);
            }
            Ok(all)
        })?;
        Ok(all)
    }
}

/// What gives something that was evaluated.
fn wanted(buildable: Buildable) -> Result<Wanted, Failure> {
    let store_dir = StoreDir::default();
    Ok(match buildable {
        Buildable::Path(path) => Wanted::Path(store_dir.parse(path)?),
        Buildable::Outputs { drv_path, outputs } => Wanted::Outputs {
            derivation: store_dir.parse(drv_path)?,
            outputs: match outputs {
                None => WantedOutputs::All,
                Some(names) => WantedOutputs::Named(names.into_iter().collect()),
            },
        },
    })
}

impl Beginnings {
    /// What evaluations make.
    pub(crate) fn of(record: &Arc<EvaluationRecord>) -> Self {
        Self {
            derivations: vec![Arc::clone(record) as _],
            sources: vec![Arc::clone(record) as _],
        }
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
