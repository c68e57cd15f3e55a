//! Garbage collection of a cache in a folder.
//!
//! A path stays with all that it refers to, if it is a root, if it is young, or if it is among the newest that fit into a number of
//! bytes. What a process writes meanwhile stays, too: those of niphas hold a lock of the folder while they write, and what others
//! write is young.
//!
//! What goes, goes in an order that leaves the cache whole whenever this is killed: entries of the build trace, then narinfos, each
//! before those that it refers to, then NARs that no narinfo names.

mod error;
mod index;
mod keep;
mod remove;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix_formats::{StoreDir, StorePath};

pub use error::GcError;
use index::Index;

/// What stays, besides roots.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store folder of the cache's paths.
    pub store_dir: StoreDir,
    /// How many bytes of NARs, as they are compressed, stay of paths that no root needs: the newest.
    pub keep_bytes: u64,
    /// How long everything stays. Other programs than niphas must write a closure into the cache within this time.
    pub min_age: Duration,
    /// How long logs stay whose derivation made nothing that the cache has.
    pub keep_logs: Duration,
    /// How long to wait for processes that write.
    pub patience: Duration,
    /// Nothing is removed.
    pub is_dry_run: bool,
}

impl Options {
    /// With a day for what is young, and a month for logs.
    pub fn new(store_dir: StoreDir, keep_bytes: u64) -> Self {
        Self {
            store_dir,
            keep_bytes,
            min_age: Duration::from_hours(24),
            keep_logs: Duration::from_hours(30 * 24),
            patience: Duration::from_mins(1),
            is_dry_run: false,
        }
    }
}

/// What a collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Paths that stay.
    pub kept_paths: u64,
    /// The bytes of their NARs, as they are compressed.
    pub kept_bytes: u64,
    /// Paths that went.
    pub removed_paths: u64,
    /// Bytes that went.
    pub removed_bytes: u64,
    /// Roots that the cache does not have.
    pub missing_roots: Vec<StorePath>,
    /// Narinfos that cannot be read as such. They stay.
    pub malformed: Vec<String>,
}

/// The roots of some generations: of the newest `keep` of them, each of which has roots of its own.
pub fn newest_generations<'a, G: IntoIterator<Item = &'a StorePath>>(
    newest_first: impl IntoIterator<Item = G>,
    keep: usize,
) -> BTreeSet<StorePath> {
    let kept = newest_first.into_iter().take(keep);
    kept.flatten().cloned().collect()
}

/// Removes from the cache in a folder what is needed no more. Blocks.
pub fn collect(
    folder: &Path,
    roots: &BTreeSet<StorePath>,
    options: &Options,
) -> Result<Report, GcError> {
    let lock = lock(folder, options.patience)?;
    let index = Index::read(folder, options)?;
    let now = SystemTime::now();
    let (kept, missing_roots) = keep::kept(&index, roots, options, now);
    let mut report = Report {
        missing_roots,
        malformed: index.malformed.clone(),
        ..Report::default()
    };
    for (entry, kept) in index.entries.iter().zip(&kept) {
        if let (Some(file), true) = (&entry.file, kept) {
            report.kept_paths += 1;
            report.kept_bytes += file.file_size;
        }
    }
    remove::remove(folder, &index, &kept, options, now, &mut report)?;
    drop(lock);
    Ok(report)
}

/// How often a lock is tried.
const TRY: Duration = Duration::from_millis(100);

/// Waits until nothing of niphas writes to the cache, and keeps it so.
fn lock(folder: &Path, patience: Duration) -> Result<File, GcError> {
    let failed = |source| GcError::Lock {
        folder: folder.to_owned(),
        source,
    };
    let begun = Instant::now();
    let lock = File::open(folder).map_err(failed)?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() >= patience => {
                return Err(GcError::Busy {
                    folder: folder.to_owned(),
                    patience,
                });
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(TRY),
        }
    }
}
