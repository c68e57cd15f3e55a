//! The `niphas` command.
mod build_args;
mod cli;
mod commands;
mod evaluation;
mod evaluation_args;
mod failure;
mod flake;
mod hints;
mod huge_pages;
mod json;
mod memory;
mod messages;
mod nix_config;
mod pager;
mod progress;
#[cfg(test)]
mod reference;
mod selection;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static MEMORY: huge_pages::HugePages = huge_pages::HugePages;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli.messages.start();
    let result = commands::run(&cli.command);
    match result.and_then(|code| Ok(niphas_terminal::check_output().map(|()| code)?)) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            cli.command.failure_code(&failure)
        }
    }
}
