//! The least that pushing a closure can cost, for `ci/bench.d/store --push`: reads each path, hashes its NAR, compresses it
//! with zstd's level 3, hashes that, and writes it to a file of its own, with a second, small one as a narinfo is. It knows
//! all paths beforehand, asks no store for anything, signs nothing, and keeps to no order.
//!
//! `push-limit LIST FOLDER THREADS`: LIST has a store path on each line, the largest first.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use binary_cache::write_tree;
use nix_formats::{HashAlgorithm, HashWriter};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The size of a narinfo, about.
const NARINFO: [u8; 500] = [b'x'; 500];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, folder, threads] = arguments.as_slice() else {
        return Err("usage: push-limit LIST FOLDER THREADS".into());
    };
    let list = std::fs::read_to_string(list)?;
    let wanted: Vec<&str> = list.lines().collect();
    let (next, folder) = (AtomicUsize::new(0), Path::new(folder));
    std::fs::create_dir_all(folder.join("nar"))?;
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut context = zstd::zstd_safe::CCtx::create();
            let set = context.set_parameter(zstd::zstd_safe::CParameter::CompressionLevel(3));
            set.map_err(|_| "zstd refuses its level 3")?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = wanted.get(index) else {
                    return Ok(());
                };
                pack(Path::new(path), folder, index, &mut context)?;
            }
        };
        let threads: Vec<_> = (0..threads.parse()?).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

fn pack(
    path: &Path,
    folder: &Path,
    number: usize,
    context: &mut zstd::zstd_safe::CCtx<'static>,
) -> Result<()> {
    let file = File::create(folder.join(format!("nar/{number}.nar.zst")))?;
    let file = HashWriter::new(HashAlgorithm::Sha256, file);
    let encoder = zstd::stream::write::Encoder::with_context(file, context);
    let mut nar = HashWriter::new(HashAlgorithm::Sha256, encoder);
    write_tree(path, &mut nar)?;
    let (encoder, ..) = nar.finish();
    encoder.finish()?;
    std::fs::write(folder.join(format!("{number}.narinfo")), NARINFO)?;
    Ok(())
}
