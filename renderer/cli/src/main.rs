//! The `niphas` command.
mod attributes;
mod cached_work;
mod cli;
mod commands;
mod environment;
mod evaluation;
mod failure;
mod flake;
mod huge_pages;
mod keys;
mod last_rendering;
mod logging;
mod memory;
mod nix_config;
mod output;
mod progress;
mod provenance;
mod shared_work;
mod workloads;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: huge_pages::HugePages = huge_pages::HugePages;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    let result = commands::run(&cli.command).and_then(|code| match output::failure() {
        Some(error) => Err(anyhow::anyhow!("cannot write to standard output: {error}").into()),
        None => Ok(code),
    });
    match result {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            cli.command.failure_code()
        }
    }
}
