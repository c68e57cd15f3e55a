//! Locking: from a flake's inputs and its old lock file to the lock file that Nix would write.

mod compute;
mod fingerprint;
mod write;

pub use write::WrittenLock;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::decl::{Flake, FlakeDecl, Place, ReadFlake};
use crate::error::FlakeError;
use crate::fetch::{Fetcher, Resolved};
use crate::flake_ref::FlakeRef;
use crate::input_path::InputPath;
use crate::lock_file::{LockFile, NodeId};
use crate::registry::UseRegistries;
use compute::Locker;

/// The largest lock file that is read.
const MAX_LOCK_FILE: u64 = 64 << 20;

/// How to lock a flake.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of Nix")]
pub struct LockOptions {
    /// Update all inputs.
    pub recreate: bool,
    /// Update these inputs.
    pub updates: BTreeSet<InputPath>,
    /// Take these references for inputs, whatever flake.nix says.
    pub overrides: Vec<(InputPath, FlakeRef)>,
    /// Whether names may be looked up in registries.
    pub use_registries: bool,
    /// Whether inputs that aren't locked by their reference may be fetched.
    pub allow_unlocked: bool,
    /// Commit the lock file once it is written.
    pub commit: bool,
    /// The old lock file, where it is not the flake's own.
    pub reference_lock_file: Option<PathBuf>,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            recreate: false,
            updates: BTreeSet::new(),
            overrides: Vec::new(),
            use_registries: true,
            allow_unlocked: true,
            commit: false,
            reference_lock_file: None,
        }
    }
}

/// A flake with its lock file.
#[derive(Debug, Clone)]
pub struct LockedFlake {
    /// The flake.
    pub flake: Flake,
    /// What the lock file ought to be.
    pub lock_file: LockFile,
    /// What it was.
    pub old_lock_file: LockFile,
    /// Where the nodes that were fetched are; always the root.
    pub places: BTreeMap<NodeId, Place>,
    /// Whether `self` is to have no `rev`, because its lock file is not the committed one.
    pub force_dirty: bool,
}

impl LockedFlake {
    /// Whether the lock file has to be written.
    pub fn is_changed(&self) -> bool {
        self.lock_file != self.old_lock_file
    }
}

/// Fetches flakes and reads them.
pub(crate) struct Reader<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) read: &'a ReadFlake<'a>,
}

impl Reader<'_> {
    /// Fetches the flake that `original` refers to.
    pub(crate) fn flake(
        &self,
        original: &FlakeRef,
        registries: UseRegistries,
    ) -> Result<Flake, FlakeError> {
        let Resolved {
            resolved,
            dir,
            mut fetched,
        } = self.fetcher.fetch(&original.input, registries)?;
        let subdir = dir.unwrap_or_else(|| original.subdir.clone());
        let mut place = Place::new(fetched.clone(), &subdir)?;
        let resolved = FlakeRef {
            input: resolved,
            subdir: subdir.clone(),
        };
        let mut decl = self.decl(&place, &resolved)?;
        // The flake may say how it wants to be fetched.
        let mut wanted = fetched.input.clone();
        for (name, value) in decl.self_attrs.iter() {
            if !matches!(name, "submodules" | "lfs") {
                return Err(FlakeError::SelfAttr(name.to_owned()));
            }
            wanted.attrs_mut().set(name, value.clone());
        }
        if wanted != fetched.input {
            wanted.attrs_mut().remove("narHash");
            fetched = self.fetcher.fetch(&wanted, UseRegistries::No)?.fetched;
            place = Place::new(fetched.clone(), &subdir)?;
            decl = self.decl(&place, &resolved)?;
        }
        Ok(Flake {
            original: original.clone(),
            resolved,
            locked: FlakeRef {
                input: fetched.input,
                subdir,
            },
            place,
            decl,
        })
    }

    /// Reads the flake in a folder of a tree that is here already.
    pub(crate) fn flake_at(&self, reference: &FlakeRef, root: &Place) -> Result<Flake, FlakeError> {
        let place = root.join(&reference.subdir)?;
        let decl = self.decl(&place, reference)?;
        Ok(Flake {
            original: reference.clone(),
            resolved: reference.clone(),
            locked: reference.clone(),
            place,
            decl,
        })
    }

    fn decl(&self, place: &Place, reference: &FlakeRef) -> Result<FlakeDecl, FlakeError> {
        let file = place.file("flake.nix");
        let tree = &place.fetched.tree;
        if tree.kind(&file)?.is_none() {
            return Err(tree
                .untracked(&file)
                .unwrap_or_else(|| FlakeError::NoFlakeFile {
                    reference: reference.to_string(),
                    file: file.display().to_string(),
                }));
        }
        (self.read)(place).map_err(|source| FlakeError::FlakeNix {
            file: format!("{reference}: {}", file.display()),
            source,
        })
    }
}

/// Works out the lock file of the flake that `reference` refers to. Nothing is written.
pub fn lock(
    fetcher: &Fetcher,
    read: &ReadFlake<'_>,
    reference: &FlakeRef,
    options: &LockOptions,
) -> Result<LockedFlake, FlakeError> {
    let reader = Reader { fetcher, read };
    let registries = if options.use_registries {
        UseRegistries::All
    } else {
        UseRegistries::No
    };
    let flake = reader.flake(reference, registries)?;
    lock_read(&reader, &flake, options)
}

fn lock_read(
    reader: &Reader<'_>,
    flake: &Flake,
    options: &LockOptions,
) -> Result<LockedFlake, FlakeError> {
    let name = flake.locked.to_string();
    let locked = || {
        let old_lock_file = match &options.reference_lock_file {
            Some(path) => read_lock_file_at(path)?,
            None => read_lock_file(&flake.place)?,
        };
        let mut locker = Locker::new(reader, options, flake);
        locker.run(flake, &old_lock_file)?;
        let (lock_file, places) = locker.finish()?;
        Ok(LockedFlake {
            flake: flake.clone(),
            lock_file,
            old_lock_file,
            places,
            force_dirty: false,
        })
    };
    locked().map_err(|source| FlakeError::UpdatingLock {
        flake: name,
        source: Box::new(source),
    })
}

/// The lock file in a flake's folder; an empty one if there is none.
fn read_lock_file(place: &Place) -> Result<LockFile, FlakeError> {
    let file = place.file("flake.lock");
    let tree = &place.fetched.tree;
    let shown = tree.root().join(&file).display().to_string();
    match tree.read_text(&file, MAX_LOCK_FILE)? {
        Some(contents) => Ok(LockFile::parse(&contents, &shown)?),
        None => Ok(LockFile::default()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that the user names, which may be a pipe"
)]
fn read_lock_file_at(path: &Path) -> Result<LockFile, FlakeError> {
    let contents = std::fs::read_to_string(path).map_err(FlakeError::io("reading file", path))?;
    Ok(LockFile::parse(&contents, &path.display().to_string())?)
}
