//! What takes how much space, and who shares it.

use hashbrown::HashMap;
use niphas_api::Roots;

use crate::error::StoreError;
use crate::record::{FileNode, Place};
use crate::store::{Store, StoredPath};

/// What a store takes on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Store paths.
    pub paths: u64,
    /// Bytes that their files have, if each had its own copy.
    pub file_bytes: u64,
    /// Bytes of files that are stored, each contents once.
    pub stored_bytes: u64,
    /// Bytes that packs take on disk: contents, records, and the padding between.
    pub pack_bytes: u64,
    /// Bytes that closure images take on disk, and paths that are exported.
    pub image_bytes: u64,
    /// The same for each set of paths that was asked for, in their order.
    pub closures: Vec<ClosureUsage>,
}

/// What a store takes on disk as a whole, as far as it is known without reading records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Store paths.
    pub paths: u64,
    /// Bytes that packs take on disk.
    pub pack_bytes: u64,
    /// Bytes that closure images take on disk, and paths that are exported.
    pub image_bytes: u64,
}

/// What the files of one closure take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClosureUsage {
    /// Store paths.
    pub paths: u64,
    /// Bytes that their files have, if each had its own copy.
    pub file_bytes: u64,
    /// Bytes of files that are stored, each contents once.
    pub stored_bytes: u64,
    /// Those of them that another of the closures has too.
    pub shared_bytes: u64,
}

/// Contents that are counted in one pass, which take 64 bytes of memory each.
const MAX_EXTENTS: u64 = 1 << 20;

/// Contents, and who has them.
struct Extent {
    size: u64,
    /// The closure that came across it last, counted from 1; 0 is none.
    seen_by: usize,
    /// The closures that have it.
    owners: usize,
    /// The first of them.
    first: usize,
}

impl Store {
    /// What the store takes on disk as a whole.
    pub fn size(&self) -> StoreSize {
        let image_bytes = self.image_bytes();
        let index = self.shared.index();
        StoreSize {
            paths: index
                .packs()
                .filter(|(_, pack)| pack.info.is_some())
                .count() as u64,
            pack_bytes: index.disk_bytes(),
            image_bytes,
        }
    }

    /// What the store takes on disk, and what of it each of these closures takes, given by their roots; a closure is what of
    /// it is in the store. All records are read, several times if they have millions of files.
    pub fn disk_usage(&self, closures: &[Roots]) -> Result<DiskUsage, StoreError> {
        let size = self.size();
        let mut usage = DiskUsage {
            image_bytes: size.image_bytes,
            pack_bytes: size.pack_bytes,
            closures: vec![ClosureUsage::default(); closures.len()],
            ..DiskUsage::default()
        };
        let (all, mut files) = (self.paths(), 0_u64);
        for path in &all {
            usage.paths += u64::from(self.each_file(path, |file| {
                usage.file_bytes += file.size;
                files += 1;
            })?);
        }
        let closures: Vec<Vec<StoredPath>> = closures
            .iter()
            .map(|roots| self.closure_of(roots))
            .collect();
        for (closure, usage) in closures.iter().zip(&mut usage.closures) {
            for path in closure {
                usage.paths += u64::from(self.each_file(path, |file| {
                    usage.file_bytes += file.size;
                })?);
            }
        }
        let parts = files.div_ceil(MAX_EXTENTS).max(1);
        for part in 0..parts {
            let is_in_part = |place: Place| {
                let number = place
                    .pack
                    .0
                    .wrapping_mul(31)
                    .wrapping_add(place.block.into());
                number % parts == part
            };
            self.add_part(&mut usage, &all, &closures, is_in_part)?;
        }
        Ok(usage)
    }

    /// Adds the bytes that are stored and shared, as far as they are at some of all places.
    fn add_part(
        &self,
        usage: &mut DiskUsage,
        all: &[StoredPath],
        closures: &[Vec<StoredPath>],
        is_in_part: impl Fn(Place) -> bool,
    ) -> Result<(), StoreError> {
        let mut extents: HashMap<Place, Extent> = HashMap::new();
        for path in all {
            self.each_file(path, |file| {
                if is_in_part(file.place) {
                    extents.entry(file.place).or_insert(Extent {
                        size: file.size,
                        seen_by: 0,
                        owners: 0,
                        first: 0,
                    });
                }
            })?;
        }
        usage.stored_bytes += extents.values().map(|extent| extent.size).sum::<u64>();
        for (number, closure) in closures.iter().enumerate() {
            let usage = &mut usage.closures[number];
            for path in closure {
                self.each_file(path, |file| {
                    let Some(extent) = extents.get_mut(&file.place) else {
                        return;
                    };
                    if extent.seen_by == number + 1 {
                        return;
                    }
                    extent.seen_by = number + 1;
                    usage.stored_bytes += extent.size;
                    if extent.owners == 0 {
                        extent.first = number;
                    } else {
                        usage.shared_bytes += extent.size;
                    }
                    extent.owners += 1;
                })?;
            }
        }
        for extent in extents.values().filter(|extent| extent.owners > 1) {
            // Who else had it was counted when they came; the first did not know yet.
            usage.closures[extent.first].shared_bytes += extent.size;
        }
        Ok(())
    }

    /// Gives the files of a path that are not empty, and whether it is there: another process may collect garbage meanwhile.
    fn each_file(
        &self,
        path: &StoredPath,
        mut take: impl FnMut(FileNode),
    ) -> Result<bool, StoreError> {
        let tree = match self.shared.tree(path) {
            Ok(tree) => tree,
            Err(StoreError::PackMissing { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        for file in tree.extents() {
            take(file.map_err(|source| self.shared.bad_record(path, source))?);
        }
        Ok(true)
    }

    /// The paths of the closure of these, as far as it is in the store.
    fn closure_of(&self, roots: &Roots) -> Vec<StoredPath> {
        let hold = crate::roots::RootHold {
            roots: roots.clone(),
            digest: None,
            holder: String::new(),
        };
        let packs = self.held_by(&hold).into_iter();
        packs.filter_map(|pack| self.shared.stored(pack)).collect()
    }
}
