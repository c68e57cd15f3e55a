//! `niphas completions`

use std::process::ExitCode;

use clap::CommandFactory;
use niphas_terminal::print_bytes;

use crate::cli::Cli;
use crate::failure::Failure;

/// Print a script that lets a shell complete niphas' arguments
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

impl Args {
    #[expect(clippy::unnecessary_wraps, reason = "like every other command")]
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "niphas", &mut script);
        print_bytes(&script);
        Ok(ExitCode::SUCCESS)
    }
}
