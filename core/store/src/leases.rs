//! Referring to contents that are stored already.

use std::fs::File;
use std::io;
use std::sync::Arc;

use hashbrown::HashSet;

use crate::BLOCK;
use crate::contents::{PIECE, read_at};
use crate::layout::PackId;
use crate::record::{ContentHash, Place};
use crate::store::Shared;

/// Contents that are stored already. As long as this lives, the packs of which it told stay as they are.
#[derive(Debug)]
pub(crate) struct Leases {
    shared: Arc<Shared>,
    packs: HashSet<PackId>,
    /// The pack that was looked into last.
    open: Option<(PackId, File)>,
    piece: Vec<u8>,
}

impl Leases {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            packs: HashSet::new(),
            open: None,
            piece: Vec::new(),
        }
    }

    /// The lease that the index counts already for a pack.
    pub(crate) fn of_leased(shared: Arc<Shared>, pack: PackId) -> Self {
        let mut leases = Self::new(shared);
        leases.packs.insert(pack);
        leases
    }

    /// A place where there are contents of this size with this hash. They were read: what the table of contents says does not count.
    pub(crate) fn find(&mut self, hash: &ContentHash, size: u64) -> Option<Place> {
        // Not read while the table is locked.
        let said: Vec<Place> = self.shared.catalog.places().find(hash).collect();
        said.into_iter().find(|&place| {
            self.lease(place, size)
                && self.holds(place, hash, size).unwrap_or_else(|error| {
                    tracing::debug!(pack = %place.pack, %error, "contents can't be read; they are written again");
                    false
                })
        })
    }

    /// Keeps a pack as it is, if these bytes are part of its contents.
    fn lease(&mut self, place: Place, size: u64) -> bool {
        let mut index = self.shared.index_mut();
        let Some(pack) = index.pack_mut(place.pack) else {
            return false;
        };
        let is_within = place
            .offset()
            .checked_add(size)
            .is_some_and(|end| end <= pack.data);
        if !is_within || !pack.may_be_referred_to() {
            return false;
        }
        if self.packs.insert(place.pack) {
            pack.leases += 1;
        }
        true
    }

    /// Whether these contents are there, and zeros behind them up to the end of their last block: who maps a file sees those.
    fn holds(&mut self, place: Place, hash: &ContentHash, size: u64) -> io::Result<bool> {
        if self
            .open
            .as_ref()
            .is_none_or(|(pack, _)| *pack != place.pack)
        {
            let path = self.shared.pack_path(place.pack);
            self.open = Some((
                place.pack,
                File::open(path.ok_or(io::ErrorKind::NotFound)?)?,
            ));
        }
        let Some((_, file)) = &self.open else {
            return Ok(false);
        };
        let mut hasher = blake3::Hasher::new();
        let (mut done, end) = (0, size.next_multiple_of(BLOCK));
        while done < end {
            let count = (end - done).min(PIECE as u64);
            self.piece.resize(PIECE.min(end as usize), 0);
            let bytes = &mut self.piece[..count as usize];
            read_at(file, bytes, place.offset() + done)?;
            let contents = (size - done.min(size)).min(count) as usize;
            hasher.update(&bytes[..contents]);
            if bytes[contents..].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            done += count;
        }
        Ok(hasher.finalize() == *hash)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let mut index = self.shared.index_mut();
        for &id in &self.packs {
            if let Some(pack) = index.pack_mut(id) {
                pack.leases -= 1;
            }
        }
    }
}
