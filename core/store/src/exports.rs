//! Paths as files that stay in the store, for builds on machines where no image can be mounted.
//!
//! `exports/<id>` has the path of a pack, by its base name. It appears as a whole, and goes with the pack. What it takes on disk
//! is estimated: the size of the path's NAR.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix_formats::StorePath;
use tree_writer::{Limits, Modes, TreeWriter};

use crate::add::HeldPath;
use crate::contents::PackFiles;
use crate::error::{FileError, StoreError, failed};
use crate::export::write;
use crate::index::Index;
use crate::layout::{Layout, PackId};
use crate::realise::RealisedClosure;
use crate::store::{Store, StoredPath, lock};

/// A path that lies in a folder as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedPath {
    /// The path.
    pub path: StorePath,
    /// The folder that has it, by its base name.
    pub folder: PathBuf,
}

impl Store {
    /// The paths of a closure as files, which are as Nix has them, and the caller's own: directories 0555, files 0444 or 0555,
    /// times 1 second after the epoch. Those are written that were not before. All stay as long as the closure is held.
    pub fn exported(&self, closure: &RealisedClosure) -> Result<Vec<ExportedPath>, StoreError> {
        let packs = closure.packs();
        let paths = packs.filter_map(|pack| self.shared.stored(pack));
        paths.map(|path| self.written_out(&path)).collect()
    }

    /// One path as files, as [`exported`](Self::exported) makes them. They stay as long as the path is held.
    pub fn exported_path(&self, path: &HeldPath) -> Result<ExportedPath, StoreError> {
        self.written_out(&path.stored)
    }

    fn written_out(&self, path: &StoredPath) -> Result<ExportedPath, StoreError> {
        let folder = self.shared.layout.export(path.pack);
        let exported = ExportedPath {
            path: path.path().clone(),
            folder,
        };
        let is_there = |exported: &ExportedPath| exported.folder.is_dir();
        if is_there(&exported) {
            return Ok(exported);
        }
        self.writable()?;
        // Two builds that begin at once have much the same inputs.
        let _one_at_a_time = lock(&self.shared.exporting);
        if is_there(&exported) {
            return Ok(exported);
        }
        let _room = self.room_now(path.info.nar_size)?;
        let made = self.shared.temporary()?;
        let written = self.write_files(path, &made).and_then(|()| {
            let placed = fs::rename(&made, &exported.folder);
            Ok(placed.map_err(failed("create", &exported.folder))?)
        });
        if written.is_err() {
            // What is left of it goes when the store is opened again, if it does not now.
            let _ = remove_tree(&made);
        }
        written.map(|()| exported)
    }

    fn write_files(&self, path: &StoredPath, folder: &Path) -> Result<(), StoreError> {
        // Sizes and counts were checked when the path was stored. The folder itself stays writable, so that it can be moved.
        let mut writer = TreeWriter::new(folder, Modes::Store, Limits::NONE)?;
        let tree = self.shared.tree(path)?;
        let mut packs = PackFiles::new(&self.shared, path.path());
        let base_name = path.path().base_name().as_bytes();
        let mut events = tree.events();
        let bad = |source| self.shared.bad_record(path, source);
        while let Some(event) = events.next().map_err(bad)? {
            write(&mut writer, &mut packs, base_name, event)?;
        }
        Ok(())
    }

    /// Bytes that exports take on disk, about.
    pub(crate) fn exported_bytes(&self) -> u64 {
        let exports = exports(&self.shared.layout);
        let index = self.shared.index();
        let size = |id| Some(index.pack(id)?.info.as_ref()?.nar_size);
        exports.filter_map(|(id, _)| size(id)).sum()
    }

    /// Removes the export of a pack, if there is one.
    pub(crate) fn remove_export(&self, id: PackId) -> Result<(), FileError> {
        let folder = self.shared.layout.export(id);
        if !folder.is_dir() {
            return Ok(());
        }
        // Nothing uses what is half removed.
        let made = self.shared.temporary()?;
        fs::rename(&folder, &made).map_err(failed("remove", &folder))?;
        remove_tree(&made)
    }
}

/// Removes exports of packs that are not there any more, or all of them.
pub(crate) fn remove_exports(layout: &Layout, index: &Index, all: bool) -> Result<(), FileError> {
    for (id, folder) in exports(layout) {
        let is_there = index.pack(id).is_some_and(|pack| pack.info.is_some());
        if all || !is_there {
            remove_tree(&folder)?;
        }
    }
    Ok(())
}

fn exports(layout: &Layout) -> impl Iterator<Item = (PackId, PathBuf)> + use<> {
    let entries = fs::read_dir(layout.exports())
        .into_iter()
        .flatten()
        .flatten();
    entries.filter_map(|entry| Some((PackId::parse(entry.file_name().to_str()?)?, entry.path())))
}

/// Removes a folder or file, and folders in it that cannot be written to. Nothing is followed, and it is fine if it is not there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), FileError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(failed("remove", path))?,
    };
    if !metadata.is_dir() {
        return fs::remove_file(path).map_err(failed("remove", path));
    }
    if metadata.permissions().mode() & 0o700 != 0o700 {
        let writable = Permissions::from_mode(0o700);
        fs::set_permissions(path, writable).map_err(failed("remove", path))?;
    }
    // No deeper than a NAR is.
    for entry in fs::read_dir(path).map_err(failed("remove", path))? {
        remove_tree(&entry.map_err(failed("remove", path))?.path())?;
    }
    fs::remove_dir(path).map_err(failed("remove", path))
}
