//! `niphas bootstrap`

mod argocd;
mod fleet;
mod flux;
mod followed;

use std::process::ExitCode;

use clap::Subcommand;
use niphas_terminal::print_bytes;
use serde_json::Value;

use crate::failure::Failure;

/// Print the objects with which a GitOps controller follows what `niphas render` commits
///
/// They name the repository, the branch and the folder of each environment. Apply them once, where the controller runs; from
/// then on every commit is delivered. Nothing is read and nothing is changed by this command.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas bootstrap argocd https://git.example.org/gitops.git --environment production | \\
    kubectl apply --server-side --filename -")]
pub(crate) struct Args {
    #[command(subcommand)]
    controller: Controller,
}

#[derive(Debug, Subcommand)]
enum Controller {
    Argocd(argocd::Args),
    Flux(flux::Args),
    Fleet(fleet::Args),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let objects = match &self.controller {
            Controller::Argocd(args) => args.objects(),
            Controller::Flux(args) => args.objects(),
            Controller::Fleet(args) => args.objects(),
        };
        let documents: Result<Vec<String>, _> = objects.iter().map(niphas_api::to_yaml).collect();
        print_bytes(documents?.join("---\n").as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}

/// Sets a field of an object's `spec`, if there is something to set.
fn set(object: &mut Value, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object["spec"][field] = value.into();
    }
}
