//! Reading what is in a store when it is opened.

use crate::{
    common::{self, Slot},
    error::{FileError, OpenError, failed},
    index::{Index, Pack, Within},
    layout::{Layout, PackId, PackName},
    pack::{ReadError, read_record},
    record::{Record, RecordError},
    state::State,
};
use nix_formats::{Signature, StoreDir};
use std::{
    fs::{self, File, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

/// A store as it was found.
pub(crate) struct Loaded {
    pub(crate) index: Index,
    pub(crate) state: State,
    /// Packs whose bytes are not known to be on disk.
    pub(crate) unsynced: Vec<PackId>,
}

/// Reads everything. If it `may_repair`, what is no pack any more is removed.
pub(crate) fn load(
    layout: &Layout,
    store_dir: &StoreDir,
    boot_id: String,
    may_repair: bool,
) -> Result<Loaded, OpenError> {
    let mut names = names(layout)?;
    names.sort_by_key(|name| name.id);
    let mut next_pack = names.last().map_or(0, |name| name.id.0 + 1);
    let mut in_common = Vec::new();
    for name in names.iter().filter(|name| name.is_common) {
        let slots = slots_of(layout, name)?;
        let after = slots.iter().map(|slot| slot.id.0.saturating_add(1));
        next_pack = next_pack.max(after.max().unwrap_or(0));
        in_common.push((name.clone(), slots));
    }
    let state = State::load(layout, boot_id, PackId(next_pack))?;
    let mut loader = Loader {
        layout,
        store_dir,
        state: &state,
        index: Index::default(),
        unsynced: Vec::new(),
        broken: Vec::new(),
    };
    let mut found = Vec::with_capacity(names.len());
    let present: hashbrown::HashSet<PackId> = names.iter().map(|name| name.id).collect();
    for name in names {
        found.extend(loader.read(name, &present)?);
    }
    for (name, slots) in in_common {
        loader.read_common(&name, &slots, &present, may_repair, &mut found)?;
    }
    for (pack, record) in found {
        loader.insert(pack, record.as_ref());
    }
    loader.leave_broken(may_repair)?;
    loader.index.link();
    loader.signatures(may_repair)?;
    let (index, unsynced) = (loader.index, loader.unsynced);
    Ok(Loaded {
        index,
        state,
        unsynced,
    })
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
    index: Index,
    unsynced: Vec<PackId>,
    /// Packs that can't be read, and whether their files may go.
    broken: Vec<(PackName, bool)>,
}

impl Loader<'_> {
    /// A pack and, if it has a path, the record. Nothing if it is broken, or went meanwhile.
    fn read(
        &mut self,
        name: PackName,
        present: &hashbrown::HashSet<PackId>,
    ) -> Result<Option<(Pack, Option<Record>)>, OpenError> {
        let (id, file_path) = (name.id, self.layout.pack(&name));
        let opened = File::open(&file_path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            // Another process collects garbage while this one only reads.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("open", file_path, error).into()),
        };
        let Some(path) = &name.path else {
            return Ok(Some((self.pack(name, &metadata), None)));
        };
        let read = read_record(&file, &file_path, self.store_dir, id);
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
        if record.info.path != *path {
            self.broken(name, &RecordError::Tree("it is another path's"), true);
            return Ok(None);
        }
        if record
            .tree
            .packs()
            .iter()
            .any(|pack| !present.contains(pack))
        {
            self.broken(
                name,
                &RecordError::Tree("a pack that it refers to is not there"),
                true,
            );
            return Ok(None);
        }
        let mut pack = self.pack(name, &metadata);
        pack.info = Some(Arc::new(record.info.clone()));
        pack.data = data;
        pack.refers = record.tree.packs().to_vec();
        Ok(Some((pack, Some(record))))
    }

    /// The paths in a common pack.
    fn read_common(
        &mut self,
        name: &PackName,
        slots: &[Slot],
        present: &hashbrown::HashSet<PackId>,
        may_repair: bool,
        found: &mut Vec<(Pack, Option<Record>)>,
    ) -> Result<(), OpenError> {
        let file_path = self.layout.pack(name);
        let opened = File::open(&file_path).and_then(|file| Ok((file.metadata()?, file)));
        let Ok((metadata, file)) = opened else {
            return Ok(());
        };
        for slot in slots {
            let read = slot.read(&file, &file_path, self.store_dir);
            let read = read.and_then(|record| {
                let is_there = record
                    .tree
                    .packs()
                    .iter()
                    .all(|pack| present.contains(pack));
                let missing = RecordError::Tree("a pack that it refers to is not there");
                is_there
                    .then_some(record)
                    .ok_or_else(|| ReadError::record(&file_path, missing))
            });
            let record = match read {
                Ok(record) => record,
                Err(error) => {
                    tracing::warn!(pack = %name, error = %nix_formats::chain(&error), "a path in a pack can't be read; it will be fetched again");
                    if may_repair && matches!(error, ReadError::Record { .. }) {
                        common::clear_slot(&file_path, slot.number)?;
                    }
                    continue;
                }
            };
            let within = Within {
                pack: name.id,
                slot: slot.number,
            };
            let (info, refers) = (record.info.clone(), record.tree.packs().to_vec());
            let mut pack = Pack::within(slot.id, Arc::new(info), within, refers);
            pack.used = u64::try_from(metadata.mtime()).unwrap_or(0);
            pack.is_suspect = is_unsynced(&metadata) && self.state.is_suspect(name.id);
            found.push((pack, Some(record)));
        }
        Ok(())
    }

    fn pack(&mut self, name: PackName, metadata: &Metadata) -> Pack {
        let id = name.id;
        let mut pack = Pack::new(name, None);
        pack.data = metadata.len();
        pack.disk = metadata.blocks() * 512;
        pack.used = u64::try_from(metadata.mtime()).unwrap_or(0);
        if is_unsynced(metadata) {
            self.unsynced.push(id);
            pack.is_suspect = self.state.is_suspect(id);
        }
        pack
    }

    fn insert(&mut self, pack: Pack, record: Option<&Record>) {
        let is_trusted = !pack.is_suspect;
        self.index.insert(pack);
        if let Some(record) = record.filter(|_| is_trusted) {
            for file in record.tree.extents() {
                self.index.add_content(file.hash, file.place);
            }
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
                        if !info.signatures.contains(&signature) {
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
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
