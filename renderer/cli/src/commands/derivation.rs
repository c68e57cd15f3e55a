//! `niphas derivation`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use niphas_environments::{Evaluation, attribute, select_first};
use niphas_terminal::print_line;
use nix_evaluator::io::LocalIo;
use nix_evaluator::{Attrs, EvalError, Evaluator, Origin, Settings, Value};
use nix_formats::Derivation;
use serde_json::{Map, json};

use super::eval::attribute_paths;
use crate::evaluation::{absolute, here};
use crate::evaluation_args::{AutoCallArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, Installable, LockFileArgs, without_outputs};
use crate::imports::ImportBuildArgs;
use crate::json::JsonArgs;

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
#[command(args_override_self = true)]
struct ShowArgs {
    /// FLAKE#ATTRIBUTE, or the path of a .drv file; with --file or --expr an attribute path in that
    #[arg(value_name = "INSTALLABLE")]
    installables: Vec<String>,
    /// Show the derivations that these need, too
    #[arg(short, long)]
    recursive: bool,
    /// Show the derivations of this file (implies --impure)
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "expr")]
    file: Option<PathBuf>,
    /// Show the derivations of this expression
    #[arg(long, value_name = "EXPR")]
    expr: Option<String>,
    #[command(flatten)]
    layout: JsonArgs,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    purity: PurityArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
    #[command(flatten)]
    imports: ImportBuildArgs,
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
            let path = without_outputs(installable)?;
            let is_file = Path::new(path)
                .extension()
                .is_some_and(|extension| extension == "drv");
            if args.file.is_some() || args.expr.is_some() {
                args.show_expression(installable, &mut shown)?;
            } else if is_file {
                args.show_file(path, &mut shown)?;
            } else {
                args.show_flake(installable, &mut shown)?;
            }
        }
        let json = json!({ "derivations": shown, "version": 4 }).to_string();
        print_line(args.layout.lay_out(json.as_bytes()));
        Ok(ExitCode::SUCCESS)
    }
}

impl ShowArgs {
    /// Keeps the texts of derivations while evaluating.
    fn evaluation(&self) -> Result<Evaluation, Failure> {
        let pure = self.file.is_none() && self.purity.is_pure();
        let mut evaluation = self.evaluation.evaluation(pure)?;
        evaluation.settings.write_store = true;
        self.imports.equip(&mut evaluation, &self.evaluation)?;
        Ok(evaluation)
    }

    fn show_expression(&self, installable: &str, shown: &mut Shown) -> Result<(), Failure> {
        let path = without_outputs(installable)?;
        let evaluation = self.evaluation()?;
        let fetcher = self.flakes.fetcher()?;
        let texts = evaluation.run(&fetcher, LocalIo::default(), |evaluator| {
            let value = match (&self.file, &self.expr) {
                (Some(file), _) => {
                    evaluator.eval_file(&absolute(file.as_os_str().as_encoded_bytes()))?
                }
                (None, text) => {
                    let text = text.as_deref().unwrap_or_default();
                    evaluator.eval_source(text.as_bytes(), Origin::String, &here())?
                }
            };
            let args = self.auto_call.arguments(evaluator)?;
            let value = evaluator.select(path, args, value)?;
            self.texts(evaluator, value, args)
        })?;
        show_texts(texts, shown)
    }

    fn show_flake(&self, installable: &str, shown: &mut Shown) -> Result<(), Failure> {
        self.auto_call.refuse()?;
        let Installable { flake, fragment } = self.flakes.open_with(installable, self.lock_file)?;
        let name = flake.locked.flake.locked.to_string();
        let evaluation = self.evaluation()?;
        let paths = attribute_paths(&fragment, &evaluation.settings.system);
        let texts = evaluation.run(&flake.fetcher, LocalIo::default(), |evaluator| {
            let flake = flake.value(evaluator)?;
            let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
            let value = select_first(evaluator, &name, outputs, &paths)?;
            let none = Attrs::empty(evaluator.arena());
            self.texts(evaluator, value, none)
        })?;
        show_texts(texts, shown)
    }

    /// The derivations that a value holds, and those that they need if these are asked for: path and text of each.
    fn texts<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
        args: &'a Attrs<'a>,
    ) -> Result<BTreeMap<String, Vec<u8>>, Box<EvalError>> {
        let found = evaluator.derivations(value, args)?;
        let mut pending: Vec<String> = found.into_iter().map(|found| found.drv_path).collect();
        let mut texts = BTreeMap::new();
        while let Some(path) = pending.pop() {
            if texts.contains_key(&path) {
                continue;
            }
            let text = evaluator.read_source(path.as_bytes())?;
            if self.recursive
                && let Ok(derivation) = parse(&path, &text)
            {
                let store_dir = Settings::default().store_dir;
                let inputs = derivation.input_derivations.keys();
                pending.extend(inputs.map(|input| store_dir.print(input)));
            }
            texts.insert(path, text);
        }
        Ok(texts)
    }

    /// Shows a file, and what it needs if that is asked for: the files of those derivations are in the same folder.
    fn show_file(&self, path: &str, shown: &mut Shown) -> Result<(), Failure> {
        let mut pending = vec![PathBuf::from(path)];
        while let Some(path) = pending.pop() {
            let name = path.display().to_string();
            if shown.contains_key(base_name(&name)) {
                continue;
            }
            let text = std::fs::read(&path).with_context(|| format!("cannot read '{name}'"))?;
            if self.recursive {
                let derivation = parse(&name, &text)?;
                let inputs = derivation.input_derivations.keys();
                pending.extend(inputs.map(|input| path.with_file_name(input.to_string())));
            }
            show_text(&name, &text, shown)?;
        }
        Ok(())
    }
}

fn show_texts(texts: BTreeMap<String, Vec<u8>>, shown: &mut Shown) -> Result<(), Failure> {
    for (path, text) in texts {
        show_text(&path, &text, shown)?;
    }
    Ok(())
}

fn show_text(path: &str, text: &[u8], shown: &mut Shown) -> Result<(), Failure> {
    let derivation = parse(path, text)?;
    shown.insert(base_name(path).to_owned(), derivation.to_json()?);
    Ok(())
}

fn parse(path: &str, text: &[u8]) -> anyhow::Result<Derivation> {
    let name = base_name(path);
    let name = name.strip_suffix(".drv").unwrap_or(name);
    let name = name.get(33..).unwrap_or(name);
    let store_dir = Settings::default().store_dir;
    Derivation::parse_aterm(&store_dir, name, text)
        .with_context(|| format!("'{path}' is not a derivation"))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
