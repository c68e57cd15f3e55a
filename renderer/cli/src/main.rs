//! The `niphas` command.
mod build_args;
mod build_logs;
mod build_options;
mod build_store;
mod cli;
mod commands;
mod evaluation;
mod evaluation_args;
mod failure;
mod flake;
mod flake_evaluation;
mod hints;
mod huge_pages;
mod imports;
mod json;
mod memory;
mod messages;
mod nix_config;
mod nix_names;
mod nix_settings;
mod out_links;
mod pager;
mod progress;
mod push_progress;
#[cfg(test)]
mod reference;
mod selection;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

#[global_allocator]
static MEMORY: huge_pages::HugePages = huge_pages::HugePages;

fn main() -> ExitCode {
    // A sandbox's process is this program, in a mode of its own.
    nix_builder::sandbox::child_main();
    let command = cli::Cli::command();
    let arguments = nix_names::as_niphas(&command, std::env::args_os().collect());
    let arguments = nix_settings::as_options(&command, arguments);
    let cli = cli::Cli::parse_from(&arguments);
    nix_conf::set_by_command_line(nix_settings::given(&arguments));
    cli.messages.start();
    let huge_pages = std::env::var_os("NIPHAS_HUGE_PAGES").unwrap_or_default();
    let result = match huge_pages::configure(&huge_pages) {
        Ok(()) => commands::run(&cli.command),
        Err(error) => Err(error.into()),
    };
    match result.and_then(|code| Ok(niphas_terminal::check_output().map(|()| code)?)) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            cli.command.failure_code(&failure)
        }
    }
}
