//! Taking paths out of the store, and giving their space back: as a file, or as holes where others' files are still in it.
//!
//! A writer takes a lease of a pack before it refers to contents in it, and while a pack is given back, as a whole or in part, there
//! are no leases of it. So nothing comes to be referred to that becomes a hole.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use hashbrown::HashSet;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::common::{clear_slot, kept};
use crate::error::{FileError, StoreError, failed};
use crate::layout::PackId;
use crate::pack::ReadError;
use crate::store::{Store, StoredPath, lock};
use crate::{BLOCK, sync};

/// What has gone, and may come back after a power cut.
#[derive(Debug, Default)]
pub(crate) struct Discarding {
    /// Common packs of which paths have gone.
    common: HashSet<PackId>,
    /// Whether packs have gone, or have another name.
    has_other_names: bool,
}

impl Store {
    /// Takes a path out of the store unless it is held, or although it is if it is `damaged`. Gives whether it went.
    ///
    /// What it referred to may have [gaps](Self::close_gaps) afterwards.
    pub(crate) fn discard(&self, path: &StoredPath, is_damaged: bool) -> Result<bool, StoreError> {
        let (shared, id) = (&self.shared, path.pack);
        let mut discarding = lock(&shared.discarding);
        let unused = {
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
                discarding.common.insert(within.pack);
            }
            index.drop_path(id);
            let own_file = from.filter(|_| within.is_none());
            discarding.has_other_names |= own_file.is_some();
            match index.pack_mut(id) {
                Some(pack) if pack.is_unused() => {
                    pack.is_going = true;
                    Some(own_file)
                }
                Some(pack) => {
                    if let Some(from) = own_file {
                        let to = shared.layout.pack(&pack.name);
                        fs::rename(&from, &to).map_err(failed("rename", &from))?;
                    }
                    None
                }
                None => None,
            }
        };
        if let Some(own_file) = unused {
            own_file.map_or(Ok(()), |file| remove_file(&file))?;
            shared.index_mut().remove(id);
        }
        shared.verdicts.forget(id);
        shared.delivered.forget(id);
        remove_file(&shared.layout.signatures_of(id))?;
        self.remove_export(id)?;
        Ok(true)
    }

    /// Gives back the space of all packs without a path: those without referrers go, the others get holes.
    pub(crate) fn close_all_gaps(&self) -> Result<(), StoreError> {
        let gaps: Vec<PackId> = {
            let index = self.shared.index();
            let with_gaps = index.packs().filter(|(_, pack)| pack.has_gaps);
            with_gaps.map(|(id, _)| id).collect()
        };
        gaps.into_iter().try_for_each(|id| self.close_gaps(id))
    }

    /// Gives back the space of what nothing refers to in a pack without a path.
    fn close_gaps(&self, id: PackId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut discarding = lock(&shared.discarding);
        let (file, has_records, referrers) = {
            let mut index = shared.index_mut();
            let Some(pack) = index.pack(id).filter(|pack| pack.info.is_none()) else {
                return Ok(());
            };
            let file = shared.layout.pack(&pack.name);
            if pack.is_unused() {
                index.remove(id);
                drop(index);
                discarding.has_other_names = true;
                return Ok(remove_file(&file)?);
            }
            // What is about to refer to it has no record to look into yet.
            if pack.leases > 0 {
                return Ok(());
            }
            let mut referrers = pack.referrers.iter().filter_map(|id| index.pack(*id));
            let has_records = referrers.any(|pack| pack.within.is_some_and(|at| at.pack == id));
            let referrers: Vec<PackId> = pack.referrers.iter().copied().collect();
            if let Some(pack) = index.pack_mut(id) {
                pack.is_going = true;
            }
            (file, has_records, referrers)
        };
        let closed = self.punch_gaps(&mut discarding, id, &file, has_records, referrers);
        let mut index = shared.index_mut();
        if let Ok(Some(left)) = closed {
            index.set_disk_bytes(id, left);
        }
        if let Some(pack) = index.pack_mut(id) {
            pack.is_going = false;
            pack.has_gaps &= !matches!(closed, Ok(Some(_)));
        }
        closed.map(|_| ())
    }

    /// Gives the bytes that are left of a pack; nothing if it stays as it is.
    fn punch_gaps(
        &self,
        discarding: &mut Discarding,
        id: PackId,
        file: &Path,
        has_records: bool,
        referrers: Vec<PackId>,
    ) -> Result<Option<u64>, StoreError> {
        let shared = &self.shared;
        let mut used = Runs::default();
        if has_records {
            match kept(file) {
                Ok(kept) => kept
                    .into_iter()
                    .for_each(|(start, end)| used.add(start, end)),
                // Where they are is not known any more; what cannot be read of them is fetched again.
                Err(ReadError::Record { .. }) => return Ok(None),
                Err(ReadError::File(error)) => return Err(error.into()),
            }
        }
        for referrer in referrers {
            let Some(path) = shared.stored(referrer) else {
                continue;
            };
            for extent in shared.tree(&path)?.extents() {
                let extent = extent.map_err(|source| shared.bad_record(&path, source))?;
                if extent.place.pack == id {
                    let start = extent.place.offset();
                    used.add(start, start + extent.size);
                }
            }
        }
        // A path that comes back after a power cut must not find holes.
        while let Some(&pack) = discarding.common.iter().next() {
            shared.sync_contents(pack)?;
            discarding.common.remove(&pack);
        }
        if discarding.has_other_names {
            sync::folder(&shared.layout.packs())?;
            discarding.has_other_names = false;
        }
        Ok(Some(punch(file, used.sorted())?))
    }
}

/// Runs of blocks, those that follow one another as one.
#[derive(Debug, Default)]
struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// Adds bytes, whose last block counts as a whole.
    fn add(&mut self, start: u64, end: u64) {
        let (start, end) = (start / BLOCK, end.div_ceil(BLOCK));
        match self.0.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => self.0.push((start, end)),
        }
    }

    /// In bytes.
    fn sorted(mut self) -> impl Iterator<Item = (u64, u64)> {
        self.0.sort_unstable();
        self.0
            .into_iter()
            .map(|(start, end)| (start * BLOCK, end * BLOCK))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::generated::add_path;

    /// A pack that comes back after a power cut, because its folder was not on disk, must not have become full of holes.
    #[test]
    fn names_are_on_disk_before_holes_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let whole = add_path(&store, 1, 7, 3000).unwrap();
        let part = add_path(&store, 2, 7, 2000).unwrap();
        let has_other_names = || lock(&store.shared.discarding).has_other_names;
        let disk = |path: &StoredPath| store.shared.index().pack(path.pack).map(|pack| pack.disk);
        let before = disk(&whole).unwrap();
        assert!(disk(&part).unwrap() < before / 2);
        assert!(!has_other_names());
        store.shared.index_mut().collection += 1;
        assert!(store.discard(&whole, false).unwrap());
        assert!(has_other_names());
        store.close_all_gaps().unwrap();
        assert!(!has_other_names());
        // A third of the contents, and the record.
        assert!(disk(&whole).unwrap() < before - 500 * 1000);
        let tree = store.tree(&part).unwrap();
        let mut bytes = Vec::new();
        for number in [0, 1999] {
            let name = format!("{:08}/{:03}", number / 1000, number % 1000);
            store.read_file(&part, name.as_bytes(), &mut bytes).unwrap();
        }
        assert_eq!(bytes.len(), 16);
        assert_eq!(tree.packs(), [whole.pack]);
        store.shared.index_mut().collection += 1;
        assert!(store.discard(&part, false).unwrap());
        store.close_all_gaps().unwrap();
        assert_eq!(store.shared.index().len(), 0);
        assert_eq!(
            fs::read_dir(store.shared.layout.packs()).unwrap().count(),
            0
        );
    }

    /// What is being given back is not referred to, and what is referred to is not given back.
    #[test]
    fn leases_and_holes_exclude_each_other() {
        use crate::leases::Leases;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let path = add_path(&store, 1, 7, 3000).unwrap();
        let hash = *blake3::hash(&(7_u64 << 32).to_le_bytes()).as_bytes();
        let shared = &store.shared;
        let mut leases = Leases::new(std::sync::Arc::clone(shared));
        let place = leases.find(&hash, 8).unwrap();
        assert_eq!(place.pack, path.pack);
        // Of another size they are others.
        assert_eq!(leases.find(&hash, 9), None);
        shared.index_mut().collection += 1;
        assert!(store.discard(&path, false).unwrap());
        store.close_all_gaps().unwrap();
        // It is kept, though no path has it.
        assert_eq!(leases.find(&hash, 8), Some(place));
        drop(leases);
        let set = |is_going| {
            if let Some(pack) = shared.index_mut().pack_mut(path.pack) {
                pack.is_going = is_going;
            }
        };
        set(true);
        assert_eq!(
            Leases::new(std::sync::Arc::clone(shared)).find(&hash, 8),
            None
        );
        set(false);
        assert!(
            Leases::new(std::sync::Arc::clone(shared))
                .find(&hash, 8)
                .is_some()
        );
        store.close_all_gaps().unwrap();
        assert_eq!(
            Leases::new(std::sync::Arc::clone(shared)).find(&hash, 8),
            None
        );
        assert_eq!(shared.index().len(), 0);
    }

    #[test]
    fn runs_that_follow_one_another_are_one() {
        let mut runs = Runs::default();
        for (start, end) in [
            (4096, 4100),
            (0, 512),
            (512, 513),
            (1024, 2048),
            (5120, 5121),
        ] {
            runs.add(start, end);
        }
        let sorted: Vec<_> = runs.sorted().collect();
        assert_eq!(sorted, [(0, 2048), (4096, 4608), (5120, 5632)]);
    }
}
