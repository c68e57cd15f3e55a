//! The `niphas-store` command.

mod arguments;
mod cli;
mod commands;
mod failure;
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: niphas_store::Allocator = niphas_store::Allocator;

#[expect(unsafe_code, reason = "how jemalloc takes its settings")]
// SAFETY: it is of the type that jemalloc declares, and nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&std::ffi::c_char> = niphas_store::ALLOCATOR_SETTINGS;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    niphas_terminal::start_warnings();
    let result = commands::run(&cli.command);
    match result.and_then(|code| Ok(niphas_terminal::check_output().map(|()| code)?)) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}
