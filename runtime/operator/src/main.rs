//! The program `niphas-operator`.

mod args;

use anyhow::Context;
use clap::Parser;

use args::Args;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    niphas_daemon::start_logging(args.log_format, &args.log)
        .with_context(|| format!("'{}' is no log filter", args.log))?;
    tokio::runtime::Builder::new_multi_thread()
        // It waits more than it works, and each thread takes memory.
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(niphas_operator::run(args.into()))
}
