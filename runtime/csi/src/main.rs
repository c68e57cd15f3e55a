//! The program `niphas-csi`.

mod args;
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use niphas_terminal::{OutputFormat, check_output, print_bytes, report};

use args::{Args, Command};

#[global_allocator]
static ALLOCATOR: niphas_store::Allocator = niphas_store::Allocator;

#[expect(unsafe_code, reason = "how jemalloc takes its settings")]
// SAFETY: it is of the type that jemalloc declares, and nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&std::ffi::c_char> = niphas_store::ALLOCATOR_SETTINGS;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref(), None);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads())
                .enable_all()
                .build()?;
            let _entered = runtime.enter();
            let endpoint = args.otlp_endpoint.as_deref();
            let traces = niphas_csi::Traces::open(endpoint, &args.node).with_context(|| {
                format!("spans cannot be sent to '{}'", endpoint.unwrap_or_default())
            })?;
            traces
                .start_logging(args.log_format, &args.log)
                .with_context(|| format!("'{}' is no log filter", args.log))?;
            let ended = runtime.block_on(niphas_csi::run(args.into()));
            traces.close();
            ended
        }
        Command::Status(args) => {
            let status = niphas_csi::NodeStatus::read(&args.state_dir, &args.store)?;
            let text = match args.output {
                OutputFormat::Text => status.to_text(),
                OutputFormat::Json => serde_json::to_string_pretty(&status)? + "\n",
            };
            print_bytes(text);
            Ok(check_output()?)
        }
        Command::BaseImage(args) => {
            let archive = niphas_csi::base_image_archive(&args.name)?;
            std::fs::write(&args.output, archive)
                .with_context(|| format!("cannot write '{}'", args.output.display()))
        }
    }
}

/// Few: the driver waits more than it works, and each thread takes memory.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 4))
}
