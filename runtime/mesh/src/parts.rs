//! The parts that a node has or is receiving: what is kept of them is bounded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use niphas_mesh_policy::{FileId, PART_SIZE, Part};
use serde::{Deserialize, Serialize};

use crate::arrival::{Arrival, End};

/// Parts that are kept at most, however small.
const MOST_PARTS: usize = 32_768;

/// Parts of files whose contents may change are fetched again after this time.
const FRESH: Duration = Duration::from_hours(1);

/// The parts of a node. They are files in a folder of their own.
#[derive(Debug)]
pub(crate) struct Parts {
    folder: PathBuf,
    /// Bytes that are kept at most, besides those that are arriving.
    most: u64,
    table: Mutex<Table>,
}

/// How much is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Parts, those that are arriving among them.
    pub parts: usize,
    /// Their bytes that are here.
    pub bytes: u64,
    /// Parts that are arriving.
    pub arriving: usize,
}

#[derive(Debug, Default)]
struct Table {
    parts: HashMap<Part, Arc<Arrival>>,
    /// Counts uses, and names files.
    steps: u64,
}

impl Parts {
    /// None yet: what an earlier process left in the folder is removed.
    pub(crate) fn new(folder: &Path, most: u64) -> io::Result<Self> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(folder)?,
        }
        Ok(Self {
            folder: folder.to_owned(),
            most,
            table: Mutex::default(),
        })
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part that is here or arriving.
    pub(crate) fn get(&self, part: Part) -> Option<Arc<Arrival>> {
        let table = &mut *self.table();
        table.steps += 1;
        let found = table.parts.get(&part)?;
        found.used.store(table.steps, Relaxed);
        Some(Arc::clone(found))
    }

    /// A part, and whether it is a new one, which the caller has to fetch.
    pub(crate) fn get_or_begin(&self, part: Part, may_change: bool) -> (Arc<Arrival>, bool) {
        let table = &mut *self.table();
        table.steps += 1;
        if let Some(found) = table.parts.get(&part)
            && !(may_change && found.began.elapsed() > FRESH)
        {
            found.used.store(table.steps, Relaxed);
            return (Arc::clone(found), false);
        }
        self.make_room(table);
        let path = self.folder.join(table.steps.to_string());
        let arrival = Arc::new(Arrival::new(part, path, table.steps));
        table.parts.insert(part, Arc::clone(&arrival));
        (arrival, true)
    }

    /// Forgets a part, unless another has taken its place.
    pub(crate) fn remove(&self, arrival: &Arc<Arrival>) {
        let table = &mut *self.table();
        let found = table.parts.get(&arrival.part);
        if found.is_some_and(|found| Arc::ptr_eq(found, arrival)) {
            table.parts.remove(&arrival.part);
        }
    }

    /// Forgets all parts of a file.
    pub(crate) fn remove_file(&self, file: FileId) {
        self.table().parts.retain(|part, _| part.file != file);
    }

    /// How much is here.
    pub(crate) fn kept(&self) -> Kept {
        let table = self.table();
        let states = table.parts.values().map(|arrival| arrival.state());
        let empty = Kept {
            parts: table.parts.len(),
            ..Kept::default()
        };
        states.fold(empty, |kept, state| Kept {
            bytes: kept.bytes + state.here,
            arriving: kept.arriving + usize::from(state.end.is_none()),
            ..kept
        })
    }

    /// Forgets what was used longest ago, down to nine tenths, if there is no room for another part. Those that read it read on.
    fn make_room(&self, table: &mut Table) {
        let weight = |arrival: &Arrival| match arrival.state().end {
            Some(_) => arrival.state().here,
            None => 0,
        };
        let mut bytes: u64 = table.parts.values().map(|arrival| weight(arrival)).sum();
        let mut count = table.parts.len();
        if bytes + PART_SIZE <= self.most && count < MOST_PARTS {
            return;
        }
        let ended = table
            .parts
            .values()
            .filter(|arrival| arrival.state().end.is_some());
        let mut ended: Vec<_> = ended
            .map(|arrival| (arrival.used.load(Relaxed), arrival.part, weight(arrival)))
            .collect();
        ended.sort_unstable_by_key(|(used, ..)| *used);
        for (_, part, weight) in ended {
            if bytes + PART_SIZE <= self.most / 10 * 9 && count < MOST_PARTS / 10 * 9 {
                return;
            }
            table.parts.remove(&part);
            bytes -= weight;
            count -= 1;
        }
    }
}

/// Ends a part as failed if the task that fetches it ends without a word.
pub(crate) struct Ending<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) arrival: &'a Arc<Arrival>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.arrival.end(End::Failed);
        if self.arrival.state().end != Some(End::Whole) {
            self.parts.remove(self.arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn part(index: u32) -> Part {
        let file = FileId::new("https://cache", "nar/x");
        Part { file, index }
    }

    async fn arrived(parts: &Parts, index: u32, bytes: usize) -> Arc<Arrival> {
        let (arrival, is_new) = parts.get_or_begin(part(index), false);
        assert!(is_new);
        let mut writer = arrival.create().await.unwrap();
        writer
            .append(&arrival, Bytes::from(vec![7; bytes]))
            .await
            .unwrap();
        arrival.end(End::Whole);
        arrival
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first_and_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::new(&folder.path().join("parts"), 4 * PART_SIZE).unwrap();
        let first = arrived(&parts, 0, PART_SIZE as usize).await;
        for index in 1..4 {
            arrived(&parts, index, PART_SIZE as usize).await;
        }
        assert!(parts.get(part(1)).is_some());
        let (_, is_new) = parts.get_or_begin(part(4), false);
        assert!(is_new);
        // Room for one more, and a tenth: the two that were not used since.
        let here = |index| parts.get(part(index)).is_some();
        assert_eq!([0, 1, 2, 3, 4].map(here), [false, true, false, true, true]);
        assert_eq!(first.read(0).await.unwrap()[0], 7);
        drop(first);
        let files = std::fs::read_dir(folder.path().join("parts")).unwrap();
        assert_eq!(files.count(), 2);
    }

    #[tokio::test]
    async fn a_part_is_read_while_it_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::new(&folder.path().join("parts"), PART_SIZE).unwrap();
        let (arrival, _) = parts.get_or_begin(part(0), false);
        let reader = Arc::clone(&arrival);
        let read = tokio::spawn(async move {
            let mut found = Vec::new();
            loop {
                let piece = reader.read(found.len() as u64).await?;
                if piece.is_empty() {
                    return io::Result::Ok(found);
                }
                found.extend_from_slice(&piece);
            }
        });
        let mut writer = arrival.create().await.unwrap();
        for piece in [&b"abc"[..], b"de"] {
            writer
                .append(&arrival, Bytes::from_static(piece))
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        assert!(!read.is_finished());
        arrival.end(End::Whole);
        assert_eq!(read.await.unwrap().unwrap(), b"abcde");
    }

    #[tokio::test]
    async fn a_part_whose_task_ends_is_failed_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts::new(&folder.path().join("parts"), PART_SIZE).unwrap();
        let (arrival, _) = parts.get_or_begin(part(0), false);
        drop(Ending {
            parts: &parts,
            arrival: &arrival,
        });
        assert_eq!(arrival.file_size().await, Err(End::Failed));
        assert!(arrival.read(0).await.is_err());
        assert!(parts.get(part(0)).is_none());
    }
}
