//! What is in the store, in memory: paths, and which pack refers to which.
//!
//! [`crate::places`] says where contents are. References go from a pack to those that hold the bytes themselves, never further:
//! a file that two packs refer to lies in a third.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use nix_formats::{NarInfo, StorePath};
use serde::{Deserialize, Serialize};

use crate::layout::{PackId, PackName};

/// One pack, or one path in a [common](crate::common) one.
#[derive(Debug)]
pub(crate) struct Pack {
    /// That of its file, if it has one of its own.
    pub(crate) name: PackName,
    /// Where it is if it has none.
    pub(crate) within: Option<Within>,
    /// What is known of its path. A pack whose path was collected has none.
    pub(crate) info: Option<Arc<NarInfo>>,
    /// Bytes of contents.
    pub(crate) data: u64,
    /// Bytes on disk.
    pub(crate) disk: u64,
    /// Packs that its record refers to.
    pub(crate) refers: Vec<PackId>,
    /// Packs whose records refer to it.
    pub(crate) referrers: HashSet<PackId>,
    /// Packs being written that refer to it.
    pub(crate) leases: u32,
    /// How many hold its path.
    pub(crate) pins: u32,
    /// The garbage collection during which its path was held last.
    pub(crate) held_in: u64,
    /// When its path was used last, in seconds since the epoch.
    pub(crate) used: u64,
    /// Whether it must be verified before its next use.
    pub(crate) is_suspect: bool,
    /// Whether it may hold contents that nothing refers to any more; only without a path.
    pub(crate) has_gaps: bool,
    /// Whether its file, or a part of it, is being given back: nothing may come to refer to it meanwhile.
    pub(crate) is_going: bool,
}

impl Pack {
    pub(crate) fn new(name: PackName, info: Option<Arc<NarInfo>>) -> Self {
        Self {
            has_gaps: name.path.is_none(),
            name,
            within: None,
            info,
            data: 0,
            disk: 0,
            refers: Vec::new(),
            referrers: HashSet::new(),
            leases: 0,
            pins: 0,
            held_in: 0,
            used: 0,
            is_suspect: false,
            is_going: false,
        }
    }

    /// A path in a common pack, whose record refers to these packs. It needs the one that it is in, too.
    pub(crate) fn within(
        id: PackId,
        info: Arc<NarInfo>,
        within: Within,
        mut refers: Vec<PackId>,
    ) -> Self {
        if !refers.contains(&within.pack) {
            refers.push(within.pack);
        }
        let mut pack = Self::new(PackName::of_path(id, info.path.clone()), Some(info));
        pack.within = Some(within);
        pack.refers = refers;
        pack
    }

    /// Whether something may come to refer to contents in it. What must be verified first is not known to be on disk, however
    /// its bytes are.
    pub(crate) fn may_be_referred_to(&self) -> bool {
        !(self.is_going || self.is_suspect && self.info.is_some())
    }

    /// Whether its file may go.
    pub(crate) fn is_unused(&self) -> bool {
        self.info.is_none() && self.referrers.is_empty() && self.leases == 0
    }
}

/// A place in a common pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Within {
    pub(crate) pack: PackId,
    pub(crate) slot: u32,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    packs: HashMap<PackId, Pack>,
    paths: HashMap<StorePath, Vec<PackId>>,
    /// Bytes that all packs take on disk.
    disk: u64,
    /// Counts garbage collections.
    pub(crate) collection: u64,
}

impl Index {
    pub(crate) fn pack(&self, id: PackId) -> Option<&Pack> {
        self.packs.get(&id)
    }

    pub(crate) fn pack_mut(&mut self, id: PackId) -> Option<&mut Pack> {
        self.packs.get_mut(&id)
    }

    /// The pack whose file a pack is in: itself, or a common one.
    pub(crate) fn file(&self, id: PackId) -> Option<&Pack> {
        let pack = self.pack(id)?;
        pack.within
            .map_or(Some(pack), |within| self.pack(within.pack))
    }

    pub(crate) fn packs(&self) -> impl Iterator<Item = (PackId, &Pack)> {
        self.packs.iter().map(|(&id, pack)| (id, pack))
    }

    /// How many packs there are.
    pub(crate) fn len(&self) -> usize {
        self.packs.len()
    }

    /// The packs of a path: one for each of its contents, or sets of references, that caches had.
    pub(crate) fn variants(&self, path: &StorePath) -> &[PackId] {
        self.paths.get(path).map_or(&[], Vec::as_slice)
    }

    /// The pack of a path of which the same is known, signatures aside.
    pub(crate) fn find(&self, wanted: &NarInfo) -> Option<PackId> {
        let is_same = |info: &NarInfo| {
            info.nar_hash == wanted.nar_hash
                && info.nar_size == wanted.nar_size
                && info.references == wanted.references
                && info.ca == wanted.ca
        };
        let variants = self.variants(&wanted.path).iter();
        variants.copied().find(|id| {
            let info = self.packs.get(id).and_then(|pack| pack.info.as_ref());
            info.is_some_and(|info| is_same(info))
        })
    }

    /// Bytes that all packs take on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk
    }

    /// Notes what a pack takes on disk.
    pub(crate) fn set_disk_bytes(&mut self, id: PackId, bytes: u64) {
        if let Some(pack) = self.packs.get_mut(&id) {
            self.disk = self.disk - pack.disk + bytes;
            pack.disk = bytes;
        }
    }

    /// Adds a pack; its path can be found from now on. What it refers to should be there already, or see [`Index::link`].
    pub(crate) fn insert(&mut self, pack: Pack) {
        let id = pack.name.id;
        for refers in &pack.refers {
            if let Some(other) = self.packs.get_mut(refers) {
                other.referrers.insert(id);
            }
        }
        if let Some(path) = &pack.name.path {
            self.paths.entry(path.clone()).or_default().push(id);
        }
        self.disk += pack.disk;
        self.packs.insert(id, pack);
    }

    /// Finds who refers to whom, after packs were inserted in any order.
    pub(crate) fn link(&mut self) {
        let references: Vec<(PackId, PackId)> = self
            .packs()
            .flat_map(|(id, pack)| pack.refers.iter().map(move |&to| (id, to)))
            .collect();
        for (from, to) in references {
            if let Some(pack) = self.packs.get_mut(&to) {
                pack.referrers.insert(from);
            }
        }
    }

    /// Makes a path unknown. Its pack is one without a path now.
    pub(crate) fn drop_path(&mut self, id: PackId) {
        let Some(pack) = self.packs.get_mut(&id) else {
            return;
        };
        let path = pack.name.path.take();
        pack.info = None;
        pack.has_gaps = true;
        let refers = std::mem::take(&mut pack.refers);
        if let Some(path) = path
            && let Some(variants) = self.paths.get_mut(&path)
        {
            variants.retain(|&variant| variant != id);
            if variants.is_empty() {
                self.paths.remove(&path);
            }
        }
        for other in &refers {
            if let Some(other) = self.packs.get_mut(other) {
                other.referrers.remove(&id);
                other.has_gaps |= other.info.is_none();
            }
        }
    }

    /// Forgets a pack that [is not used](Pack::is_unused).
    pub(crate) fn remove(&mut self, id: PackId) {
        if let Some(pack) = self.packs.remove(&id) {
            self.disk -= pack.disk;
        }
    }
}
