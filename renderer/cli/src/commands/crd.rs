//! `niphas crd`

use std::process::ExitCode;

use niphas_terminal::print_bytes;

use crate::failure::Failure;

/// Print the definition of NiphasWorkload as YAML, ready for kubectl apply
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "like every other command")]
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        print_bytes(niphas_api::to_yaml(&niphas_api::crd())?.as_bytes());
        Ok(ExitCode::SUCCESS)
    }
}
