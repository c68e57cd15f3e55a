//! `niphas eval`

use std::path::PathBuf;
use std::process::ExitCode;

use nix_evaluator::{
    Coercion, ContextBuilder, EvalError, Evaluator, JsonOptions, Origin, PosIdx, PrintOptions,
    Settings, Value,
};

use crate::attributes::{attribute, select_first};
use crate::evaluation::{EvaluationArgs, absolute, here};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, FlakeWork, LockFileArgs, WorkError, with_fetcher};
use crate::output::{print_bytes, print_line};

/// Evaluate an output of a flake, a file or an expression, as nix eval does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// FLAKE#ATTRIBUTE; with --file or --expr an attribute path in that
    #[arg(value_name = "INSTALLABLE")]
    installable: Option<String>,
    /// Print the value as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print the string that the value is, without quotes
    #[arg(long)]
    raw: bool,
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
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
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
        let pure = self.file.is_none();
        with_fetcher(&self.evaluation, &fetcher, pure, |evaluator| {
            let value = match (&self.file, &self.expr) {
                (Some(file), _) => {
                    evaluator.eval_file(&absolute(file.as_os_str().as_encoded_bytes()))?
                }
                (None, Some(text)) => {
                    evaluator.eval_source(text.as_bytes(), Origin::String, &here())?
                }
                (None, None) => Value::Null,
            };
            let args = self.evaluation.arguments(evaluator)?;
            let value = evaluator.auto_call(args, value)?;
            let path = self.installable.as_deref().unwrap_or_default();
            let value = evaluator.select(path, args, value)?;
            Ok(self.print(evaluator, value)?)
        })
    }

    fn run_flake(&self) -> Result<(), Failure> {
        let installable = self.installable.as_deref().unwrap_or_default();
        let source = self.flakes.open_with(installable, self.lock_file)?;
        let work = EvalWork {
            args: self,
            flake: source.locked.flake.locked.to_string(),
            paths: attribute_paths(&source.fragment, &Settings::default().system),
        };
        source.evaluate(&self.evaluation, work)
    }

    fn print<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
    ) -> Result<(), Box<EvalError>> {
        let mut value = value;
        if let Some(text) = &self.apply {
            let function = evaluator.eval_source(text.as_bytes(), Origin::String, &here())?;
            value = evaluator.call(function, &[value], PosIdx::NONE)?;
            value = evaluator.force(value, PosIdx::NONE)?;
        }
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
            print_bytes(text);
        } else if self.json {
            let options = JsonOptions {
                strict: true,
                copy_paths: false,
            };
            let text = evaluator.to_json(value, options, &mut context)?;
            print_line(&text);
        } else {
            let text = evaluator.print(value, PrintOptions::NIX_EVAL)?;
            print_line(&text);
        }
        Ok(())
    }
}

/// Selects what is wanted of a flake's outputs, and prints it.
struct EvalWork<'w> {
    args: &'w Args,
    flake: String,
    paths: Vec<String>,
}

impl FlakeWork for EvalWork<'_> {
    type Output = ();

    fn run<'a>(self, evaluator: &mut Evaluator<'a>, flake: Value<'a>) -> Result<(), WorkError> {
        let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
        let value = select_first(evaluator, &self.flake, outputs, &self.paths)?;
        Ok(self.args.print(evaluator, value)?)
    }
}

/// Where Nix looks for what stands behind `#`.
pub(super) fn attribute_paths(fragment: &str, system: &str) -> Vec<String> {
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
