//! How far a realisation is.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::shares::Before;
use crate::store::lock;

/// How far a realisation is. Totals grow as long as paths are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Paths that are in the store.
    pub paths_done: u64,
    /// Paths that are known to be in the closure.
    pub paths_total: u64,
    /// Bytes of NARs that are in the store.
    pub bytes_done: u64,
    /// Bytes of NARs that are known to be in the closure.
    pub bytes_total: u64,
    /// Paths that this realisation fetched; others were there, or another fetched them.
    pub fetched_paths: u64,
    /// Bytes of those paths' NARs.
    pub fetched_bytes: u64,
    /// Bytes of NARs that came and were of no use: they were not what they should be, or not all came.
    pub wasted_bytes: u64,
    /// While it waits for others of its holder to end: how many come before it.
    pub queued: u64,
}

/// What was fetched since this was asked for last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Paths.
    pub paths: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
    /// Bytes of NARs that came and were of no use.
    pub wasted_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    paths_done: AtomicU64,
    paths_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    fetched_paths: AtomicU64,
    fetched_bytes: AtomicU64,
    wasted_bytes: AtomicU64,
    pub(super) queued: Before,
    /// What was counted for the metrics: paths and bytes that were fetched, bytes that were wasted.
    counted: Mutex<[u64; 3]>,
}

impl Counters {
    /// Starts again.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.paths_done,
            &self.paths_total,
            &self.bytes_done,
            &self.bytes_total,
        ] {
            counter.store(0, Relaxed);
        }
    }

    /// A path of the closure was heard of.
    pub(crate) fn seen(&self) {
        self.paths_total.fetch_add(1, Relaxed);
    }

    /// And now its size is known.
    pub(crate) fn sized(&self, nar_size: u64) {
        self.bytes_total.fetch_add(nar_size, Relaxed);
    }

    /// And now it is in the store.
    pub(crate) fn done(&self, nar_size: u64) {
        self.paths_done.fetch_add(1, Relaxed);
        self.bytes_done.fetch_add(nar_size, Relaxed);
    }

    /// All paths were in the store.
    pub(crate) fn all_done(&self, paths: u64, bytes: u64) {
        for (paths_or_bytes, counters) in [
            (paths, [&self.paths_total, &self.paths_done]),
            (bytes, [&self.bytes_total, &self.bytes_done]),
        ] {
            for counter in counters {
                counter.store(paths_or_bytes, Relaxed);
            }
        }
    }

    /// And it was fetched.
    pub(crate) fn fetched(&self, nar_size: u64) {
        self.fetched_paths.fetch_add(1, Relaxed);
        self.fetched_bytes.fetch_add(nar_size, Relaxed);
    }

    /// Bytes came that are of no use.
    pub(crate) fn wasted(&self, bytes: u64) {
        self.wasted_bytes.fetch_add(bytes, Relaxed);
    }

    /// Paths and bytes that were fetched, and bytes that were wasted, each told once.
    pub(crate) fn untold(&self) -> Fetched {
        let mut counted = lock(&self.counted);
        let [paths, bytes, wasted] = [&self.fetched_paths, &self.fetched_bytes, &self.wasted_bytes]
            .map(|it| it.load(Relaxed));
        let [told_paths, told_bytes, told_wasted] = *counted;
        *counted = [paths, bytes, wasted];
        Fetched {
            paths: paths - told_paths,
            bytes: bytes - told_bytes,
            wasted_bytes: wasted - told_wasted,
        }
    }

    pub(crate) fn snapshot(&self) -> Progress {
        Progress {
            paths_done: self.paths_done.load(Relaxed),
            paths_total: self.paths_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            fetched_paths: self.fetched_paths.load(Relaxed),
            fetched_bytes: self.fetched_bytes.load(Relaxed),
            wasted_bytes: self.wasted_bytes.load(Relaxed),
            queued: self.queued.0.load(Relaxed),
        }
    }
}
