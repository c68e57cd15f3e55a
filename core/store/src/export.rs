//! A closure as a folder of files, for kernels without EROFS and for people.

use std::fs;
use std::path::Path;

use tree_writer::{Limits, Modes, TreeError, TreeWriter};

use crate::contents::PackFiles;
use crate::error::{FileError, StoreError, failed};
use crate::realise::RealisedClosure;
use crate::record::TreeEvent;
use crate::store::Store;

impl Store {
    /// Writes a closure into a folder that is empty or not there yet: `store/` with its paths, `root`, a symlink to the
    /// first that it was asked for by, and `roots/` with one for each that has a name. All is as Nix has it: directories 0555, files 0444 or 0555, times 1 second after the
    /// epoch.
    ///
    /// What was written when this fails stays, for the caller to remove.
    pub fn export(&self, closure: &RealisedClosure, dir: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        // Sizes and counts were checked when the paths were realised.
        let mut writer = TreeWriter::new(dir, Modes::Store, Limits::NONE)?;
        writer.enter(b"store")?;
        for pack in closure.packs() {
            if let Some(path) = self.shared.stored(pack) {
                let tree = self.shared.tree(&path)?;
                let mut packs = PackFiles::new(&self.shared, path.path());
                let base_name = path.path().base_name().as_bytes();
                let mut events = tree.events();
                let bad = |source| self.shared.bad_record(&path, source);
                while let Some(event) = events.next().map_err(bad)? {
                    write(&mut writer, &mut packs, base_name, event)?;
                }
            }
        }
        writer.leave()?;
        let root = closure.roots.first().base_name();
        writer.symlink(b"root", format!("store/{root}").as_bytes())?;
        let mut names = closure.roots.names().peekable();
        if names.peek().is_some() {
            writer.enter(b"roots")?;
            for (name, path) in names {
                let target = format!("../store/{}", path.base_name());
                writer.symlink(name.as_str().as_bytes(), target.as_bytes())?;
            }
            writer.leave()?;
        }
        writer.finish()?;
        Ok(())
    }
}

pub(crate) fn write(
    writer: &mut TreeWriter,
    packs: &mut PackFiles<'_>,
    base_name: &[u8],
    event: TreeEvent<'_>,
) -> Result<(), StoreError> {
    let named = |name| if name == b"" { base_name } else { name };
    match event {
        TreeEvent::Enter(name) => writer.enter(named(name))?,
        TreeEvent::Leave => writer.leave()?,
        TreeEvent::Symlink(name, target) => writer.symlink(named(name), target)?,
        TreeEvent::File(name, file) => {
            let mut out = writer.file(named(name), file.executable, file.size)?;
            packs.read(&file, |piece| Ok(out.write(piece)?))?;
            out.finish()?;
        }
    }
    Ok(())
}

impl From<TreeError> for StoreError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::NotEmpty(folder) => Self::NotEmpty(folder),
            TreeError::Io {
                action,
                path,
                source,
            } => Self::File(FileError::new(action, path, source)),
            refused => Self::Export(refused),
        }
    }
}
