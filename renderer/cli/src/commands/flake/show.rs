//! `niphas flake show`

use std::process::ExitCode;

use niphas_environments::{attribute, members};
use niphas_render::ENVIRONMENT;
use niphas_terminal::print_line;
use nix_evaluator::{ErrorKind, EvalError, Evaluator, Result as Evaluated, Value};

use super::outputs::{Omission, Shown, Sort};
use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};
use crate::json::JsonArgs;

/// Show what a flake outputs, as nix flake show does
///
/// Environments for `niphas render` are listed with their workloads; of the outputs that Nix knows, names and kinds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flake: a folder or a flake reference
    #[arg(value_name = "FLAKE", default_value = ".")]
    flake: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layout: JsonArgs,
    /// Evaluate the outputs for all systems, not for this one alone
    #[arg(long)]
    all_systems: bool,
    /// Look into legacyPackages too
    #[arg(long)]
    legacy: bool,
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
}

/// No flake has so deep a set of jobs, but one that contains itself.
const MAX_DEPTH: usize = 100;
/// The most names that are shown.
const MAX_NAMES: usize = 1 << 20;

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let flake = self.flakes.open_whole(&self.flake, self.lock_file)?;
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        let system = evaluation.settings.system.clone();
        let about = format!(
            "show, {} systems, {} legacy packages",
            if self.all_systems { "all" } else { "this" },
            if self.legacy { "with" } else { "without" }
        );
        let shown = flake.answer(&evaluation, &about, |evaluator, flake| {
            let mut view = View {
                evaluator,
                system: (!self.all_systems).then_some(&system),
                legacy: self.legacy,
                names: 0,
            };
            let outputs = attribute(view.evaluator, flake, "outputs")?.unwrap_or(flake);
            let shown = view.set(&[], outputs)?;
            Ok(serde_json::to_vec(&shown).expect("texts are JSON"))
        })?;
        let shown: Shown = serde_json::from_slice(&shown)?;
        if self.json {
            let json = shown.to_json("").to_string();
            print_line(self.layout.lay_out(json.as_bytes()));
        } else {
            print_line(flake.locked.flake.locked.to_string());
            shown.print_members("");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How outputs are looked at.
struct View<'v, 'a> {
    evaluator: &'v mut Evaluator<'a>,
    /// The only system whose outputs are evaluated.
    system: Option<&'v str>,
    legacy: bool,
    /// How many were shown so far.
    names: usize,
}

impl<'a> View<'_, 'a> {
    fn set(&mut self, path: &[&str], value: Value<'a>) -> Evaluated<Shown> {
        let mut shown = Vec::new();
        for (name, value) in members(self.evaluator, value)? {
            let path = [path, &[&name]].concat();
            self.names += 1;
            if path.len() > MAX_DEPTH || self.names > MAX_NAMES {
                let message = format!("'{}' is nested too deeply, or has too many names", path[0]);
                return Err(EvalError::new(ErrorKind::Eval, message));
            }
            if !self.has_content(&path, value) {
                continue;
            }
            tracing::info!("evaluating '{}'...", path.join("."));
            let about = match self.show(&path, value) {
                Err(error) if is_tolerated(&path, &error) => Shown::Nothing,
                about => about?,
            };
            shown.push((name, about));
        }
        Ok(Shown::Set(shown))
    }

    /// Sets of outputs are left out where nothing is in them. What fails has something in it.
    fn has_content(&mut self, path: &[&str], value: Value<'a>) -> bool {
        let is_set = match path {
            [output] => matches!(
                *output,
                "apps"
                    | "checks"
                    | "devShells"
                    | "formatter"
                    | "legacyPackages"
                    | "nixosConfigurations"
                    | "nixosModules"
                    | "overlays"
                    | "packages"
            ),
            [output, _] => matches!(
                *output,
                "apps" | "checks" | "devShells" | "legacyPackages" | "packages"
            ),
            _ => false,
        };
        if !is_set {
            return true;
        }
        let Ok(members) = members(self.evaluator, value) else {
            return true;
        };
        members
            .into_iter()
            .any(|(name, value)| self.has_content(&[path, &[&name]].concat(), value))
    }

    fn show(&mut self, path: &[&str], value: Value<'a>) -> Evaluated<Shown> {
        match path {
            [
                "apps"
                | "checks"
                | "defaultApp"
                | "defaultPackage"
                | "devShell"
                | "devShells"
                | "formatter"
                | "legacyPackages"
                | "niphasConfigurations"
                | "nixosConfigurations"
                | "nixosModules"
                | "overlays"
                | "packages"
                | "templates",
            ]
            | ["apps" | "checks" | "devShells" | "packages", _] => self.set(path, value),
            ["niphasConfigurations", _] => self.environment(value),
            ["defaultPackage" | "devShell" | "formatter", system]
            | ["checks" | "devShells" | "packages", system, _] => {
                if self.is_for_other(system) {
                    return Ok(Shown::Omitted(Omission::OtherSystem));
                }
                let derivation = self.derivation(path, value);
                without_import(derivation.map(|shown| shown.unwrap_or(Shown::Other(Sort::Unknown))))
            }
            ["hydraJobs", ..] => {
                let derivation = self.derivation(path, value);
                match derivation {
                    Ok(None) => without_import(self.set(path, value)),
                    other => without_import(other.map(|shown| shown.unwrap_or(Shown::Nothing))),
                }
            }
            ["legacyPackages", ..] if !self.legacy => Ok(Shown::Omitted(Omission::Legacy)),
            ["legacyPackages", system, ..] if self.is_for_other(system) => {
                Ok(Shown::Omitted(Omission::OtherSystem))
            }
            ["legacyPackages", rest @ ..] => {
                let derivation = self.derivation(path, value);
                match derivation {
                    Ok(None) if rest.len() == 1 => without_import(self.set(path, value)),
                    other => without_import(other.map(|shown| shown.unwrap_or(Shown::Nothing))),
                }
            }
            ["defaultApp", _] | ["apps", _, _] => self.app(value),
            ["defaultTemplate"] | ["templates", _] => self.template(value),
            ["overlay"] | ["overlays", _] => Ok(Shown::Other(Sort::Overlay)),
            ["nixosConfigurations", _] => Ok(Shown::Other(Sort::NixosConfiguration)),
            ["nixosModule"] | ["nixosModules", _] => Ok(Shown::Other(Sort::NixosModule)),
            _ => Ok(Shown::Other(Sort::Unknown)),
        }
    }

    fn is_for_other(&self, system: &str) -> bool {
        self.system.is_some_and(|wanted| wanted != system)
    }

    /// What is said of a derivation; none if it is something else.
    fn derivation(&mut self, path: &[&str], value: Value<'a>) -> Evaluated<Option<Shown>> {
        if self.text(value, "type")?.as_deref() != Some("derivation") {
            return Ok(None);
        }
        let sort = match path[0] {
            "devShell" | "devShells" => "development environment",
            "checks" | "hydraJobs" => "derivation",
            _ => "package",
        };
        Ok(Some(Shown::Derivation {
            sort: sort.to_owned(),
            name: self.text(value, "name")?.unwrap_or_default(),
            description: self.description(value)?.unwrap_or_default(),
        }))
    }

    fn app(&mut self, value: Value<'a>) -> Evaluated<Shown> {
        if self.text(value, "type")?.as_deref() != Some("app") {
            return Ok(Shown::Other(Sort::Unknown));
        }
        let description = self.description(value)?;
        Ok(Shown::App { description })
    }

    fn template(&mut self, value: Value<'a>) -> Evaluated<Shown> {
        Ok(match self.text(value, "description")? {
            Some(description) => Shown::Template { description },
            None => Shown::Other(Sort::Unknown),
        })
    }

    fn environment(&mut self, value: Value<'a>) -> Evaluated<Shown> {
        if self.text(value, "_type")?.as_deref() != Some(ENVIRONMENT) {
            return Ok(Shown::Other(Sort::Unknown));
        }
        let workloads = match attribute(self.evaluator, value, "workloads")? {
            Some(workloads) => members(self.evaluator, workloads)?,
            None => Vec::new(),
        };
        let workloads = workloads.into_iter().map(|(name, _)| name).collect();
        Ok(Shown::Environment { workloads })
    }

    fn description(&mut self, value: Value<'a>) -> Evaluated<Option<String>> {
        match attribute(self.evaluator, value, "meta")? {
            Some(meta) => self.text(meta, "description"),
            None => Ok(None),
        }
    }

    fn text(&mut self, value: Value<'a>, name: &str) -> Evaluated<Option<String>> {
        Ok(match attribute(self.evaluator, value, name)? {
            Some(Value::String(text)) => Some(String::from_utf8_lossy(text.bytes).into_owned()),
            _ => None,
        })
    }
}

/// Of nixpkgs' own set much fails.
fn is_tolerated(path: &[&str], error: &EvalError) -> bool {
    path.len() > 1 && path[0] == "legacyPackages" && error.kind != ErrorKind::Limit
}

fn without_import(shown: Evaluated<Shown>) -> Evaluated<Shown> {
    match shown {
        Err(error) if error.kind == ErrorKind::ImportFromDerivation => {
            Ok(Shown::Omitted(Omission::ImportFromDerivation))
        }
        shown => shown,
    }
}
