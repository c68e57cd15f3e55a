//! What a store knows of its packs without reading their records: its paths, and where contents lie.
//!
//! All of it is a cache of the records, in the folder `index`:
//!
//! | | |
//! |---|---|
//! | `<number>` | a [segment](crate::places) of the table of contents |
//! | `catalog` | what is known of each path, and which segments there are |
//!
//! The catalog is `niphasct`, the version (u32, little-endian) and 4 zero bytes; then frames, each the length of its value (u32), the first
//! 8 bytes of the BLAKE3 hash of the value, and the value: an [`Entry`] in postcard. Frames are only added, until most of them tell of
//! paths that are gone. What a crash left behind the last good frame does not count.
//!
//! A path is in it only once its contents are in a segment that it names. So a path that is not in it, or a segment that is not whole, is
//! all that has to be looked for when a store is opened: those records are read, and only those.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::error::{FileError, failed};
use crate::index::Within;
use crate::layout::{Layout, PackId};
use crate::places::{MAX_RECENT, Places, Segment};
use crate::record::{RecordError, Tree};
use crate::store::lock;

const NAME: &str = "catalog";
/// What is being made.
const MADE: &str = "new";
const MAGIC: &[u8; 8] = b"niphasct";
const VERSION: u32 = 1;
const HEAD: usize = 16;
const FRAME_HEAD: usize = 12;
/// Longest value. Paths with a longer one are read from their records each time.
const MAX_VALUE: usize = 16 << 20;
/// As many frames more than there are packs are not worth writing the catalog again.
const SPARE: u64 = 1024;

/// What a frame tells.
#[derive(Debug, Serialize, Deserialize)]
enum Entry<'a> {
    /// These segments there are from now on, in the order of their age.
    Segments(Vec<PackId>),
    /// A path.
    #[serde(borrow)]
    Path(Known<'a>),
}

/// What is known of a path.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Known<'a> {
    pub(crate) id: PackId,
    pub(crate) seal: Seal,
    /// Bytes of contents.
    pub(crate) data: u64,
    /// The packs that its record refers to.
    pub(crate) packs: Vec<PackId>,
    pub(crate) narinfo: &'a str,
}

/// By what a path in a pack is known to be the one that was read: see [`Catalog::forget_gone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seal {
    /// It has a pack of its own, which has as many bytes.
    File(u64),
    /// It is in a common pack, in a slot with this checksum.
    Slot(Within, [u8; 32]),
}

/// The catalog and the table of contents of a store that is open.
#[derive(Debug)]
pub(crate) struct Catalog {
    folder: PathBuf,
    places: RwLock<Places>,
    /// Values of paths whose contents are not in a segment yet.
    waiting: Mutex<Vec<Vec<u8>>>,
    /// Held while it is saved. None if the store is open for reading only.
    log: Mutex<Option<Log>>,
}

impl Catalog {
    /// Reads the catalog and takes each path in it, if all the segments that it names are there. If the store is open for reading
    /// only nothing is changed, and the table of contents is left alone.
    ///
    /// It is a cache: what can't be read of it is made again, and a store that can't keep it does without.
    pub(crate) fn open(layout: &Layout, may_write: bool, mut take: impl FnMut(&Known<'_>)) -> Self {
        let folder = layout.index();
        let path = folder.join(NAME);
        let failed = |error| {
            tracing::warn!(error = %nix_formats::chain(&error), "the index of the store can't be used as it is");
        };
        let mut found = Found::default();
        let read = read_frames(&path, u64::MAX, |entry, _| {
            found.frames += 1;
            if let Entry::Segments(segments) = entry {
                found.segments = segments;
            }
            Ok(())
        });
        found.length = read.map_err(failed).unwrap_or(0);
        let mut segments = Vec::new();
        if may_write {
            let numbers = found.segments.iter();
            let opened = numbers.map(|&number| {
                let segment = Segment::open(folder.join(number.to_string()), number);
                segment.map_err(failed).ok().flatten()
            });
            let whole: Option<Vec<Segment>> = opened.collect();
            if let Some(whole) = whole {
                segments = whole;
            } else {
                tracing::warn!(store = %layout.root().display(), "the index is damaged; it is made again from the records of all packs");
                found = Found::default();
            }
        }
        let taken = read_frames(&path, found.length, |entry, _| {
            if let Entry::Path(known) = entry {
                take(&known);
            }
            Ok(())
        });
        let _ = taken.map_err(failed);
        let log = may_write.then(|| Log::open(&folder, &found));
        let log = log.transpose().map_err(failed).unwrap_or(None);
        Self {
            folder,
            places: RwLock::new(Places::of_segments(segments)),
            waiting: Mutex::default(),
            log: Mutex::new(log),
        }
    }

    pub(crate) fn places(&self) -> RwLockReadGuard<'_, Places> {
        // Nothing panics half-way through a change.
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_mut(&self) -> RwLockWriteGuard<'_, Places> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it written again without what is gone when it is saved the next time. After a power cut the store may use numbers again that
    /// it took before, of packs that are gone.
    pub(crate) fn forget_gone(&self) {
        if let Some(log) = &mut *lock(&self.log) {
            log.is_stale = true;
        }
    }

    /// Adds contents of packs that the index knows of already. Gives whether enough is in memory that it should be
    /// [saved](Self::save).
    pub(crate) fn add_contents(&self, contents: Places) -> bool {
        let mut places = self.places_mut();
        places.absorb(contents);
        places.is_large()
    }

    /// Adds a path and what is in it. Calls `save` whenever enough is in memory that it should be.
    pub(crate) fn learn(
        &self,
        known: Known<'_>,
        tree: &Tree,
        save: impl Fn(),
    ) -> Result<(), RecordError> {
        let mut contents = Places::default();
        for file in tree.extents() {
            let file = file?;
            contents.insert(file.hash, file.place);
            if contents.unwritten() >= MAX_RECENT
                && self.add_contents(std::mem::take(&mut contents))
            {
                save();
            }
        }
        if self.add_contents(contents) {
            save();
        }
        self.add(known);
        Ok(())
    }

    /// Adds a path, whose contents were added before.
    pub(crate) fn add(&self, known: Known<'_>) {
        lock(&self.waiting).push(encode(&Entry::Path(known)));
    }

    /// Writes what is in memory only, and the catalog again if most of it is gone. `stays` tells of packs that are there; there are
    /// about as many as `packs`.
    pub(crate) fn save(&self, packs: u64, stays: impl Fn(PackId) -> bool) -> Result<(), FileError> {
        self.write(&stays)?;
        let mut log = lock(&self.log);
        if let Some(log) = &mut *log
            && (log.is_stale || log.frames > 2 * packs + SPARE)
        {
            *log = self.compacted(log, stays)?;
        }
        Ok(())
    }

    /// Writes what is in memory only, but places in packs that do not stay.
    pub(crate) fn write(&self, stays: impl Fn(PackId) -> bool) -> Result<(), FileError> {
        let mut log = lock(&self.log);
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let Some(log) = &mut *log else {
            // It must not grow for ever, either.
            self.places_mut().forget();
            return Ok(());
        };
        let saved = self.save_places(log, &stays);
        if saved.is_err() {
            // Paths that wait are not told of, so their contents are looked for in their records the next time.
            self.places_mut().forget();
        }
        saved?;
        for value in &waiting {
            log.append(value)?;
        }
        log.flush()
    }

    fn save_places(&self, log: &mut Log, stays: impl Fn(PackId) -> bool) -> Result<(), FileError> {
        let merge = self.places_mut().begin_save();
        if merge.is_empty() {
            return Ok(());
        }
        let number = PackId(log.next);
        log.next += 1;
        let made = self.folder.join(MADE);
        remove(&made)?;
        let mut merged = merge.run(&made, stays)?;
        let path = self.folder.join(number.to_string());
        let placed = merged.sync().and_then(|()| merged.rename(path, number));
        if placed.is_err() {
            remove(&made)?;
        }
        placed?;
        crate::sync::folder(&self.folder)?;
        let numbers = {
            let mut places = self.places_mut();
            places.end_merge(&merge, merged);
            places.numbers()
        };
        log.append(&encode(&Entry::Segments(numbers)))?;
        // Those that it does not name any more may go only then.
        log.sync()?;
        let mut old = merge.segments.iter().filter(|old| old.number.is_some());
        old.try_for_each(|old| remove(old.path()))
    }

    /// The catalog without what is gone, in the place of the one that there is.
    fn compacted(&self, log: &Log, stays: impl Fn(PackId) -> bool) -> Result<Log, FileError> {
        let made = self.folder.join(MADE);
        remove(&made)?;
        let mut new = Log::create(made.clone(), log.next)?;
        new.append(&encode(&Entry::Segments(self.places().numbers())))?;
        read_frames(&log.path, u64::MAX, |entry, value| match entry {
            Entry::Path(known) if stays(known.id) => new.append(value),
            _ => Ok(()),
        })?;
        new.sync()?;
        fs::rename(&made, &log.path).map_err(failed("create", &log.path))?;
        new.path.clone_from(&log.path);
        Ok(new)
    }
}

/// What stands in a catalog.
#[derive(Debug, Default)]
struct Found {
    segments: Vec<PackId>,
    frames: u64,
    /// Where the last good frame ends; 0 if there is no catalog.
    length: u64,
}

/// The file, as it is added to.
#[derive(Debug)]
struct Log {
    file: BufWriter<File>,
    path: PathBuf,
    frames: u64,
    /// Whether it must be written again without what is gone.
    is_stale: bool,
    /// The number of the next segment.
    next: u64,
}

impl Log {
    /// Opens the catalog to add to what was found, and removes all that it does not name.
    fn open(folder: &Path, found: &Found) -> Result<Self, FileError> {
        let mut next = 0;
        for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
            let entry = entry.map_err(failed("read", folder))?;
            let number = entry.file_name().to_str().and_then(PackId::parse);
            next = next.max(number.map_or(0, |number| number.0.saturating_add(1)));
            let is_named = number.is_some_and(|number| found.segments.contains(&number));
            if !is_named && entry.file_name() != NAME {
                remove(&entry.path())?;
            }
        }
        let path = folder.join(NAME);
        if found.length == 0 {
            remove(&path)?;
            return Self::create(path, next);
        }
        let opened = File::options().write(true).open(&path);
        let file = opened.and_then(|mut file| {
            file.set_len(found.length)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        Ok(Self {
            file: BufWriter::new(file.map_err(failed("open", &path))?),
            path,
            frames: found.frames,
            is_stale: false,
            next,
        })
    }

    fn create(path: PathBuf, next: u64) -> Result<Self, FileError> {
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        let mut log = Self {
            file: BufWriter::new(file),
            path,
            frames: 0,
            is_stale: false,
            next,
        };
        let head = log.file.write_all(&head());
        head.map_err(failed("write", &log.path))?;
        Ok(log)
    }

    fn append(&mut self, value: &[u8]) -> Result<(), FileError> {
        if value.len() > MAX_VALUE {
            return Ok(());
        }
        self.frames += 1;
        let length = (value.len() as u32).to_le_bytes();
        let written = self.file.write_all(&length);
        let written = written.and_then(|()| self.file.write_all(&checksum(value)));
        let written = written.and_then(|()| self.file.write_all(value));
        written.map_err(failed("write", &self.path))
    }

    fn flush(&mut self) -> Result<(), FileError> {
        self.file.flush().map_err(failed("write", &self.path))
    }

    /// Waits until it is on disk.
    fn sync(&mut self) -> Result<(), FileError> {
        self.flush()?;
        let synced = self.file.get_ref().sync_data();
        synced.map_err(failed("write", &self.path))
    }
}

/// Reads the frames of a catalog up to byte `end`, or to the last that is good. Gives where that ends; 0 if there is no catalog.
fn read_frames(
    path: &Path,
    end: u64,
    mut take: impl FnMut(Entry<'_>, &[u8]) -> Result<(), FileError>,
) -> Result<u64, FileError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file.map_err(failed("open", path))?,
    };
    let mut file = BufReader::with_capacity(64 << 10, file);
    // Whether there are as many bytes.
    let mut read = |bytes: &mut [u8]| match file.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true).map_err(failed("read", path)),
    };
    let mut found = [0; HEAD];
    if end == 0 || !read(&mut found)? || found != head() {
        return Ok(0);
    }
    let mut at = HEAD as u64;
    let (mut frame, mut value) = ([0; FRAME_HEAD], Vec::new());
    while at < end && read(&mut frame)? {
        let ([length, sum @ ..], _) = frame.as_chunks::<4>() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_VALUE {
            break;
        }
        value.resize(length, 0);
        if !read(&mut value)? || checksum(&value) != *sum.as_flattened() {
            break;
        }
        let Ok(entry) = postcard::from_bytes(&value) else {
            break;
        };
        take(entry, &value)?;
        at += (FRAME_HEAD + length) as u64;
    }
    Ok(at)
}

fn encode(entry: &Entry<'_>) -> Vec<u8> {
    postcard::to_stdvec(entry).expect("values of sized types are written to memory")
}

fn head() -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head
}

fn checksum(value: &[u8]) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&blake3::hash(value).as_bytes()[..8]);
    start
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
