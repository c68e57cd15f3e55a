//! Packs that many small store paths have in common: their contents and their records.
//!
//! A file for each path is what small paths cost: to make it, to rename it, to sync it, and to open it whenever a closure is
//! mounted. So paths with a small NAR share one. In `packs/<id>.common`:
//!
//! | | |
//! |---|---|
//! | bytes 0–4095 | 64 slots of 64 bytes |
//! | from the next multiple of 512, for each path | contents of its files, as in a [pack](crate::pack) of one path; then its [record](crate::record) |
//!
//! The first slot is `niphascm`, the version (u32, little-endian like all numbers here), and zeros. Each other one is zeros, or
//! tells of a path: its number (u64), where its record starts (u64), how long that is (u32), 4 zero bytes, 8 more, and the
//! BLAKE3 hash of the record and of the first 24 bytes of the slot. A path is there once its slot is written, which comes last,
//! and is gone once the slot is zeros.
//!
//! Every path has a number of its own, as if it had a pack of its own. A common pack is full after 63 paths; and it is written
//! to no more once it gets marked as being on disk, or once garbage is collected.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nix_formats::{NarInfo, StoreDir};

use crate::BLOCK;
use crate::error::{FileError, failed};
use crate::index::{Pack, Within};
use crate::layout::{PackId, PackName};
use crate::leases::Leases;
use crate::pack::{ReadError, SmallPath, VERSION};
use crate::places::Places;
use crate::record::{Place, Record, RecordError};
use crate::store::{Shared, lock};

const MAGIC: &[u8; 8] = b"niphascm";
const SLOT_LEN: u64 = 64;
const SLOT_HEAD_LEN: usize = 24;
const CHECKSUM_AT: usize = 32;
/// With the first, which tells of no path.
const SLOTS: u32 = 64;
/// All slots.
const HEAD_LEN: u64 = SLOT_LEN * SLOTS as u64;

/// The length of its file from the start. Where nothing was written it is a hole.
const LENGTH: u64 = 16 << 20;

/// The common pack that is written to, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Common(Mutex<Option<Open>>);

/// It counts as one lease of its pack.
#[derive(Debug)]
struct Open {
    id: PackId,
    file: File,
    path: PathBuf,
    written: u64,
    slots: u32,
}

/// A path that is in a common pack now, but not in the index.
#[derive(Debug)]
pub(crate) struct Put<K> {
    pub(crate) within: Within,
    /// The checksum in its slot.
    pub(crate) checksum: [u8; 32],
    /// Contents that were not stored before, and where they are.
    pub(crate) contents: Places,
    /// Packs that its record refers to.
    pub(crate) refers: Vec<PackId>,
    /// Keeps that one.
    pub(crate) lease: Leases,
    /// Keeps the others.
    pub(crate) known: K,
}

impl Shared {
    /// Writes a small path, which was verified, into a common pack.
    pub(crate) fn put_in_common<K>(
        self: &Arc<Self>,
        mut small: SmallPath<K>,
        info: &NarInfo,
    ) -> Result<Put<K>, FileError> {
        let mut bytes = std::mem::take(&mut small.contents);
        let contents_len = bytes.len();
        let mut common = lock(&self.common.0);
        // A record tells where its contents are, and so is made again for another pack.
        loop {
            let open = match &mut *common {
                Some(open) => open,
                none => none.insert(self.begin()?),
            };
            let start = Place {
                pack: open.id,
                block: (open.written / BLOCK) as u32,
            };
            let record = small.record.clone().moved(start);
            let refers = record.packs().to_vec();
            bytes.truncate(contents_len);
            bytes.extend_from_slice(&record.finish(&self.options.store_dir, info));
            if open.slots < SLOTS && open.written + bytes.len() as u64 <= LENGTH {
                return self.put(open, small, &bytes, contents_len, refers);
            }
            if open.slots == 1 {
                let error = io::Error::from(io::ErrorKind::FileTooLarge);
                return Err(failed("write", &open.path)(error));
            }
            self.end(common.take());
        }
    }

    /// `bytes` are the contents, of that length, and the record.
    fn put<K>(
        self: &Arc<Self>,
        open: &mut Open,
        small: SmallPath<K>,
        bytes: &[u8],
        contents_len: usize,
        refers: Vec<PackId>,
    ) -> Result<Put<K>, FileError> {
        let (start, number) = (open.written, open.slots);
        let record = start + contents_len as u64;
        // What is not written as a whole is not written over, either.
        open.written = (start + bytes.len() as u64).next_multiple_of(BLOCK);
        open.slots += 1;
        let slot = slot(small.id, record, &bytes[contents_len..]);
        let written = open.file.write_all_at(bytes, start);
        let written = written.and_then(|()| open.file.write_all_at(&slot, slot_offset(number)));
        let written = written.and_then(|()| open.file.metadata());
        let metadata = written.map_err(failed("write", &open.path))?;

        let pack = open.id;
        let mut index = self.index_mut();
        index.set_disk_bytes(pack, metadata.blocks() * 512);
        if let Some(pack) = index.pack_mut(pack) {
            pack.leases += 1;
        }
        drop(index);
        let first = (start / BLOCK) as u32;
        let mut contents = Places::default();
        for own in small.own.in_memory() {
            let block = first + own.place.block;
            contents.insert(own.hash, Place { pack, block });
        }
        let mut checksum = [0; 32];
        checksum.copy_from_slice(&slot[CHECKSUM_AT..]);
        Ok(Put {
            within: Within { pack, slot: number },
            checksum,
            contents,
            refers,
            lease: Leases::of_leased(Arc::clone(self), pack),
            known: small.known,
        })
    }

    fn begin(&self) -> Result<Open, FileError> {
        let id = self.next_pack()?;
        let name = PackName::common(id);
        let path = self.layout.pack(&name);
        let created = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path);
        let file = created.map_err(failed("create", &path))?;
        let made = file
            .set_len(LENGTH)
            .and_then(|()| file.write_all_at(&head(), 0));
        if let Err(error) = made {
            let _ = std::fs::remove_file(&path);
            return Err(failed("create", &path)(error));
        }
        let mut pack = Pack::new(name, None);
        pack.data = LENGTH;
        pack.leases = 1;
        self.index_mut().insert(pack);
        Ok(Open {
            id,
            file,
            path,
            written: HEAD_LEN,
            slots: 1,
        })
    }

    /// Nothing is written any more to the common pack that there is, if it is among `which`.
    pub(crate) fn end_common(&self, which: impl Fn(PackId) -> bool) {
        let mut common = lock(&self.common.0);
        if common.as_ref().is_some_and(|open| which(open.id)) {
            self.end(common.take());
        }
    }

    fn end(&self, open: Option<Open>) {
        if let Some(open) = open
            && let Some(pack) = self.index_mut().pack_mut(open.id)
        {
            pack.leases -= 1;
        }
    }
}

/// What a slot tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    /// The number of the path.
    pub(crate) id: PackId,
    offset: u64,
    length: u32,
    head: [u8; SLOT_HEAD_LEN],
    checksum: [u8; 32],
}

impl Slot {
    /// What tells it from others.
    pub(crate) fn checksum(&self) -> [u8; 32] {
        self.checksum
    }

    /// Where its record is, from the first byte to the one after the last.
    pub(crate) fn record(&self) -> (u64, u64) {
        let end = self.offset.saturating_add(u64::from(self.length));
        (self.offset, end)
    }

    /// Nothing if it is empty.
    fn parse(number: u32, bytes: &[u8; SLOT_LEN as usize]) -> Option<Self> {
        let word = |at: usize| {
            let bytes: [u8; 8] = bytes[at..at + 8].try_into().unwrap_or_default();
            u64::from_le_bytes(bytes)
        };
        if bytes.iter().all(|&byte| byte == 0) {
            return None;
        }
        Some(Self {
            number,
            id: PackId(word(0)),
            offset: word(8),
            length: word(16) as u32,
            head: bytes[..SLOT_HEAD_LEN].try_into().unwrap_or_default(),
            checksum: bytes[CHECKSUM_AT..].try_into().unwrap_or_default(),
        })
    }

    /// Reads the record that it tells of.
    pub(crate) fn read(
        &self,
        file: &File,
        path: &Path,
        store_dir: &StoreDir,
    ) -> Result<Record, ReadError> {
        let wrong = |source| ReadError::record(path, source);
        let (start, end) = self.record();
        if start < HEAD_LEN || end > LENGTH {
            return Err(wrong(RecordError::NotAPack));
        }
        let mut record = vec![0; self.length as usize];
        read_at(file, path, &mut record, self.offset)?;
        if checksum(&record, &self.head) != self.checksum {
            return Err(wrong(RecordError::Checksum));
        }
        Record::decode(store_dir, self.id, 0, record).map_err(wrong)
    }
}

fn slot(id: PackId, offset: u64, record: &[u8]) -> [u8; SLOT_LEN as usize] {
    let mut bytes = [0; SLOT_LEN as usize];
    bytes[..8].copy_from_slice(&id.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..20].copy_from_slice(&(record.len() as u32).to_le_bytes());
    let checksum = checksum(record, &bytes[..SLOT_HEAD_LEN]);
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum);
    bytes
}

/// A common pack of one path with this record and no contents, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(crate) fn of_record(id: PackId, record: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_LEN as usize];
    bytes[..SLOT_LEN as usize].copy_from_slice(&head());
    bytes[SLOT_LEN as usize..2 * SLOT_LEN as usize].copy_from_slice(&slot(id, HEAD_LEN, record));
    bytes.extend_from_slice(record);
    bytes
}

/// The first slot.
fn head() -> [u8; SLOT_LEN as usize] {
    let mut head = [0; SLOT_LEN as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head
}

fn slot_offset(number: u32) -> u64 {
    u64::from(number) * SLOT_LEN
}

fn checksum(record: &[u8], slot_head: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    *hasher
        .update(record)
        .update(slot_head)
        .finalize()
        .as_bytes()
}

/// A file that ends too early is no pack.
fn read_at(file: &File, path: &Path, bytes: &mut [u8], offset: u64) -> Result<(), ReadError> {
    match file.read_exact_at(bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ReadError::record(path, RecordError::NotAPack))
        }
        read => Ok(read.map_err(failed("read", path))?),
    }
}

/// What the slots of a common pack tell. An error if it is none.
pub(crate) fn slots(file: &File, path: &Path) -> Result<Vec<Slot>, ReadError> {
    let wrong = |source| ReadError::record(path, source);
    let mut head = [0; HEAD_LEN as usize];
    read_at(file, path, &mut head, 0)?;
    let (slots, _) = head.as_chunks::<{ SLOT_LEN as usize }>();
    let mut slots = slots.iter();
    let first = slots.next().filter(|first| first.starts_with(MAGIC));
    let first = first.ok_or_else(|| wrong(RecordError::NotAPack))?;
    let version = u32::from_le_bytes([first[8], first[9], first[10], first[11]]);
    if version != VERSION {
        return Err(wrong(RecordError::TooNew(version)));
    }
    let numbered = (1..).zip(slots);
    Ok(numbered
        .filter_map(|(number, bytes)| Slot::parse(number, bytes))
        .collect())
}

/// What in a common pack is not contents, from the first byte to the one after the last each.
pub(crate) fn kept(path: &Path) -> Result<Vec<(u64, u64)>, ReadError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let records = slots(&file, path)?.into_iter();
    let records = records.map(|slot| slot.record());
    Ok(std::iter::once((0, HEAD_LEN)).chain(records).collect())
}

/// Reads the record of one path; nothing if it is not in the pack any more.
pub(crate) fn read_record(
    file: &File,
    path: &Path,
    store_dir: &StoreDir,
    id: PackId,
    number: u32,
) -> Result<Option<Record>, ReadError> {
    let mut bytes = [0; SLOT_LEN as usize];
    read_at(file, path, &mut bytes, slot_offset(number))?;
    let slot = Slot::parse(number, &bytes).filter(|slot| slot.id == id);
    slot.map(|slot| slot.read(file, path, store_dir))
        .transpose()
}

/// Makes one path unknown to later readers of the pack. Nothing if the pack is gone.
pub(crate) fn clear_slot(path: &Path, number: u32) -> Result<(), FileError> {
    let file = match crate::discard::open_to_write(path) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    file.write_all_at(&[0; SLOT_LEN as usize], slot_offset(number))
        .map_err(failed("write", path))
}
