//! The `niphas-store` command.

mod arguments;
mod cli;
mod commands;
mod failure;
mod output;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    niphas_store::share_memory_among_threads();
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(failure::in_colour())
        .init();
    match commands::run(&cli) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}
