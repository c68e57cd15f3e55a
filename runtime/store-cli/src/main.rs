//! The `niphas-store` command.

mod arguments;
mod cli;
mod commands;
mod failure;
mod output;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: niphas_store::Allocator = niphas_store::Allocator;

#[expect(unsafe_code, reason = "how jemalloc takes its settings")]
// SAFETY: it is of the type that jemalloc declares, and nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&std::ffi::c_char> = niphas_store::ALLOCATOR_SETTINGS;

fn main() -> ExitCode {
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
