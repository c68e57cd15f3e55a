//! Room on disk for what is about to be fetched.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::RealiseError;
use crate::error::{FileError, StoreError, failed};
use crate::gc::{GcOptions, GcReport, Watermark};
use crate::store::{Shared, Store, lock};

/// How long to wait for a garbage collection that others began.
const PATIENCE: Duration = Duration::from_mins(1);

/// The share of a file system that stays free if nothing else was said, and the most that this is.
const RESERVE_PERCENT: u64 = 5;
const MOST_RESERVE: u64 = 1 << 30;

/// What is promised to fetches that go on.
#[derive(Debug, Default)]
pub(crate) struct Space {
    promised: Mutex<u64>,
    /// Held by the one that collects garbage, so that the others see what it freed.
    collecting: tokio::sync::Mutex<()>,
    /// What was collected and not told yet.
    untold: Mutex<Collected>,
}

/// What garbage collections did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many there were, without those that found enough space and those that failed.
    pub runs: u64,
    /// How many failed.
    pub failed: u64,
    /// The paths that went.
    pub paths: u64,
    /// Bytes that they freed.
    pub freed: u64,
}

impl Collected {
    /// Counts one more.
    pub fn add(&mut self, result: &Result<GcReport, StoreError>) {
        match result {
            Ok(report) if *report == GcReport::default() => {}
            Ok(report) => {
                self.runs += 1;
                self.paths += report.collected.len() as u64;
                self.freed += report.freed;
            }
            Err(_) => self.failed += 1,
        }
    }
}

/// Bytes that a realisation is about to write.
#[derive(Debug)]
pub(crate) struct Room {
    shared: Arc<Shared>,
    left: AtomicU64,
}

impl Room {
    /// This many bytes of it are written, or need not be.
    pub(super) fn used(&self, bytes: u64) {
        let take = |left: u64| Some(left.saturating_sub(bytes));
        let before = self.left.fetch_update(Relaxed, Relaxed, take).unwrap_or(0);
        *lock(&self.shared.running.space.promised) -= bytes.min(before);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used(u64::MAX);
    }
}

/// What a file system has.
struct Disk {
    free: u64,
    reserve: u64,
}

impl Store {
    /// What was collected to make room for fetches since the last call.
    pub fn collected_for_fetches(&self) -> Collected {
        std::mem::take(&mut *lock(&self.shared.running.space.untold))
    }

    /// Room for this many bytes above the reserve: garbage goes for it if need be.
    pub(super) async fn room(&self, bytes: u64) -> Result<Room, RealiseError> {
        if let Some(room) = self.room_at_once(bytes)? {
            return Ok(room);
        }
        self.collect_for(bytes).await?;
        if let Some(room) = self.room_at_once(bytes)? {
            return Ok(room);
        }
        let disk = self.disk()?;
        let promised = *lock(&self.shared.running.space.promised);
        Err(RealiseError::NoSpace {
            needed: bytes,
            free: disk.free.saturating_sub(promised),
            reserve: disk.reserve,
        })
    }

    /// As [`Self::room`], for a thread that may wait.
    pub(crate) fn room_now(&self, bytes: u64) -> Result<Room, StoreError> {
        if let Some(room) = self.room_at_once(bytes)? {
            return Ok(room);
        }
        self.collect_now(bytes, self.free_for(bytes)?)?;
        self.room_at_once(bytes)?.ok_or(StoreError::NoSpace(bytes))
    }

    fn room_at_once(&self, bytes: u64) -> Result<Option<Room>, FileError> {
        let mut left = 0;
        if self.shared.options.keep_free.is_some() {
            let disk = self.disk()?;
            let mut promised = lock(&self.shared.running.space.promised);
            let wanted = promised.saturating_add(bytes);
            if bytes > 0 && wanted.saturating_add(disk.reserve) > disk.free {
                return Ok(None);
            }
            *promised = wanted;
            left = bytes;
        }
        Ok(Some(Room {
            shared: Arc::clone(&self.shared),
            left: AtomicU64::new(left),
        }))
    }

    /// Collects as much garbage as this many more bytes need; one at a time. Fine if others take too long: then there is as much
    /// room as there is.
    pub(super) async fn collect_for(&self, bytes: u64) -> Result<(), RealiseError> {
        let space = &self.shared.running.space;
        let Ok(_alone) = tokio::time::timeout(PATIENCE, space.collecting.lock()).await else {
            return Ok(());
        };
        let wanted = self.free_for(bytes)?;
        let store = self.clone();
        // It goes on when its realisation ends.
        let collected = tokio::task::spawn_blocking(move || store.collect_now(bytes, wanted));
        Ok(collected.await.map_err(|_| RealiseError::Interrupted)??)
    }

    /// Bytes that must be free for this many more to have room.
    fn free_for(&self, bytes: u64) -> Result<u64, FileError> {
        let reserve = self.disk()?.reserve;
        let promised = *lock(&self.shared.running.space.promised);
        Ok(promised.saturating_add(bytes).saturating_add(reserve))
    }

    fn collect_now(&self, bytes: u64, wanted: u64) -> Result<(), StoreError> {
        let options = GcOptions {
            above: Some(Watermark::Free(wanted)),
            down_to: Some(Watermark::Free(wanted)),
            ..GcOptions::default()
        };
        let collected = self.collect_garbage(&options);
        lock(&self.shared.running.space.untold).add(&collected);
        let report = collected?;
        tracing::info!(
            wanted_bytes = bytes,
            freed_bytes = report.freed,
            deleted_paths = report.collected.len(),
            "collected garbage to make room"
        );
        Ok(())
    }

    fn disk(&self) -> Result<Disk, FileError> {
        let dir = self.dir();
        let status = rustix::fs::statvfs(dir).map_err(failed("read", dir))?;
        let size = status.f_blocks.saturating_mul(status.f_frsize);
        let percent = |share: u64| size / 100 * share;
        let reserve = match self.shared.options.keep_free {
            None => 0,
            Some(KeepFree::Default) => percent(RESERVE_PERCENT).min(MOST_RESERVE),
            Some(KeepFree::Level(Watermark::Percent(share))) => percent(u64::from(share)),
            Some(KeepFree::Level(Watermark::Bytes(bytes) | Watermark::Free(bytes))) => bytes,
        };
        Ok(Disk {
            free: status.f_bavail.saturating_mul(status.f_frsize),
            reserve,
        })
    }
}

/// How much of the store's file system fetches leave free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepFree {
    /// A twentieth, and at most 1 GiB.
    Default,
    /// A number of bytes, or a percentage.
    Level(Watermark),
}
