//! The program `niphas-eval`.

mod args;
#[cfg(test)]
mod reference;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use args::{Args, Command};

/// It gives back what large answers took: the C library's keeps it in pieces, until the limit of a pod is reached.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<ExitCode> {
    // The sandbox of a build begins as this program.
    nix_builder::sandbox::child_main();
    match Args::parse().command {
        Command::Agent(arguments) => return agent(&arguments),
        Command::Evaluate => niphas_eval_service::evaluate_in_this_process()?,
        Command::Crd => {
            let text = niphas_api::to_yaml(&niphas_api::source_crd())?;
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Command::Serve(args) => {
            niphas_daemon::start_logging(args.log_format, &args.log)
                .with_context(|| format!("'{}' is no log filter", args.log))?;
            let options = args.options()?;
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(niphas_eval_service::serve(options))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds in the pod of a build: its log is for the person who looks at the pod.
fn agent(arguments: &niphas_build_jobs::agent::Arguments) -> anyhow::Result<ExitCode> {
    niphas_daemon::start_logging(niphas_daemon::LogFormat::Json, "info")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let exit = runtime.block_on(async {
        let stop = niphas_daemon::stop_signal()?;
        let places = niphas_build_jobs::agent::Places::default();
        anyhow::Ok(niphas_build_jobs::agent::run(arguments, &places, stop).await)
    })?;
    Ok(ExitCode::from(exit.code()))
}
