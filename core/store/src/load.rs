//! Reading what is in a store when it is opened.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashSet;
use nix_formats::{NarInfo, Signature, StoreDir, StorePath};

use crate::catalog::{Catalog, Known, Seal};
use crate::common::{self, Slot};
use crate::error::{FileError, OpenError, failed};
use crate::index::{Index, Pack, Within};
use crate::layout::{Layout, PackId, PackName};
use crate::pack::{ReadError, read_record};
use crate::record::{MAX_SIGNATURES, Record, RecordError, essence};
use crate::state::State;

const MISSING: RecordError = RecordError::Tree("a pack that it refers to is not there");

/// A store as it was found.
pub(crate) struct Loaded {
    pub(crate) index: Index,
    pub(crate) catalog: Catalog,
    pub(crate) state: State,
    /// Packs whose bytes are not known to be on disk.
    pub(crate) unsynced: Vec<PackId>,
}

/// Reads what the catalog does not tell. If it `may_repair`, what is no pack any more is removed.
pub(crate) fn load(
    layout: &Layout,
    store_dir: &StoreDir,
    boot_id: String,
    may_repair: bool,
) -> Result<Loaded, OpenError> {
    let mut names = names(layout)?;
    names.sort_by_key(|name| name.id);
    let mut next_pack = names.last().map_or(0, |name| name.id.0 + 1);
    let mut slots = BTreeMap::new();
    for name in names.iter().filter(|name| name.is_common) {
        for slot in slots_of(layout, name)? {
            next_pack = next_pack.max(slot.id.0.saturating_add(1));
            let within = Within {
                pack: name.id,
                slot: slot.number,
            };
            slots.insert(within, slot);
        }
    }
    let state = State::load(layout, boot_id, PackId(next_pack))?;
    let present = names.iter().map(|name| name.id).collect();
    let mut loader = Loader {
        layout,
        store_dir,
        state: &state,
        present,
        names: BTreeMap::new(),
        slots,
        interned: HashSet::new(),
        index: Index::default(),
        unsynced: Vec::new(),
        broken: Vec::new(),
    };
    for name in names {
        if name.path.is_some() {
            loader.names.insert(name.id, name);
        } else if let Some(metadata) = loader.metadata(&name)? {
            let pack = loader.pack(name, &metadata);
            loader.index.insert(pack);
        }
    }
    let catalog = Catalog::open(layout, may_repair, |known| loader.take(known));
    loader.read_all(may_repair.then_some(&catalog), may_repair)?;
    loader.leave_broken(may_repair)?;
    loader.index.link();
    loader.signatures(may_repair)?;
    let (index, unsynced) = (loader.index, loader.unsynced);
    if may_repair {
        if state.has_rebooted() {
            catalog.forget_gone();
        }
        let saved = catalog.save(index.len() as u64, |id| index.pack(id).is_some());
        warn_unless(&saved);
    }
    Ok(Loaded {
        index,
        catalog,
        state,
        unsynced,
    })
}

/// A store that can't keep what is known of it goes without.
fn warn_unless(saved: &Result<(), FileError>) {
    if let Err(error) = saved {
        tracing::warn!(error = %nix_formats::chain(error), "the index can't be saved; records are read again when the store is opened");
    }
}

fn names(layout: &Layout) -> Result<Vec<PackName>, FileError> {
    let path = layout.packs();
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
        let entry = entry.map_err(failed("read", &path))?;
        match entry.file_name().to_str().and_then(PackName::parse) {
            Some(name) => names.push(name),
            None => {
                tracing::warn!(path = %entry.path().display(), "a file that is no pack is in the store");
            }
        }
    }
    Ok(names)
}

/// What the slots of a common pack tell; none if it is damaged or went meanwhile.
fn slots_of(layout: &Layout, name: &PackName) -> Result<Vec<Slot>, OpenError> {
    let path = layout.pack(name);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(failed("open", &path))?,
    };
    match common::slots(&file, &path) {
        Ok(slots) => Ok(slots),
        Err(ReadError::Record {
            path,
            source: RecordError::TooNew(found),
        }) => Err(OpenError::TooNew {
            path,
            found,
            known: crate::pack::VERSION,
        }),
        Err(error) => {
            tracing::warn!(pack = %name, error = %nix_formats::chain(&error), "a pack can't be read; its paths will be fetched again");
            Ok(Vec::new())
        }
    }
}

struct Loader<'a> {
    layout: &'a Layout,
    store_dir: &'a StoreDir,
    state: &'a State,
    /// All packs that have files.
    present: HashSet<PackId>,
    /// Packs of one path each, and places of paths in common ones, that are not in the index yet.
    names: BTreeMap<PackId, PackName>,
    slots: BTreeMap<Within, Slot>,
    /// Each path is in memory once, however many refer to it.
    interned: HashSet<StorePath>,
    index: Index,
    unsynced: Vec<PackId>,
    /// Packs that can't be read, and whether their files may go.
    broken: Vec<(PackName, bool)>,
}

impl Loader<'_> {
    /// Adds a path of which the catalog tells, if it is still there as it was then. What a power cut may have changed is not believed.
    fn take(&mut self, known: &Known<'_>) {
        if !known.packs.iter().all(|pack| self.present.contains(pack)) {
            return;
        }
        let Ok(info) = NarInfo::parse_kept(self.store_dir, known.narinfo) else {
            return;
        };
        match known.seal {
            Seal::File(length) => {
                let Some(name) = self.names.get(&known.id) else {
                    return;
                };
                let is_same = name.path.as_ref() == Some(&info.path);
                let Ok(Some(metadata)) = self.metadata(name) else {
                    return;
                };
                if !is_same || metadata.len() != length || self.is_suspect(known.id, &metadata) {
                    return;
                }
                if let Some(name) = self.names.remove(&known.id) {
                    let mut pack = self.pack(name, &metadata);
                    pack.info = Some(self.intern(info));
                    pack.data = known.data;
                    pack.refers.clone_from(&known.packs);
                    self.index.insert(pack);
                }
            }
            Seal::Slot(within, checksum) => {
                let slot = self.slots.get(&within);
                let is_same = |slot: &Slot| slot.id == known.id && slot.checksum() == checksum;
                let file = self.index.pack(within.pack);
                if let Some(file) = file.filter(|file| !file.is_suspect)
                    && slot.is_some_and(is_same)
                {
                    let used = file.used;
                    let info = self.intern(info);
                    let mut pack = Pack::within(known.id, info, within, known.packs.clone());
                    pack.used = used;
                    self.slots.remove(&within);
                    self.index.insert(pack);
                }
            }
        }
    }

    /// Reads the records of all paths that are left, one after the other.
    fn read_all(&mut self, catalog: Option<&Catalog>, may_repair: bool) -> Result<(), OpenError> {
        for name in std::mem::take(&mut self.names).into_values() {
            if let Some((pack, record, seal)) = self.read(name)? {
                self.insert(pack, &record, seal, catalog);
            }
        }
        for (within, slot) in std::mem::take(&mut self.slots) {
            if let Some((pack, record)) = self.read_slot(within, &slot, may_repair)? {
                self.insert(pack, &record, Seal::Slot(within, slot.checksum()), catalog);
            }
        }
        Ok(())
    }

    /// A pack and its record. Nothing if it is broken, or went meanwhile.
    fn read(&mut self, name: PackName) -> Result<Option<(Pack, Record, Seal)>, OpenError> {
        let (id, file_path) = (name.id, self.layout.pack(&name));
        let opened = File::open(&file_path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            // Another process collects garbage while this one only reads.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("open", file_path, error).into()),
        };
        let read = read_record(&Arc::new(file), &file_path, self.store_dir, id);
        let (record, data) = match read {
            Ok(read) => read,
            Err(ReadError::Record {
                path,
                source: RecordError::TooNew(found),
            }) => {
                return Err(OpenError::TooNew {
                    path,
                    found,
                    known: crate::pack::VERSION,
                });
            }
            Err(error) => {
                let is_file = matches!(error, ReadError::File(_));
                self.broken(name, &error, !is_file);
                return Ok(None);
            }
        };
        if Some(&record.info.path) != name.path.as_ref() {
            self.broken(name, &RecordError::Tree("it is another path's"), true);
            return Ok(None);
        }
        if !self.has_all(&record) {
            self.broken(name, &MISSING, true);
            return Ok(None);
        }
        let mut pack = self.pack(name, &metadata);
        pack.info = Some(self.intern(record.info.clone()));
        pack.data = data;
        pack.refers = record.tree.packs().to_vec();
        Ok(Some((pack, record, Seal::File(metadata.len()))))
    }

    /// A path in a common pack, and its record.
    fn read_slot(
        &mut self,
        within: Within,
        slot: &Slot,
        may_repair: bool,
    ) -> Result<Option<(Pack, Record)>, OpenError> {
        let Some(common) = self.index.pack(within.pack) else {
            return Ok(None);
        };
        let (used, is_suspect) = (common.used, common.is_suspect);
        let file_path = self.layout.pack(&common.name);
        let read = File::open(&file_path).map_err(failed("open", &file_path));
        let read = read.map_err(ReadError::from);
        let read = read.and_then(|file| slot.read(&file, &file_path, self.store_dir));
        let read = read.and_then(|record| {
            let is_whole = self.has_all(&record);
            is_whole
                .then_some(record)
                .ok_or_else(|| ReadError::record(&file_path, MISSING))
        });
        let record = match read {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(pack = %within.pack, error = %nix_formats::chain(&error), "a path in a pack can't be read; it will be fetched again");
                if may_repair && matches!(error, ReadError::Record { .. }) {
                    common::clear_slot(&file_path, slot.number)?;
                }
                return Ok(None);
            }
        };
        let info = self.intern(record.info.clone());
        let mut pack = Pack::within(slot.id, info, within, record.tree.packs().to_vec());
        pack.used = used;
        pack.is_suspect = is_suspect;
        Ok(Some((pack, record)))
    }

    /// Whether all packs that a record refers to are there.
    fn has_all(&self, record: &Record) -> bool {
        let mut packs = record.tree.packs().iter();
        packs.all(|pack| self.present.contains(pack))
    }

    /// Nothing if it went meanwhile.
    fn metadata(&self, name: &PackName) -> Result<Option<Metadata>, FileError> {
        let path = self.layout.pack(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            metadata => metadata.map(Some).map_err(failed("read", &path)),
        }
    }

    fn is_suspect(&self, id: PackId, metadata: &Metadata) -> bool {
        is_unsynced(metadata) && self.state.is_suspect(id)
    }

    fn pack(&mut self, name: PackName, metadata: &Metadata) -> Pack {
        let id = name.id;
        let mut pack = Pack::new(name, None);
        pack.data = metadata.len();
        pack.disk = metadata.blocks() * 512;
        pack.used = u64::try_from(metadata.mtime()).unwrap_or(0);
        pack.is_suspect = self.is_suspect(id, metadata);
        if is_unsynced(metadata) {
            self.unsynced.push(id);
        }
        pack
    }

    fn intern(&mut self, mut info: NarInfo) -> Arc<NarInfo> {
        let mut once = |path: StorePath| {
            self.interned
                .get_or_insert_with(&path, Clone::clone)
                .clone()
        };
        info.references = std::mem::take(&mut info.references)
            .into_iter()
            .map(&mut once)
            .collect();
        info.path = once(info.path);
        Arc::new(info)
    }

    /// Adds a path to the index and, unless it has to be verified first, to the catalog.
    fn insert(&mut self, pack: Pack, record: &Record, seal: Seal, catalog: Option<&Catalog>) {
        let (id, data, is_suspect) = (pack.name.id, pack.data, pack.is_suspect);
        self.index.insert(pack);
        let Some(catalog) = catalog.filter(|_| !is_suspect) else {
            return;
        };
        let (info, present) = (&record.info, &self.present);
        // Contents of packs that are not in the index yet stay, too.
        let save = || warn_unless(&catalog.write(|id| present.contains(&id)));
        let known = Known {
            id,
            seal,
            data,
            packs: record.tree.packs().to_vec(),
            narinfo: &essence(self.store_dir, info),
        };
        let learnt = catalog.learn(known, &record.tree, save);
        if let Err(error) = learnt {
            tracing::warn!(pack = %id, error = %nix_formats::chain(&error), "a record can't be read; its contents may be stored again");
        }
    }

    fn broken(&mut self, name: PackName, error: &dyn std::error::Error, may_go: bool) {
        tracing::warn!(pack = %name, error = %nix_formats::chain(error), "a pack can't be read; its path will be fetched again");
        self.broken.push((name, may_go));
    }

    /// What others need of broken packs stays, under a name that tells.
    fn leave_broken(&mut self, may_repair: bool) -> Result<(), FileError> {
        for (name, may_go) in std::mem::take(&mut self.broken) {
            let path = self.layout.pack(&name);
            let is_needed = self
                .index
                .packs()
                .any(|(_, pack)| pack.refers.contains(&name.id));
            let orphan = PackName::of_rest(name.id);
            if is_needed {
                let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
                let name = if may_repair { orphan } else { name };
                if may_repair {
                    let to = self.layout.pack(&name);
                    fs::rename(&path, &to).map_err(failed("rename", &path))?;
                }
                let pack = self.pack(name, &metadata);
                self.index.insert(pack);
            } else if may_repair && may_go {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Signatures that came later.
    fn signatures(&mut self, may_repair: bool) -> Result<(), FileError> {
        let folder = self.layout.signatures();
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let entry = entry.map_err(failed("read", &folder))?;
            let path = entry.path();
            let id = entry.file_name().to_str().and_then(PackId::parse);
            let info = id
                .and_then(|id| self.index.pack_mut(id))
                .and_then(|pack| pack.info.as_mut());
            match info {
                Some(info) => {
                    let info = Arc::make_mut(info);
                    for signature in read_signatures(&path) {
                        let is_known = info.signatures.contains(&signature);
                        if !is_known && info.signatures.len() < MAX_SIGNATURES {
                            info.signatures.push(signature);
                        }
                    }
                }
                None if may_repair => fs::remove_file(&path).map_err(failed("remove", &path))?,
                None => {}
            }
        }
        Ok(())
    }
}

fn is_unsynced(metadata: &Metadata) -> bool {
    metadata.mode() & 0o222 != 0
}

/// What can be read of them; they are verified whenever they count.
fn read_signatures(path: &Path) -> Vec<Signature> {
    // More than as many signatures take.
    const MOST: u64 = 64 << 10;
    let mut text = String::new();
    let file = File::open(path);
    let _ = file.and_then(|file| file.take(MOST).read_to_string(&mut text));
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
