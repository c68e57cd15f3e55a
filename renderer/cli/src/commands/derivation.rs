//! `niphas derivation`

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use niphas_environments::{Evaluation, attribute, select_first};
use niphas_terminal::say;
use nix_evaluator::io::LocalIo;
use nix_evaluator::{Attrs, EvalError, Evaluator, Origin, Settings, Value};
use nix_formats::Derivation;
use serde_json::{Map, json};

use super::eval::attribute_paths;
use crate::evaluation::here;
use crate::evaluation_args::{AutoCallArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Installable};

/// Work on derivations
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(ShowArgs),
}

/// Print derivations as JSON, as nix derivation show does
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// FLAKE#ATTRIBUTE, or the path of a .drv file; with --expr an attribute path in that
    #[arg(value_name = "INSTALLABLE")]
    installables: Vec<String>,
    /// Show the derivations of this expression
    #[arg(long, value_name = "EXPR")]
    expr: Option<String>,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
}

type Shown = Map<String, serde_json::Value>;

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let Command::Show(args) = &self.command;
        let mut shown = Shown::new();
        let mut installables: Vec<&str> = args.installables.iter().map(String::as_str).collect();
        if installables.is_empty() {
            installables.push("");
        }
        for installable in installables {
            let is_file = Path::new(installable)
                .extension()
                .is_some_and(|extension| extension == "drv");
            match &args.expr {
                Some(text) => args.show_expression(text, installable, &mut shown)?,
                None if is_file => show_file(installable, &mut shown)?,
                None => args.show_flake(installable, &mut shown)?,
            }
        }
        say!("{}", json!({ "derivations": shown, "version": 4 }));
        Ok(ExitCode::SUCCESS)
    }
}

impl ShowArgs {
    /// Keeps the texts of derivations while evaluating.
    fn evaluation(&self) -> Result<Evaluation, Failure> {
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.settings.write_store = true;
        Ok(evaluation)
    }

    fn show_expression(&self, text: &str, path: &str, shown: &mut Shown) -> Result<(), Failure> {
        let evaluation = self.evaluation()?;
        let fetcher = self.flakes.fetcher()?;
        let texts = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
            let value = evaluator.eval_source(text.as_bytes(), Origin::String, &here())?;
            let args = self.auto_call.arguments(evaluator)?;
            let value = evaluator.select(path, args, value)?;
            texts(evaluator, value, args)
        })?;
        show_texts(texts, shown)
    }

    fn show_flake(&self, installable: &str, shown: &mut Shown) -> Result<(), Failure> {
        self.auto_call.refuse()?;
        let Installable { flake, fragment } = self.flakes.open(installable)?;
        let name = flake.locked.flake.locked.to_string();
        let paths = attribute_paths(&fragment, &Settings::default().system);
        let evaluation = self.evaluation()?;
        let texts = evaluation.run(&flake.fetcher, LocalIo::default(), |evaluator| {
            let flake = flake.value(evaluator)?;
            let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            let value = select_first(evaluator, &name, outputs, &paths)?;
            let none = Attrs::from_sorted(evaluator.arena(), &[]);
            texts(evaluator, value, none)
        })?;
        show_texts(texts, shown)
    }
}

/// The derivations that a value holds: path and text of each.
fn texts<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    args: &'a Attrs<'a>,
) -> Result<Vec<(String, Vec<u8>)>, Box<EvalError>> {
    let found = evaluator.derivations(value, args)?;
    let paths: BTreeSet<String> = found.into_iter().map(|found| found.drv_path).collect();
    let texts = paths.into_iter().map(|path| {
        let text = evaluator.read_source(path.as_bytes())?;
        Ok((path, text))
    });
    texts.collect()
}

fn show_texts(texts: Vec<(String, Vec<u8>)>, shown: &mut Shown) -> Result<(), Failure> {
    for (path, text) in texts {
        show_text(&path, &text, shown)?;
    }
    Ok(())
}

fn show_file(path: &str, shown: &mut Shown) -> Result<(), Failure> {
    let text = std::fs::read(path).with_context(|| format!("cannot read '{path}'"))?;
    show_text(path, &text, shown)
}

fn show_text(path: &str, text: &[u8], shown: &mut Shown) -> Result<(), Failure> {
    let base_name = path.rsplit('/').next().unwrap_or(path);
    let name = base_name.strip_suffix(".drv").unwrap_or(base_name);
    let name = name.get(33..).unwrap_or(name);
    let store_dir = Settings::default().store_dir;
    let derivation = Derivation::parse_aterm(&store_dir, name, text)
        .with_context(|| format!("'{path}' is not a derivation"))?;
    shown.insert(base_name.to_owned(), derivation.to_json()?);
    Ok(())
}
