//! Getting packs to disk in the background, and marking those that are there.
//!
//! A pack whose file may be written to (mode 0644) may lose bytes in a power cut; one that may not (0444) is on disk, and so
//! is everything it refers to. Nothing waits for this: what was not marked when the power went is verified before its next
//! use.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use hashbrown::HashSet;

use crate::error::{FileError, failed};
use crate::layout::PackId;
use crate::store::{Shared, lock};

/// Packs wait this long, so that syncing them does not slow down the realisation that they are part of.
const PATIENCE: Duration = Duration::from_secs(2);

/// Before this many packs are synced one by one their whole file system is: else each would end a transaction of its journal, which
/// other writers have to wait for.
const MANY: usize = 16;

/// The thread that does it, and what it has to do. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Syncer {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: HashSet<PackId>,
    since: Option<Instant>,
    is_busy: bool,
    is_hurried: bool,
    has_ended: bool,
    failure: Option<FileError>,
}

impl Syncer {
    pub(crate) fn start(shared: &Arc<Shared>, unsynced: Vec<PackId>) -> Self {
        let queue = Arc::new(Queue::default());
        let syncer = Self { queue };
        for pack in unsynced {
            syncer.add(pack);
        }
        let (queue, shared) = (Arc::clone(&syncer.queue), Arc::clone(shared));
        let thread = thread::Builder::new().name("store-sync".to_owned());
        if let Err(error) = thread.spawn(move || queue.run(&shared)) {
            tracing::warn!(%error, "nothing is written to disk in the background");
            lock(&syncer.queue.state).has_ended = true;
        }
        syncer
    }

    pub(crate) fn add(&self, pack: PackId) {
        let mut state = lock(&self.queue.state);
        state.waiting.insert(pack);
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.queue.changed.notify_all();
        }
    }

    /// Waits until nothing waits, and gives what went wrong since this was called last.
    pub(crate) fn drain(&self) -> Result<(), FileError> {
        let mut state = lock(&self.queue.state);
        state.is_hurried = true;
        self.queue.changed.notify_all();
        while (state.is_busy || !state.waiting.is_empty()) && !state.has_ended {
            let waited = self.queue.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_hurried = false;
        state.failure.take().map_or(Ok(()), Err)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        lock(&self.queue.state).has_ended = true;
        self.queue.changed.notify_all();
    }
}

impl QueueState {
    fn failed(&mut self, error: FileError) {
        tracing::warn!(error = %nix_formats::chain(&error), "failed to write to disk in the background");
        self.failure = Some(error);
    }
}

impl Queue {
    fn run(&self, shared: &Shared) {
        while let Some(packs) = self.next() {
            shared.end_common(|id| packs.contains(&id));
            let packs = packs.into_iter();
            let packs: Vec<_> = packs
                .filter_map(|id| Some((id, needs(shared, id)?)))
                .collect();
            if packs.len() >= MANY {
                sync_file_system(shared);
            }
            let mut synced = HashSet::new();
            for (id, _) in &packs {
                let result = sync(shared, *id);
                let mut state = lock(&self.state);
                match result {
                    Ok(true) => {
                        synced.insert(*id);
                    }
                    Ok(false) => {}
                    Err(error) => state.failed(error),
                }
                if state.has_ended {
                    return;
                }
            }
            for (id, refers) in packs.iter().filter(|(id, _)| synced.contains(id)) {
                let is_on_disk = |id: &PackId| synced.contains(id) || is_marked(shared, *id);
                if refers.iter().all(is_on_disk)
                    && let Err(error) = mark(shared, *id)
                {
                    lock(&self.state).failed(error);
                }
            }
            let saved = shared.save_catalog();
            let mut state = lock(&self.state);
            if let Err(error) = saved {
                state.failed(error);
            }
            state.is_busy = false;
            self.changed.notify_all();
        }
    }

    /// The packs to sync now; nothing at the end.
    fn next(&self) -> Option<HashSet<PackId>> {
        let mut state = lock(&self.state);
        loop {
            if state.has_ended {
                return None;
            }
            let waited = state.since.map(|since| since.elapsed());
            let left = match waited {
                Some(waited) if state.is_hurried => PATIENCE.saturating_sub(waited.max(PATIENCE)),
                Some(waited) => PATIENCE.saturating_sub(waited),
                None => Duration::from_hours(1),
            };
            if left.is_zero() {
                state.since = None;
                state.is_busy = true;
                return Some(std::mem::take(&mut state.waiting));
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Leaves little to write for those that sync single files, and learn what went wrong.
fn sync_file_system(shared: &Shared) {
    let synced = File::open(shared.layout.packs()).map(|folder| rustix::fs::syncfs(&folder));
    tracing::debug!(?synced, "many packs are written to disk");
}

/// The packs that the records in a file refer to: what must be on disk with it. Nothing if it is gone, or one of the records
/// tells of what must be verified first.
fn needs(shared: &Shared, id: PackId) -> Option<Vec<PackId>> {
    let index = shared.index();
    let pack = index.pack(id)?;
    if pack.info.is_some() {
        return (!pack.is_suspect).then(|| pack.refers.clone());
    }
    let referrers = pack.referrers.iter().filter_map(|id| index.pack(*id));
    let within = referrers.filter(|pack| pack.within.is_some_and(|within| within.pack == id));
    let mut needed = HashSet::new();
    for pack in within {
        if pack.is_suspect {
            return None;
        }
        needed.extend(pack.refers.iter().filter(|refers| **refers != id));
    }
    Some(needed.into_iter().collect())
}

/// Writes a pack to disk; gives whether it is there.
fn sync(shared: &Shared, id: PackId) -> Result<bool, FileError> {
    let Some(file) = open(shared, id)? else {
        return Ok(false);
    };
    file.sync_all().map_err(failed_in(shared, id))?;
    Ok(true)
}

fn mark(shared: &Shared, id: PackId) -> Result<(), FileError> {
    let Some(file) = open(shared, id)? else {
        return Ok(());
    };
    file.set_permissions(Permissions::from_mode(0o444))
        .map_err(failed_in(shared, id))
}

fn is_marked(shared: &Shared, id: PackId) -> bool {
    let metadata = shared.pack_path(id).and_then(|path| path.metadata().ok());
    metadata.is_some_and(|metadata| metadata.permissions().mode() & 0o222 == 0)
}

impl Shared {
    /// Waits until all that was written to a pack is on disk, if it is there.
    pub(crate) fn sync_contents(&self, id: PackId) -> Result<(), FileError> {
        let file = open(self, id)?;
        file.map_or(Ok(()), |file| file.sync_data())
            .map_err(failed_in(self, id))
    }
}

/// Waits until the names in a folder are on disk.
pub(crate) fn folder(path: &Path) -> Result<(), FileError> {
    let opened = File::open(path).map_err(failed("open", path))?;
    opened.sync_all().map_err(failed("write", path))
}

fn failed_in(shared: &Shared, id: PackId) -> impl FnOnce(io::Error) -> FileError {
    let path = shared.layout.packs().join(id.to_string());
    move |error| FileError::new("write", path, error)
}

/// The file of a pack, unless garbage collection was quicker.
fn open(shared: &Shared, id: PackId) -> Result<Option<File>, FileError> {
    // It may be renamed between looking up and opening.
    for _ in 0..2 {
        let Some(path) = shared.pack_path(id) else {
            return Ok(None);
        };
        match File::open(&path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("open", &path)(error)),
        }
    }
    Ok(None)
}
