//! A file of contents and their places, sorted by hash, that is looked into without being read.
//!
//! | | |
//! |---|---|
//! | pages of 4096 bytes | 93 entries of 44 bytes: the BLAKE3 hash, the pack (u64, little-endian like all numbers here), the block (u32) |
//! | 8 bytes for each `stride` pages | the first 8 bytes of the first hash in the first of them |
//! | the filter | one bit for each of three numbers below its length in bits that every hash in the file has |
//! | the last 64 bytes | `niphasix`, the version (u32), the stride (u32), how many entries (u64), how long the filter is (u64), and the BLAKE3 hash of all that comes after the pages but itself |
//!
//! In memory are the first hashes and the filter: at most 1 MiB and 8 MiB, however many entries there are. Entries have no checksum of
//! their own, because contents are read before they are referred to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Content;
use crate::error::{FileError, failed};
use crate::layout::PackId;
use crate::record::{ContentHash, Place};

const MAGIC: &[u8; 8] = b"niphasix";
const VERSION: u32 = 1;
const PAGE: usize = 4096;
const ENTRY: usize = 44;
const PER_PAGE: u64 = (PAGE / ENTRY) as u64;
const TRAILER: usize = 64;
const TRAILER_HEAD: usize = 32;
/// First hashes that are kept.
const MAX_FIRSTS: u64 = 1 << 17;
/// Bytes of a filter, a power of two like its length. A large one for 10 million entries is wrong for one hash in 20.
const MAX_FILTER: u64 = 8 << 20;
const MIN_FILTER: u64 = 64;

/// A segment that is open. Its file goes with it if it has no name.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its number, if it is one of the store's.
    pub(crate) number: Option<PackId>,
    file: File,
    path: PathBuf,
    entries: u64,
    stride: u64,
    firsts: Vec<u64>,
    filter: Filter,
}

impl Segment {
    /// Opens one of the store's. Nothing if it is not whole.
    pub(crate) fn open(path: PathBuf, number: PackId) -> Result<Option<Self>, FileError> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed("open", &path))?,
        };
        let size = file.metadata().map_err(failed("read", &path))?.len();
        let read = |length: u64, offset| {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            let read = file.read_exact_at(&mut bytes, offset);
            read.map(|()| bytes).map_err(failed("read", &path))
        };
        let Some(end) = size.checked_sub(TRAILER as u64) else {
            return Ok(None);
        };
        let trailer = read(TRAILER as u64, end)?;
        let Some(shape) = Shape::parse(&trailer, end) else {
            return Ok(None);
        };
        let firsts = read(shape.firsts() * 8, shape.pages() * PAGE as u64)?;
        let filter = read(shape.filter, end - shape.filter)?;
        if checksum(&firsts, &filter, &trailer[..TRAILER_HEAD]) != trailer[TRAILER_HEAD..] {
            return Ok(None);
        }
        let (firsts, _) = firsts.as_chunks();
        Ok(Some(Self {
            number: Some(number),
            file,
            path,
            entries: shape.entries,
            stride: shape.stride,
            firsts: firsts
                .iter()
                .map(|first| u64::from_le_bytes(*first))
                .collect(),
            filter: Filter(filter),
        }))
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of memory that it takes.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.firsts.len() * 8 + self.filter.0.len()
    }

    /// Where it says that contents are.
    pub(crate) fn find(&self, hash: &ContentHash) -> Result<Option<Place>, FileError> {
        if !self.filter.has(hash) {
            return Ok(None);
        }
        let key = first(hash);
        // Those before may end with hashes that start alike.
        let before = self.firsts.partition_point(|&first| first < key);
        let groups = (before.saturating_sub(1)..self.firsts.len()).map_while(|group| {
            let is_near = self.firsts.get(group).is_some_and(|&first| first <= key);
            is_near.then_some(group as u64)
        });
        let mut page = [0; PAGE];
        for group in groups {
            for number in group * self.stride..(group + 1) * self.stride {
                let first = number * PER_PAGE;
                if first >= self.entries {
                    break;
                }
                self.read(&mut page, number)?;
                let count = PER_PAGE.min(self.entries - first) as usize;
                let entries = &page.as_chunks::<ENTRY>().0[..count];
                let found = entries.binary_search_by(|entry| entry[..32].cmp(hash));
                if let Ok(found) = found {
                    return Ok(Some(parse(&entries[found]).place));
                }
            }
        }
        Ok(None)
    }

    fn read(&self, bytes: &mut [u8], page: u64) -> Result<(), FileError> {
        let read = self.file.read_exact_at(bytes, page * PAGE as u64);
        read.map_err(failed("read", &self.path))
    }

    /// All entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<Content, FileError>> {
        const PAGES: u64 = 64;
        let mut bytes = Vec::new();
        let mut next = 0;
        std::iter::from_fn(move || {
            if next >= self.entries {
                return None;
            }
            let (page, entry) = (next / PER_PAGE, (next % PER_PAGE) as usize);
            if next.is_multiple_of(PER_PAGE * PAGES) {
                let count = PAGES.min(self.entries.div_ceil(PER_PAGE) - page);
                bytes.resize(count as usize * PAGE, 0);
                if let Err(error) = self.read(&mut bytes, page) {
                    next = self.entries;
                    return Some(Err(error));
                }
            }
            next += 1;
            let start = (page % PAGES) as usize * PAGE + entry * ENTRY;
            let entry = bytes[start..].first_chunk();
            entry.map(|entry| Ok(parse(entry)))
        })
    }
}

/// What a hash starts with, as a number that is in the hashes' order.
fn first(hash: &ContentHash) -> u64 {
    super::word(hash, 0).swap_bytes()
}

fn parse(entry: &[u8; ENTRY]) -> Content {
    let mut hash = [0; 32];
    hash.copy_from_slice(&entry[..32]);
    let [pack, block] = [&entry[32..40], &entry[40..]].map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    });
    let place = Place {
        pack: PackId(pack),
        block: block as u32,
    };
    Content { hash, place }
}

/// What the trailer says.
struct Shape {
    stride: u64,
    entries: u64,
    filter: u64,
}

impl Shape {
    /// That of a segment of `most` entries at most.
    fn for_entries(most: u64) -> Self {
        Self {
            stride: most.div_ceil(PER_PAGE).div_ceil(MAX_FIRSTS).max(1),
            entries: most,
            filter: most.next_power_of_two().clamp(MIN_FILTER, MAX_FILTER),
        }
    }

    /// `end` is where the trailer starts.
    fn parse(trailer: &[u8], end: u64) -> Option<Self> {
        let shape = Self {
            stride: super::word(trailer, 8) >> 32,
            entries: super::word(trailer, 16),
            filter: super::word(trailer, 24),
        };
        let is_known = trailer.starts_with(MAGIC) && super::word(trailer, 8) as u32 == VERSION;
        let is_bounded = shape.stride > 0
            && shape.entries <= end / ENTRY as u64
            && shape.firsts() <= MAX_FIRSTS
            && shape.filter.is_power_of_two()
            && (MIN_FILTER..=MAX_FILTER).contains(&shape.filter);
        let length = || shape.pages() * PAGE as u64 + shape.firsts() * 8 + shape.filter;
        (is_known && is_bounded && length() == end).then_some(shape)
    }

    fn pages(&self) -> u64 {
        self.entries.div_ceil(PER_PAGE)
    }

    fn firsts(&self) -> u64 {
        self.pages().div_ceil(self.stride)
    }

    fn trailer_head(&self) -> [u8; TRAILER_HEAD] {
        let mut head = [0; TRAILER_HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&(self.stride as u32).to_le_bytes());
        head[16..24].copy_from_slice(&self.entries.to_le_bytes());
        head[24..].copy_from_slice(&self.filter.to_le_bytes());
        head
    }
}

fn checksum(firsts: &[u8], filter: &[u8], trailer_head: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let hasher = hasher.update(firsts).update(filter).update(trailer_head);
    *hasher.finalize().as_bytes()
}

/// Tells of most hashes that are not there that they are not. Its length is a power of two.
#[derive(Debug)]
struct Filter(Vec<u8>);

impl Filter {
    /// The hash is three numbers already.
    fn bits(&self, hash: &ContentHash) -> [(usize, u8); 3] {
        let mask = self.0.len() * 8 - 1;
        [8, 16, 24].map(|at| {
            let bit = super::word(hash, at) as usize & mask;
            (bit / 8, 1 << (bit % 8))
        })
    }

    fn add(&mut self, hash: &ContentHash) {
        for (byte, bit) in self.bits(hash) {
            self.0[byte] |= bit;
        }
    }

    fn has(&self, hash: &ContentHash) -> bool {
        self.bits(hash)
            .iter()
            .all(|&(byte, bit)| self.0[byte] & bit != 0)
    }
}

/// Contents that are sorted by hash.
pub(super) type Sorted<'a> = Box<dyn Iterator<Item = Result<Content, FileError>> + 'a>;

/// Makes one segment of several, those whose places count most first. What does not stay is left out. The file at `path` is removed
/// if it can't be written.
pub(super) fn merge(
    sources: Vec<Sorted<'_>>,
    most: u64,
    path: &Path,
    stays: impl Fn(PackId) -> bool,
) -> Result<Segment, FileError> {
    let created = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path);
    let file = created.map_err(failed("create", path))?;
    let merged = write(sources, most, path, file, stays);
    if merged.is_err() {
        let _ = std::fs::remove_file(path);
    }
    merged
}

fn write(
    mut sources: Vec<Sorted<'_>>,
    most: u64,
    path: &Path,
    file: File,
    stays: impl Fn(PackId) -> bool,
) -> Result<Segment, FileError> {
    let mut heads = BinaryHeap::new();
    for (number, source) in sources.iter_mut().enumerate() {
        if let Some(content) = source.next().transpose()? {
            heads.push(Reverse((content.hash, number, content.place)));
        }
    }
    let mut shape = Shape::for_entries(most);
    let mut filter = Filter(vec![0; shape.filter as usize]);
    let mut firsts = Vec::new();
    let mut out = BufWriter::with_capacity(64 * PAGE, file);
    let mut count = 0_u64;
    let mut last: Option<ContentHash> = None;
    while let Some(Reverse((hash, number, place))) = heads.pop() {
        if let Some(next) = sources[number].next().transpose()? {
            heads.push(Reverse((next.hash, number, next.place)));
        }
        if last == Some(hash) || !stays(place.pack) {
            continue;
        }
        last = Some(hash);
        if count.is_multiple_of(PER_PAGE) {
            pad(&mut out, count).map_err(failed("write", path))?;
            if (count / PER_PAGE).is_multiple_of(shape.stride) {
                firsts.push(first(&hash));
            }
        }
        filter.add(&hash);
        let mut entry = [0; ENTRY];
        entry[..32].copy_from_slice(&hash);
        entry[32..40].copy_from_slice(&place.pack.0.to_le_bytes());
        entry[40..].copy_from_slice(&place.block.to_le_bytes());
        out.write_all(&entry).map_err(failed("write", path))?;
        count += 1;
    }
    shape.entries = count;
    let bytes: Vec<u8> = firsts
        .iter()
        .flat_map(|first| first.to_le_bytes())
        .collect();
    let head = shape.trailer_head();
    let last_page = pad_last(&mut out, count);
    let written = last_page
        .and_then(|()| out.write_all(&bytes))
        .and_then(|()| out.write_all(&filter.0))
        .and_then(|()| out.write_all(&head))
        .and_then(|()| out.write_all(&checksum(&bytes, &filter.0, &head)));
    let file = written.and_then(|()| out.into_inner().map_err(io::IntoInnerError::into_error));
    Ok(Segment {
        number: None,
        file: file.map_err(failed("write", path))?,
        path: path.to_owned(),
        entries: count,
        stride: shape.stride,
        firsts,
        filter,
    })
}

const PADDING: usize = PAGE - PER_PAGE as usize * ENTRY;

/// Ends the page before entry number `count`, which is the first of a page.
fn pad(out: &mut impl Write, count: u64) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    out.write_all(&[0; PADDING])
}

/// Ends the last page, of `count` entries in all.
fn pad_last(out: &mut impl Write, count: u64) -> io::Result<()> {
    let in_page = match count % PER_PAGE {
        0 if count == 0 => return Ok(()),
        0 => PER_PAGE,
        rest => rest,
    };
    out.write_all(&[0; PAGE][in_page as usize * ENTRY..])
}

impl Segment {
    /// Waits until it is on disk.
    pub(crate) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(failed("write", &self.path))
    }

    /// Makes it one of the store's.
    pub(crate) fn rename(&mut self, path: PathBuf, number: PackId) -> Result<(), FileError> {
        std::fs::rename(&self.path, &path).map_err(failed("create", &path))?;
        self.path = path;
        self.number = Some(number);
        Ok(())
    }

    /// Takes its name away: its file goes with it.
    pub(super) fn unname(&self) -> Result<(), FileError> {
        std::fs::remove_file(&self.path).map_err(failed("remove", &self.path))
    }
}
