//! How far a push is, and what it did.

use std::sync::atomic::{AtomicU64, Ordering};

use nix_formats::StorePath;

/// How far a push is; can be read while it goes on.
#[derive(Debug, Default)]
pub struct PushProgress {
    paths: AtomicU64,
    paths_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl PushProgress {
    /// Paths to be pushed, as far as it is known.
    pub fn paths(&self) -> u64 {
        self.paths.load(Ordering::Relaxed)
    }

    /// Paths pushed.
    pub fn paths_done(&self) -> u64 {
        self.paths_done.load(Ordering::Relaxed)
    }

    /// Bytes of NARs to be pushed, not compressed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of NARs read.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, nar_size: u64) {
        self.paths.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(nar_size, Ordering::Relaxed);
    }

    pub(super) fn count_path(&self) {
        self.paths_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes_done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReport {
    /// The paths that were pushed, sorted.
    pub pushed: Vec<StorePath>,
    /// The paths that were there, but lacked a signature and now have it.
    pub signed: Vec<StorePath>,
    /// The paths that were there.
    pub present: Vec<StorePath>,
    /// Bytes of the NARs pushed.
    pub nar_size: u64,
    /// Bytes of the files they became.
    pub file_size: u64,
}
