//! The program `niphas-mesh`.

mod args;
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use niphas_terminal::{OutputFormat, check_output, print_bytes};

use args::{Args, Command, RunArgs, StatusArgs};

// Pieces of files come and go on all threads: the C library's allocator would keep most of them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Run(args) => run(*args),
        Command::Status(args) => status(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            niphas_terminal::report(error.as_ref(), None);
            ExitCode::FAILURE
        }
    }
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    niphas_daemon::start_logging(args.log_format, &args.log)
        .with_context(|| format!("'{}' is no log filter", args.log))?;
    // The mesh waits more than it works, and each thread takes memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()?;
    runtime.block_on(niphas_mesh::run(args.into()))
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(niphas_mesh::MeshStatus::fetch(&args.pages))?;
    let text = match args.output {
        OutputFormat::Text => status.to_text(),
        OutputFormat::Json => serde_json::to_string_pretty(&status)? + "\n",
    };
    print_bytes(text);
    Ok(check_output()?)
}
