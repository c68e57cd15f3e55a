//! What takes how much space, and who shares it.

use crate::{
    error::StoreError,
    gc::images,
    layout::PackId,
    record::Place,
    store::{Store, StoredPath},
};
use hashbrown::HashMap;
use nix_formats::StorePath;

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
    /// Bytes that closure images take on disk.
    pub image_bytes: u64,
    /// The same for each set of paths that was asked for, in their order.
    pub closures: Vec<ClosureUsage>,
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
    /// What the store takes on disk, and what of it each of these closures takes, given by their roots; a closure is what of
    /// it is in the store.
    pub fn disk_usage(&self, closures: &[Vec<StorePath>]) -> Result<DiskUsage, StoreError> {
        let mut usage = DiskUsage {
            image_bytes: images(&self.shared.layout.closures()),
            ..DiskUsage::default()
        };
        let mut extents: HashMap<Place, Extent> = HashMap::new();
        for path in self.paths() {
            let Some(tree) = self.tree_if_there(&path)? else {
                continue;
            };
            usage.paths += 1;
            for file in tree.extents() {
                usage.file_bytes += file.size;
                let extent = Extent {
                    size: file.size,
                    seen_by: 0,
                    owners: 0,
                    first: 0,
                };
                extents.entry(file.place).or_insert(extent);
            }
        }
        usage.stored_bytes = extents.values().map(|extent| extent.size).sum();
        {
            usage.pack_bytes = self.shared.index().disk_bytes();
        }
        for (number, roots) in closures.iter().enumerate() {
            usage
                .closures
                .push(self.closure_usage(number, roots, &mut extents)?);
        }
        for extent in extents.values().filter(|extent| extent.owners > 0) {
            if extent.owners > 1 {
                // Who else had it was counted when they came; the first did not know yet.
                usage.closures[extent.first].shared_bytes += extent.size;
            }
        }
        Ok(usage)
    }

    fn closure_usage(
        &self,
        number: usize,
        roots: &[StorePath],
        extents: &mut HashMap<Place, Extent>,
    ) -> Result<ClosureUsage, StoreError> {
        let mut usage = ClosureUsage::default();
        for pack in self.closure_of(roots) {
            let Some(path) = self.shared.stored(pack) else {
                continue;
            };
            let Some(tree) = self.tree_if_there(&path)? else {
                continue;
            };
            usage.paths += 1;
            for file in tree.extents() {
                usage.file_bytes += file.size;
                let Some(extent) = extents.get_mut(&file.place) else {
                    continue;
                };
                if extent.seen_by == number + 1 {
                    continue;
                }
                extent.seen_by = number + 1;
                usage.stored_bytes += extent.size;
                if extent.owners == 0 {
                    extent.first = number;
                } else {
                    usage.shared_bytes += extent.size;
                }
                extent.owners += 1;
            }
        }
        Ok(usage)
    }

    /// The packs of the closure of these paths, as far as it is in the store.
    fn closure_of(&self, roots: &[StorePath]) -> Vec<PackId> {
        let hold = crate::roots::RootHold {
            roots: roots.to_vec(),
            digest: None,
            holder: String::new(),
        };
        let mut packs: Vec<PackId> = self.held_by(&hold).into_iter().collect();
        packs.sort();
        packs
    }

    /// Another process may collect garbage meanwhile.
    fn tree_if_there(&self, path: &StoredPath) -> Result<Option<crate::record::Tree>, StoreError> {
        match self.shared.tree(path) {
            Ok(tree) => Ok(Some(tree)),
            Err(StoreError::PackMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
