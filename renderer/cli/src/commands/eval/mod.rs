//! `niphas eval`

mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use niphas_environments::{attribute, select_first};
use niphas_terminal::print_bytes;
use nix_evaluator::io::LocalIo;
use nix_evaluator::{
    Coercion, ContextBuilder, EvalError, Evaluator, JsonOptions, Origin, PosIdx, PrintOptions,
    Value,
};
use serde::Serialize;

use crate::evaluation::{absolute, here};
use crate::evaluation_args::{AnswerArgs, AutoCallArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Installable, LockFileArgs, without_outputs};
use crate::imports::ImportBuildArgs;
use crate::json::JsonArgs;

/// Evaluate an output of a flake, a file or an expression, as nix eval does
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct Args {
    /// FLAKE#ATTRIBUTE; with --file or --expr an attribute path in that
    #[arg(value_name = "INSTALLABLE")]
    installable: Option<String>,
    /// Print the value as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    #[command(flatten)]
    layout: JsonArgs,
    /// Print the string that the value is, without quotes
    #[arg(long)]
    raw: bool,
    /// Write the string that the value is to this new file; a set of strings into this new directory
    #[arg(long, value_name = "PATH", conflicts_with_all = ["json", "raw"])]
    write_to: Option<PathBuf>,
    /// Apply a function to the value
    #[arg(long, value_name = "EXPR")]
    apply: Option<String>,
    /// Evaluate this file (implies --impure)
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "expr")]
    file: Option<PathBuf>,
    /// Evaluate this expression
    #[arg(long, value_name = "EXPR")]
    expr: Option<String>,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
    #[command(flatten)]
    imports: ImportBuildArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        if self.file.is_some() || self.expr.is_some() {
            self.run_expression()?;
        } else {
            self.run_flake()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_expression(&self) -> Result<(), Failure> {
        let fetcher = self.flakes.fetcher()?;
        let pure = self.file.is_none() && self.purity.is_pure();
        let mut evaluation = self.evaluation.evaluation(pure)?;
        self.imports.equip(&mut evaluation, &self.evaluation)?;
        let path = without_outputs(self.installable.as_deref().unwrap_or_default())?;
        let answer = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
            let value = match (&self.file, &self.expr) {
                (Some(file), _) => {
                    evaluator.eval_file(&absolute(file.as_os_str().as_encoded_bytes()))?
                }
                (None, Some(text)) => {
                    evaluator.eval_source(text.as_bytes(), Origin::String, &here())?
                }
                (None, None) => Value::Null,
            };
            // They are for the functions on the way to the attribute: what is there is printed as it is.
            let args = self.auto_call.arguments(evaluator)?;
            let value = evaluator.select(path, args, value)?;
            self.answer(evaluator, value)
        })?;
        self.give(answer)
    }

    fn run_flake(&self) -> Result<(), Failure> {
        self.auto_call.refuse()?;
        let installable = self.installable.as_deref().unwrap_or_default();
        let Installable { flake, fragment } = self.flakes.open_with(installable, self.lock_file)?;
        let name = flake.locked.flake.locked.to_string();
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        let paths = attribute_paths(&fragment, &evaluation.settings.system);
        evaluation.uses_cache = self.answers.count();
        self.imports.equip(&mut evaluation, &self.evaluation)?;
        if self.write_to.is_some() {
            let answer = evaluation.run(&flake.fetcher, LocalIo::default(), |evaluator| {
                let value = flake.value(evaluator)?;
                let outputs = attribute(evaluator, value, "outputs")?.unwrap_or(value);
                let value = select_first(evaluator, &name, outputs, &paths)?;
                self.answer(evaluator, value)
            })?;
            return self.give(answer);
        }
        let text = flake.answer(&evaluation, &self.key(&fragment), |evaluator, flake| {
            let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            let value = select_first(evaluator, &name, outputs, &paths)?;
            self.text(evaluator, value)
        })?;
        self.give(Answer::Text(text))
    }

    fn answer<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
    ) -> Result<Answer, Box<EvalError>> {
        if self.write_to.is_none() {
            return self.text(evaluator, value).map(Answer::Text);
        }
        let value = self.applied(evaluator, value)?;
        write::entries(evaluator, value).map(Answer::Files)
    }

    fn give(&self, answer: Answer) -> Result<(), Failure> {
        match (answer, &self.write_to) {
            (Answer::Text(text), _) if self.json => print_bytes(self.layout.lay_out(&text)),
            (Answer::Text(text), _) => print_bytes(text),
            (Answer::Files(entries), Some(to)) => write::write(to, &entries)?,
            (Answer::Files(_), None) => {}
        }
        Ok(())
    }

    /// The value, or what the function of --apply makes of it.
    fn applied<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
    ) -> Result<Value<'a>, Box<EvalError>> {
        let Some(text) = &self.apply else {
            return Ok(value);
        };
        let function = evaluator.eval_source(text.as_bytes(), Origin::String, &here())?;
        let value = evaluator.call(function, &[value], PosIdx::NONE)?;
        evaluator.force(value, PosIdx::NONE)
    }

    /// What the answer depends on, beside how it is evaluated.
    fn key(&self, fragment: &str) -> String {
        // Every option is named: a new one is in the key, or is seen not to be.
        let Self {
            installable: _,
            json,
            // The answer is laid out when it is printed.
            layout: _,
            raw,
            // Nothing is kept of what is written.
            write_to: _,
            apply,
            file: _,
            expr: _,
            auto_call: _,
            purity: _,
            answers: _,
            evaluation: _,
            flakes: _,
            lock_file: _,
            // Whether imports are built is in the key of all answers.
            imports: _,
        } = self;
        let key = EvalKey {
            fragment,
            json: *json,
            raw: *raw,
            apply: apply.as_deref(),
            here: here(),
        };
        format!(
            "eval {}",
            serde_json::to_string(&key).expect("texts are JSON")
        )
    }

    /// What is printed of a value.
    fn text<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
    ) -> Result<Vec<u8>, Box<EvalError>> {
        let value = self.applied(evaluator, value)?;
        let mut context = ContextBuilder::default();
        if self.raw {
            let what = "while generating the eval command output";
            let text = evaluator.coerce_to_string(
                value,
                PosIdx::NONE,
                &mut context,
                what,
                Coercion::INTERPOLATION,
            )?;
            return Ok(text.to_vec());
        }
        let mut text = if self.json {
            let options = JsonOptions {
                strict: true,
                copy_paths: false,
            };
            evaluator.to_json(value, options, &mut context)?
        } else {
            evaluator.print(value, PrintOptions::NIX_EVAL)?
        };
        text.push(b'\n');
        Ok(text)
    }
}

/// What an evaluation gives.
enum Answer {
    /// To be printed.
    Text(Vec<u8>),
    /// To be written.
    Files(Vec<write::Entry>),
}

/// What the answer depends on, beside how it is evaluated.
#[derive(Serialize)]
struct EvalKey<'a> {
    fragment: &'a str,
    json: bool,
    raw: bool,
    apply: Option<&'a str>,
    /// Where relative paths in `apply` start.
    here: Vec<u8>,
}

/// Where Nix looks for what stands behind `#`.
pub(crate) fn attribute_paths(fragment: &str, system: &str) -> Vec<String> {
    if fragment.is_empty() {
        return vec![
            format!("packages.{system}.default"),
            format!("defaultPackage.{system}"),
        ];
    }
    if let Some(path) = fragment.strip_prefix('.') {
        return vec![path.to_owned()];
    }
    vec![
        format!("packages.{system}.{fragment}"),
        format!("legacyPackages.{system}.{fragment}"),
        fragment.to_owned(),
    ]
}
