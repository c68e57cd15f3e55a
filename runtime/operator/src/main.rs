//! The program `niphas-operator`.

mod args;
#[cfg(test)]
mod reference;

use anyhow::Context;
use clap::Parser;

use args::Args;

/// It gives back what large workloads took: the C library's keeps it in pieces, until the limit of a pod is reached.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[expect(unsafe_code, reason = "how jemalloc takes its settings")]
// SAFETY: it is of the type that jemalloc declares, and nothing else has the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&std::ffi::c_char> = {
    // What is free goes back to the kernel at once: it is little that is asked for again.
    let settings = c"narenas:2,dirty_decay_ms:0,muzzy_decay_ms:0";
    // SAFETY: it points at the first of the string's bytes.
    Some(unsafe { &*settings.as_ptr() })
};

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
