//! The files of the evaluation cache: written in one step, checked when read, and not too many of them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::digest;
use super::record::Read;

/// What a file begins with. The digest of the rest follows.
const MAGIC: &[u8] = b"niphas evaluation 1\n";
/// A larger file is neither written nor read.
const MOST_BYTES: u64 = 64 << 20;
/// All files together are kept below this: those that were not used for the longest time go.
const MOST_BYTES_TOGETHER: u64 = 256 << 20;

/// What a file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Everything that was read, once.
    pub(super) reads: Vec<Read>,
    /// Oldest first.
    pub(super) sessions: Vec<StoredSession>,
}

/// One evaluation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredSession {
    /// What it read, in that order: numbers of [`Stored::reads`].
    pub(super) reads: Vec<u32>,
    /// What came of it, in that order.
    pub(super) answers: Vec<Answer>,
}

/// What came of an evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) name: String,
    /// This many of the session's reads came before it was there.
    pub(super) reads: u32,
    pub(super) data: Vec<u8>,
}

/// What a file holds, if it is there and whole.
pub(super) fn read(path: &Path) -> Option<Stored> {
    if fs::metadata(path).ok()?.len() > MOST_BYTES {
        return None;
    }
    let bytes = regular_file::read(path).ok()?;
    let (expected, payload) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    if digest(&[payload]) != *expected {
        return None;
    }
    let stored: Stored = postcard::from_bytes(payload).ok()?;
    if !stored.is_sound() {
        return None;
    }
    // What is used is not the next to go.
    if let Ok(file) = regular_file::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
    Some(stored)
}

impl Stored {
    /// All numbers are of something.
    fn is_sound(&self) -> bool {
        self.sessions.iter().all(|session| {
            let in_order = session.answers.is_sorted_by_key(|answer| answer.reads);
            let last = session
                .answers
                .last()
                .map_or(0, |answer| answer.reads as usize);
            let known = |read: &u32| (*read as usize) < self.reads.len();
            in_order && last <= session.reads.len() && session.reads.iter().all(known)
        })
    }
}

/// Writes a file. A concurrent reader sees the old one or the new one.
pub(super) fn write(path: &Path, stored: &Stored) -> io::Result<()> {
    let payload = postcard::to_stdvec(stored).map_err(io::Error::other)?;
    if payload.len() as u64 + 64 > MOST_BYTES {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    #[expect(clippy::disallowed_methods, reason = "the cache's own folder")]
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&digest(&[&payload]))?;
    file.write_all(&payload)?;
    file.persist(path).map_err(|error| error.error)?;
    make_room(folder, path, MOST_BYTES_TOGETHER)
}

/// Removes the files that were not used for the longest time, but not `newest`, until all together are small enough.
fn make_room(folder: &Path, newest: &Path, most: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another run may have removed it.
        if let Ok(about) = entry.metadata() {
            files.push((
                about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                about.len(),
                entry.path(),
            ));
        }
    }
    let mut together: u64 = files.iter().map(|(_, length, _)| length).sum();
    files.sort_unstable();
    for (_, length, path) in files {
        if together <= most {
            break;
        }
        if path != newest {
            let _ = fs::remove_file(path);
            together -= length;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn stored(data: &str) -> Stored {
        let answer = Answer {
            name: "a".to_owned(),
            reads: 0,
            data: data.as_bytes().to_vec(),
        };
        let session = StoredSession {
            reads: Vec::new(),
            answers: vec![answer],
        };
        Stored {
            reads: Vec::new(),
            sessions: vec![session],
        }
    }

    #[test]
    fn what_is_not_whole_counts_as_nothing() -> Result {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("below/file");
        write(&path, &stored("data"))?;
        let whole = fs::read(&path)?;
        assert_eq!(read(&path).map(|stored| stored.sessions.len()), Some(1));
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length])?;
            assert!(read(&path).is_none(), "{length} bytes of {}", whole.len());
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed)?;
            assert!(read(&path).is_none(), "byte {place} changed");
        }
        Ok(())
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() -> Result {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        for (age, name) in [(3, "oldest"), (2, "older"), (1, "newest")] {
            write(&path(name), &stored(&"x".repeat(1000)))?;
            let time = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(path(name))?.set_modified(time)?;
        }
        assert!(read(&path("oldest")).is_some());
        let length = fs::metadata(path("newest"))?.len();
        make_room(folder.path(), &path("newest"), 2 * length)?;
        let left = ["oldest", "older", "newest"].map(|name| path(name).exists());
        assert_eq!(left, [true, false, true]);
        Ok(())
    }
}
