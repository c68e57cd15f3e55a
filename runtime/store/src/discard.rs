//! Taking paths out of the store, and giving their space back: as a file, or as holes where others' files are still in it.
//!
//! What a pack without a path holds can be referred to anew only as long as somebody refers to it already: with the last path
//! that does, contents are forgotten. So nothing can come to be referred to that is about to become a hole.

use crate::{
    BLOCK,
    common::{clear_slot, kept},
    error::{FileError, StoreError, failed},
    layout::PackId,
    pack::ReadError,
    record::ContentHash,
    store::{Store, StoredPath, lock},
};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

impl Store {
    /// Takes a path out of the store unless it is held, or although it is if it is `damaged`. Gives whether it went.
    ///
    /// What it referred to may have [gaps](Self::close_gaps) afterwards.
    pub(crate) fn discard(&self, path: &StoredPath, is_damaged: bool) -> Result<bool, StoreError> {
        let (shared, id) = (&self.shared, path.pack);
        let mut unsynced = lock(&shared.discarding);
        // With the record goes the knowledge of what the path holds.
        let held: Option<Vec<(ContentHash, PackId)>> = shared.tree(path).ok().map(|tree| {
            let files = tree.extents();
            files.map(|file| (file.hash, file.place.pack)).collect()
        });
        let is_unused = {
            let mut index = shared.index_mut();
            let collection = index.collection;
            let Some(pack) = index.pack(id).filter(|pack| pack.info.is_some()) else {
                return Ok(false);
            };
            // A closure that is about to be mounted knows the packs that it refers to by their names.
            let is_about_to_be_used =
                |id: &PackId| index.pack(*id).is_some_and(|pack| pack.pins > 0);
            let is_held = pack.pins > 0
                || pack.held_in == collection
                || pack.referrers.iter().any(is_about_to_be_used);
            if is_held && !is_damaged {
                return Ok(false);
            }
            let within = pack.within;
            let from = index.file(id).map(|file| shared.layout.pack(&file.name));
            if let (Some(within), Some(from)) = (within, &from) {
                clear_slot(from, within.slot)?;
                unsynced.insert(within.pack);
            }
            let mut packs = index.drop_path(id);
            packs.push(id);
            packs.retain(|&id| index.pack(id).is_some_and(|pack| pack.info.is_none()));
            match held {
                Some(held) => {
                    for (hash, pack) in held {
                        if packs.contains(&pack) {
                            index.remove_content(&hash, pack);
                        }
                    }
                }
                None => packs.iter().for_each(|&id| index.remove_contents_of(id)),
            }
            let is_unused = index.pack(id).is_none_or(crate::index::Pack::is_unused);
            if !is_unused
                && let Some(pack) = index.pack(id)
                && let Some(from) = &from
            {
                let to = shared.layout.pack(&pack.name);
                fs::rename(from, &to).map_err(failed("rename", from))?;
            }
            let own_file = from.filter(|_| within.is_none());
            is_unused.then_some(own_file)
        };
        if let Some(own_file) = is_unused {
            own_file.map_or(Ok(()), |file| remove_file(&file))?;
            shared.index_mut().remove(id);
        }
        shared.verdicts.forget(id);
        remove_file(&shared.layout.signatures_of(id))?;
        Ok(true)
    }

    /// Gives back the space of all packs without a path: those that nobody refers to go, those that somebody does get holes.
    pub(crate) fn close_all_gaps(&self) -> Result<(), StoreError> {
        let gaps: Vec<PackId> = {
            let index = self.shared.index();
            let with_gaps = index.packs().filter(|(_, pack)| pack.has_gaps);
            with_gaps.map(|(id, _)| id).collect()
        };
        gaps.into_iter().try_for_each(|id| self.close_gaps(id))
    }

    /// Gives back the space of what nobody refers to in a pack without a path.
    fn close_gaps(&self, id: PackId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut unsynced = lock(&shared.discarding);
        // A path that comes back after a power cut must not find holes.
        while let Some(&pack) = unsynced.iter().next() {
            shared.sync_contents(pack)?;
            unsynced.remove(&pack);
        }
        let (file, has_records, referrers) = {
            let mut index = shared.index_mut();
            let Some(pack) = index.pack(id).filter(|pack| pack.info.is_none()) else {
                return Ok(());
            };
            let file = shared.layout.pack(&pack.name);
            if pack.is_unused() {
                index.remove(id);
                drop(index);
                return Ok(remove_file(&file)?);
            }
            // Whoever is about to refer to it has no record to look into yet.
            if pack.leases > 0 {
                return Ok(());
            }
            let mut referrers = pack.referrers.iter().filter_map(|id| index.pack(*id));
            let has_records = referrers.any(|pack| pack.within.is_some_and(|at| at.pack == id));
            (file, has_records, pack.referrers.clone())
        };
        let mut used: BTreeMap<u64, u64> = BTreeMap::new();
        if has_records {
            match kept(&file) {
                Ok(kept) => used.extend(kept),
                // Where they are is not known any more; what cannot be read of them is fetched again.
                Err(ReadError::Record { .. }) => return Ok(()),
                Err(ReadError::File(error)) => return Err(error.into()),
            }
        }
        let mut all_trusted = Vec::new();
        for referrer in referrers {
            let Some(path) = shared.stored(referrer) else {
                continue;
            };
            let tree = shared.tree(&path)?;
            let is_suspect = |pack: &crate::index::Pack| pack.is_suspect;
            let is_trusted = !shared.index().pack(referrer).is_some_and(is_suspect);
            for file in tree.extents().filter(|file| file.place.pack == id) {
                let start = file.place.offset();
                used.insert(start, (start + file.size).next_multiple_of(BLOCK));
                if is_trusted {
                    all_trusted.push(file);
                }
            }
        }
        let left = punch(&file, used.into_iter())?;
        let mut index = shared.index_mut();
        for file in all_trusted {
            index.add_content(file.hash, file.place);
        }
        index.set_disk_bytes(id, left);
        if let Some(pack) = index.pack_mut(id) {
            pack.has_gaps = false;
        }
        Ok(())
    }
}

/// Makes holes in a pack wherever none of these is, which come in order, each from its first byte to the one after its last.
/// Gives the bytes that are left on disk.
fn punch(path: &Path, used: impl Iterator<Item = (u64, u64)>) -> Result<u64, FileError> {
    let file = open_to_write(path)?;
    let length = file.metadata().map_err(failed("read", path))?.len();
    let mut free = 0;
    for (start, end) in used.chain([(length, length)]) {
        if start > free {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match fallocate(&file, flags, free, start - free) {
                // Not every file system can; the space comes back with the last that refers to it.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(failed("punch holes in", path)(error)),
            }
        }
        free = free.max(end);
    }
    let metadata = file.metadata().map_err(failed("read", path))?;
    Ok(metadata.blocks() * 512)
}

/// Opens a pack to write to it, whatever its mode says; root may anyway.
pub(crate) fn open_to_write(path: &Path) -> Result<File, FileError> {
    let open = || File::options().read(true).write(true).open(path);
    match open() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let metadata = fs::metadata(path).map_err(failed("read", path))?;
            let mode = |mode| {
                fs::set_permissions(path, Permissions::from_mode(mode))
                    .map_err(failed("change the mode of", path))
            };
            mode(0o644)?;
            let file = open().map_err(failed("open", path));
            mode(metadata.mode() & 0o777)?;
            file
        }
        opened => opened.map_err(failed("open", path)),
    }
}

fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}
