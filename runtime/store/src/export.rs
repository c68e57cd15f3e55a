//! A closure as a folder of files, for kernels without EROFS and for people.

use crate::{
    contents::PackFiles,
    error::{FileError, StoreError, failed},
    realise::RealisedClosure,
    record::TreeEvent,
    store::Store,
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

/// As long runs of zeros become holes.
const HOLE: usize = 64 << 10;

impl Store {
    /// Writes a closure into a folder that is empty or not there yet: `store/` with its paths and `root`, a symlink to the
    /// first that it was asked for by. All is as Nix has it: directories 0555, files 0444 or 0555, times 1 second after the
    /// epoch.
    ///
    /// What was written when this fails stays, for the caller to remove.
    pub fn export(&self, closure: &RealisedClosure, dir: &Path) -> Result<(), StoreError> {
        match fs::create_dir_all(dir).and_then(|()| fs::read_dir(dir)) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(StoreError::NotEmpty(dir.to_owned()));
                }
            }
            Err(error) => return Err(FileError::new("create", dir, error).into()),
        }
        let store = dir.join("store");
        fs::create_dir(&store).map_err(failed("create", &store))?;
        for pack in closure.packs() {
            if let Some(path) = self.shared.stored(pack) {
                let tree = self.shared.tree(&path)?;
                let mut packs = PackFiles::new(&self.shared, path.path());
                let mut export = Export {
                    packs: &mut packs,
                    place: store.clone(),
                };
                let base_name = path.path().base_name().as_bytes();
                let mut events = tree.events();
                let bad = |source| self.shared.bad_record(&path, source);
                while let Some(event) = events.next().map_err(bad)? {
                    export.event(base_name, event)?;
                }
            }
        }
        finish_directory(&store)?;
        let root = closure.roots.first().map_or("", |root| root.base_name());
        make_symlink(&dir.join("root"), format!("store/{root}").as_bytes())?;
        finish_directory(dir)?;
        Ok(())
    }
}

struct Export<'a, 'b> {
    packs: &'a mut PackFiles<'b>,
    /// The directory that is open.
    place: PathBuf,
}

impl Export<'_, '_> {
    fn event(&mut self, base_name: &[u8], event: TreeEvent<'_>) -> Result<(), StoreError> {
        let named = |name: &[u8]| -> PathBuf {
            let name = if name.is_empty() { base_name } else { name };
            self.place.join(OsStr::from_bytes(name))
        };
        match event {
            TreeEvent::Enter(name) => {
                self.place = named(name);
                fs::create_dir(&self.place).map_err(failed("create", &self.place))?;
            }
            TreeEvent::Leave => {
                finish_directory(&self.place)?;
                self.place.pop();
            }
            TreeEvent::Symlink(name, target) => make_symlink(&named(name), target)?,
            TreeEvent::File(name, file) => {
                let path = named(name);
                let out = File::options()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(failed("create", &path))?;
                let mut offset = 0;
                self.packs.read(&file, |piece| {
                    let is_hole = piece.len() >= HOLE && piece.iter().all(|&byte| byte == 0);
                    if !is_hole {
                        out.write_all_at(piece, offset)
                            .map_err(failed("write", &path))?;
                    }
                    offset += piece.len() as u64;
                    Ok(())
                })?;
                out.set_len(file.size).map_err(failed("write", &path))?;
                let mode = if file.executable { 0o555 } else { 0o444 };
                out.set_permissions(Permissions::from_mode(mode))
                    .map_err(failed("change the mode of", &path))?;
                set_time(&path)?;
            }
        }
        Ok(())
    }
}

fn make_symlink(path: &Path, target: &[u8]) -> Result<(), FileError> {
    symlink(OsStr::from_bytes(target), path).map_err(failed("create", path))?;
    set_time(path)
}

fn finish_directory(path: &Path) -> Result<(), FileError> {
    fs::set_permissions(path, Permissions::from_mode(0o555))
        .map_err(failed("change the mode of", path))?;
    set_time(path)
}

/// One second after the epoch, as in Nix's store.
fn set_time(path: &Path) -> Result<(), FileError> {
    let time = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(failed("change the time of", path))
}
