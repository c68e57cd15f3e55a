//! Fills a store with paths of many small files, no cache needed: `big-store FOLDER PATHS FILES [AT_ONCE]`.
//!
//! It is made as if NARs were fetched, `AT_ONCE` of them at a time; each path has FILES files of 8 bytes, and no two files are alike.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context as _;
use niphas_store::generated::add_path;
use niphas_store::{Allocator, Options, Store};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    let folder: PathBuf = arguments.first().context("expected a folder")?.into();
    let paths = number(1).context("expected how many paths")?;
    let files = number(2).context("expected how many files a path has")?;
    let store = Store::open(&folder, Options::default())?;
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let work = || {
            loop {
                let path = next.fetch_add(1, Ordering::Relaxed);
                if path >= paths {
                    return anyhow::Ok(());
                }
                add_path(&store, path, path, files)?;
            }
        };
        let workers: Vec<_> = (0..number(3).unwrap_or(2))
            .map(|_| scope.spawn(work))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(store.close())?;
    Ok(())
}
