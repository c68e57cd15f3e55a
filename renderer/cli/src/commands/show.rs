//! `niphas show`

use std::process::ExitCode;

use niphas_environments::{attribute, members};
use niphas_render::ENVIRONMENT;
use niphas_terminal::print_line;
use nix_evaluator::{EvalError, Evaluator, Value};
use serde_json::{Map, Value as Json, json};

use crate::evaluation_args::{AnswerArgs, EvaluationArgs, PurityArgs};
use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};

/// Show what a flake outputs
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
    /// Evaluate the outputs for all systems, not for this one alone
    #[arg(long)]
    all_systems: bool,
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

/// Outputs that are sets of systems, and what is in the set of each.
const PER_SYSTEM: &[&str] = &["apps", "checks", "devShells", "packages"];
/// Outputs that are sets of named things, with what each is.
const NAMED: &[(&str, &str)] = &[
    ("nixosConfigurations", "nixos-configuration"),
    ("nixosModules", "nixos-module"),
    ("overlays", "nixpkgs-overlay"),
    ("templates", "template"),
];

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let flake = self.flakes.open_with(&self.flake, self.lock_file)?.flake;
        let mut evaluation = self.evaluation.evaluation(self.purity.is_pure())?;
        evaluation.uses_cache = self.answers.count();
        let about = if self.all_systems {
            "show all systems"
        } else {
            "show"
        };
        let shown = flake.answer(&evaluation, about, |evaluator, flake| {
            let shown = Json::Object(self.outputs(evaluator, flake)?);
            Ok(shown.to_string().into_bytes())
        })?;
        let shown: Map<String, Json> = serde_json::from_slice(&shown)?;
        if self.json {
            print_line(Json::Object(shown).to_string().as_bytes());
        } else {
            print_line(flake.locked.flake.locked.to_string().as_bytes());
            print_tree(&shown, "");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What there is to show of all outputs.
    fn outputs<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        flake: Value<'a>,
    ) -> Result<Map<String, Json>, Box<EvalError>> {
        let outputs = attribute(evaluator, flake, "outputs")?.unwrap_or(flake);
        let mut shown = Map::new();
        for (output, value) in members(evaluator, outputs)? {
            let about = self.output(evaluator, &output, value)?;
            shown.insert(output, about);
        }
        Ok(shown)
    }

    fn output<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        output: &str,
        value: Value<'a>,
    ) -> Result<Json, Box<EvalError>> {
        if output == "niphasConfigurations" {
            return each(evaluator, value, |evaluator, _, environment| {
                let kind = string(evaluator, environment, "_type")?;
                if kind.as_deref() != Some(ENVIRONMENT) {
                    return Ok(json!({ "type": "unknown" }));
                }
                let workloads = attribute(evaluator, environment, "workloads")?;
                let names = match workloads {
                    Some(workloads) => members(evaluator, workloads)?
                        .into_iter()
                        .map(|(name, _)| name)
                        .collect(),
                    None => Vec::new(),
                };
                Ok(json!({ "type": ENVIRONMENT, "workloads": names }))
            });
        }
        if output == "formatter" {
            return each(evaluator, value, |evaluator, system, value| {
                self.for_system(evaluator, system, value)
            });
        }
        if PER_SYSTEM.contains(&output) {
            return each(evaluator, value, |evaluator, system, set| {
                each(evaluator, set, |evaluator, _, value| {
                    self.for_system(evaluator, system, value)
                })
            });
        }
        if let Some((_, kind)) = NAMED.iter().find(|(name, _)| *name == output) {
            return each(evaluator, value, |_, _, _| Ok(json!({ "type": kind })));
        }
        Ok(json!({ "type": "unknown" }))
    }

    /// What a package, check or shell is; nothing of it where it is for another system.
    fn for_system<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        system: &str,
        value: Value<'a>,
    ) -> Result<Json, Box<EvalError>> {
        if !self.all_systems && system != nix_evaluator::Settings::default().system {
            return Ok(json!({}));
        }
        let kind = string(evaluator, value, "type")?;
        let name = string(evaluator, value, "name")?;
        Ok(match (kind, name) {
            (Some(kind), Some(name)) => json!({ "type": kind, "name": name }),
            (Some(kind), None) => json!({ "type": kind }),
            (None, _) => json!({ "type": "unknown" }),
        })
    }
}

fn each<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    mut show: impl FnMut(&mut Evaluator<'a>, &str, Value<'a>) -> Result<Json, Box<EvalError>>,
) -> Result<Json, Box<EvalError>> {
    let mut shown = Map::new();
    for (name, value) in members(evaluator, value)? {
        let about = show(evaluator, &name, value)?;
        shown.insert(name, about);
    }
    Ok(Json::Object(shown))
}

fn string<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    name: &str,
) -> Result<Option<String>, Box<EvalError>> {
    Ok(match attribute(evaluator, value, name)? {
        Some(Value::String(text)) => Some(String::from_utf8_lossy(text.bytes).into_owned()),
        _ => None,
    })
}

fn print_tree(shown: &Map<String, Json>, indent: &str) {
    let last = shown.len().saturating_sub(1);
    for (index, (name, about)) in shown.iter().enumerate() {
        let (branch, below) = if index == last {
            ("└───", "    ")
        } else {
            ("├───", "│   ")
        };
        let line = |rest: &str| print_line(format!("{indent}{branch}{name}{rest}").as_bytes());
        let Some(about) = about.as_object() else {
            continue;
        };
        match about.get("type").and_then(Json::as_str) {
            None => {
                line(if about.is_empty() {
                    " omitted (use '--all-systems' to show)"
                } else {
                    ""
                });
                print_tree(about, &format!("{indent}{below}"));
            }
            Some(ENVIRONMENT) => {
                let workloads = about["workloads"].as_array().into_iter().flatten();
                let names: Vec<&str> = workloads.filter_map(Json::as_str).collect();
                line(&if names.is_empty() {
                    ": environment without workloads".to_owned()
                } else {
                    format!(": environment with {}", names.join(", "))
                });
            }
            Some(kind) => match about.get("name").and_then(Json::as_str) {
                Some(name) => line(&format!(": {kind} '{name}'")),
                None => line(&format!(": {kind}")),
            },
        }
    }
}
