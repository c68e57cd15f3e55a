//! The pack that small store paths have in common.
//!
//! A file for each pack is opened whenever a closure is mounted, so the contents of small paths do not get one each: they
//! stand one after the other in a pack without a path, as if other packs' paths had been collected from it. Every path still
//! has a pack of its own, with its record in it. A common pack is full after so many paths or bytes; and it is written to no
//! more once it is to be marked as being on disk, or once garbage is collected.

use crate::{
    BLOCK,
    error::{FileError, failed},
    index::Pack,
    layout::{PackId, PackName},
    record::Place,
    store::{Shared, lock},
};
use std::{
    fs::File,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::Mutex,
};

/// The length of its file from the start. Where nothing was written it is a hole.
const LENGTH: u64 = 16 << 20;

/// Giving back the space of one path reads the records of all.
const MOST_PATHS: u32 = 64;

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
    paths: u32,
}

impl Shared {
    /// Writes contents of a small path, whole blocks, into the common pack, and gives where they start. The caller gets a lease
    /// of the pack.
    pub(crate) fn put_in_common(&self, contents: &[u8]) -> Result<Place, FileError> {
        let mut common = lock(&self.common.0);
        let length = contents.len() as u64;
        let is_full = |open: &Open| open.paths == MOST_PATHS || open.written + length > LENGTH;
        if common.as_ref().is_some_and(is_full) {
            self.end(common.take());
        }
        let open = match &mut *common {
            Some(open) => open,
            none => none.insert(self.begin()?),
        };
        let start = open.written;
        // Also of what is not written as a whole nothing is used again.
        open.written += length;
        open.paths += 1;
        let written = open.file.write_all_at(contents, start);
        let written = written.and_then(|()| open.file.metadata());
        let metadata = written.map_err(failed("write", &open.path))?;
        let mut index = self.index_mut();
        index.set_disk_bytes(open.id, metadata.blocks() * 512);
        if let Some(pack) = index.pack_mut(open.id) {
            pack.leases += 1;
        }
        Ok(Place {
            pack: open.id,
            block: (start / BLOCK) as u32,
        })
    }

    fn begin(&self) -> Result<Open, FileError> {
        let id = self.next_pack()?;
        let name = PackName { id, path: None };
        let path = self.layout.pack(&name);
        let created = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path);
        let file = created.map_err(failed("create", &path))?;
        if let Err(error) = file.set_len(LENGTH) {
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
            written: 0,
            paths: 0,
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
