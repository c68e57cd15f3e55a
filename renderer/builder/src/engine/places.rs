//! Where the paths are that builds need: in the build store, in a store of this machine, or still with the evaluation.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use binary_cache::{Caches, NarSource};
use niphas_api::Roots;
use niphas_store::{
    ClosureImage, ExportedPath, HeldPath, NewPath, PackError, RealisedClosure, Store, StoreError,
};
use nix_formats::{StoreDir, StorePath};

use super::failure::InputError;
use crate::environment::{PathInfo, PathInfos};
use crate::{Sources, UnreadSource};

/// A store of this machine whose paths are used where they are: `/nix/store` of Nix, or a volume with a closure.
#[derive(Clone)]
pub struct InputFolder {
    /// The folder with the paths.
    pub folder: PathBuf,
    /// Knows them.
    pub source: Arc<dyn NarSource>,
}

/// Knows where paths are, and keeps those of the build store from being collected.
pub(super) struct Places {
    pub(super) store: Store,
    pub(super) store_dir: StoreDir,
    caches: Arc<Caches>,
    sources: Option<Arc<dyn Sources>>,
    folder: Option<InputFolder>,
    /// Inputs are mounted as whole closures, not as files of each path.
    mounts: bool,
    known: Mutex<HashMap<StorePath, Arc<Located>>>,
}

/// A path that is here.
pub(super) struct Located {
    pub(super) info: PathInfo,
    /// In the build store. None: in the folder.
    held: Option<HeldPath>,
}

/// The closure of a build's inputs.
pub(super) struct Closure {
    /// All paths.
    pub(super) paths: BTreeSet<StorePath>,
    /// Those in the build store. Where closures are mounted, what they refer to is there too.
    pub(super) stored: Vec<StorePath>,
    /// Those in the folder.
    pub(super) in_folder: Vec<StorePath>,
}

/// Paths, and where they are.
type Found = Vec<(StorePath, Arc<Located>)>;

impl Places {
    pub(super) fn new(
        store: Store,
        caches: Arc<Caches>,
        sources: Option<Arc<dyn Sources>>,
        folder: Option<InputFolder>,
        mounts: bool,
    ) -> Self {
        Self {
            store_dir: caches.store_dir().clone(),
            store,
            caches,
            sources,
            folder,
            mounts,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<StorePath, Arc<Located>>> {
        // Nothing panics half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the machine's paths.
    pub(super) fn folder(&self) -> Option<&PathBuf> {
        self.folder.as_ref().map(|folder| &folder.folder)
    }

    /// A path, if it is in the build store with contents that are trusted, or in the folder.
    pub(super) fn locate(&self, path: &StorePath) -> Result<Option<Arc<Located>>, InputError> {
        if let Some(found) = self.known().get(path) {
            return Ok(Some(Arc::clone(found)));
        }
        let found = match self.in_store(path) {
            Some(found) => Some(found),
            None => self.in_folder(path)?,
        };
        let found = found.map(Arc::new);
        if let Some(found) = &found {
            self.known().insert(path.clone(), Arc::clone(found));
        }
        Ok(found)
    }

    fn in_store(&self, path: &StorePath) -> Option<Located> {
        let variants = self.store.variants(path);
        let mut trusted = variants
            .into_iter()
            .filter(|it| self.caches.judge(&it.info).is_ok());
        let stored = trusted.next()?;
        // It may have been collected by now.
        let held = self.store.hold_path(&stored).ok()?;
        Some(Located::stored(held))
    }

    fn in_folder(&self, path: &StorePath) -> Result<Option<Located>, InputError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let info = folder
            .source
            .infos(std::slice::from_ref(path))?
            .pop()
            .flatten();
        Ok(info.map(|info| Located {
            info: PathInfo {
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
                references: info.references,
                content_address: info.ca,
            },
            held: None,
        }))
    }

    /// What a source of the evaluation refers to.
    pub(super) fn source_references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>> {
        self.sources.as_ref()?.references(path)
    }

    /// Paths that were built or put into the store.
    pub(super) fn add_held(&self, held: Vec<HeldPath>) {
        let mut known = self.known();
        for held in held {
            let path = held.stored.path().clone();
            known.insert(path, Arc::new(Located::stored(held)));
        }
    }

    /// The closure of paths, of which sources of the evaluation are put into the store. Or those paths of it that are not
    /// here.
    pub(super) fn closure(
        &self,
        roots: &[StorePath],
    ) -> Result<Result<Closure, Vec<StorePath>>, InputError> {
        let mut found = match self.found(roots)? {
            Ok(found) => found,
            Err(missing) => return Ok(Err(missing)),
        };
        if self.mounts {
            self.complete(&mut found)?;
        }
        let paths = found.iter().map(|(path, _)| path.clone()).collect();
        let (stored, in_folder) = found.into_iter().partition(|(_, it)| it.held.is_some());
        let names = |found: Vec<(StorePath, Arc<Located>)>| {
            let mut names: Vec<StorePath> = found.into_iter().map(|(path, _)| path).collect();
            names.sort();
            names
        };
        Ok(Ok(Closure {
            paths,
            stored: names(stored),
            in_folder: names(in_folder),
        }))
    }

    /// Where all paths of a closure are. Or those of it that are not here.
    fn found(&self, roots: &[StorePath]) -> Result<Result<Found, Vec<StorePath>>, InputError> {
        let (mut paths, mut missing) = (BTreeSet::new(), Vec::new());
        let mut found = Vec::new();
        let mut wanted: Vec<StorePath> = roots.to_vec();
        while let Some(path) = wanted.pop() {
            if !paths.insert(path.clone()) {
                continue;
            }
            let located = if let Some(located) = self.locate(&path)? {
                located
            } else if let Some(references) = self.source_references(&path) {
                self.add_source(&path, references)?
            } else {
                missing.push(path);
                continue;
            };
            wanted.extend(located.info.references.iter().cloned());
            found.push((path, located));
        }
        Ok(if missing.is_empty() {
            Ok(found)
        } else {
            Err(missing)
        })
    }

    /// Those paths of a closure that are neither here nor sources of the evaluation.
    pub(super) fn missing(&self, roots: &[StorePath]) -> Result<Vec<StorePath>, InputError> {
        let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
        let mut wanted: Vec<StorePath> = roots.to_vec();
        while let Some(path) = wanted.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            if let Some(located) = self.locate(&path)? {
                wanted.extend(located.info.references.iter().cloned());
            } else if let Some(references) = self.source_references(&path) {
                wanted.extend(references);
            } else {
                missing.push(path);
            }
        }
        Ok(missing)
    }

    /// Copies into the store what stored paths refer to: only whole closures are mounted.
    fn complete(&self, found: &mut [(StorePath, Arc<Located>)]) -> Result<(), InputError> {
        if found.iter().all(|(_, it)| it.held.is_some()) {
            return Ok(());
        }
        let index: HashMap<StorePath, usize> = found
            .iter()
            .enumerate()
            .map(|(at, (path, _))| (path.clone(), at))
            .collect();
        let is_stored = |at: &usize| found[*at].1.held.is_some();
        let mut wanted: Vec<usize> = (0..found.len()).filter(is_stored).collect();
        let mut seen: BTreeSet<usize> = wanted.iter().copied().collect();
        while let Some(at) = wanted.pop() {
            let (path, located) = &found[at];
            let references = located.info.references.iter();
            wanted.extend(
                references
                    .filter_map(|it| index.get(it).copied())
                    .filter(|&it| seen.insert(it)),
            );
            if located.held.is_none() {
                let stored = self.copy(path)?;
                found[at].1 = stored;
            }
        }
        Ok(())
    }

    fn copy(&self, path: &StorePath) -> Result<Arc<Located>, InputError> {
        let print = || self.store_dir.print(path);
        let folder = self
            .folder
            .as_ref()
            .ok_or_else(|| InputError::Unknown(print()))?;
        let info = folder
            .source
            .infos(std::slice::from_ref(path))?
            .pop()
            .flatten();
        let info = info.ok_or_else(|| InputError::Unknown(print()))?;
        let failed = |source| InputError::Pack {
            path: print(),
            source,
        };
        let packed = self.store.pack_written(Some(info.nar_size), |out| {
            folder
                .source
                .write_nar(&info, out)
                .map_err(io::Error::other)
        });
        let packed = packed.map_err(failed)?;
        if packed.nar_hash != info.nar_hash {
            let damaged = io::Error::other("its contents are not those that its store knows");
            return Err(failed(PackError::Read(damaged)));
        }
        let held = self.store.add(
            packed,
            NewPath {
                path: info.path,
                references: info.references,
                deriver: info.deriver,
                content_address: info.ca,
            },
        )?;
        Ok(self.remember(held))
    }

    fn add_source(
        &self,
        path: &StorePath,
        references: BTreeSet<StorePath>,
    ) -> Result<Arc<Located>, InputError> {
        let unknown = || InputError::Source(UnreadSource::Unknown(path.clone()));
        let sources = self.sources.as_ref().ok_or_else(unknown)?;
        let mut written = Err(UnreadSource::Unknown(path.clone()));
        let packed = self.store.pack_written(None, |out| {
            written = sources.write_nar(path, out);
            match &written {
                Ok(_) => Ok(()),
                Err(error) => Err(io::Error::other(error.to_string())),
            }
        });
        let content_address = match (written, &packed) {
            // It was not read on, and knows only that.
            (Err(UnreadSource::Io { .. }), Err(PackError::Store(_))) => None,
            (written, _) => Some(written?),
        };
        let packed = packed.map_err(|source| InputError::Pack {
            path: self.store_dir.print(path),
            source,
        })?;
        let held = self.store.add(
            packed,
            NewPath {
                path: path.clone(),
                references,
                deriver: None,
                content_address,
            },
        )?;
        Ok(self.remember(held))
    }

    /// Whether a path is in the folder, and not in the build store.
    pub(super) fn is_in_folder(&self, path: &StorePath) -> bool {
        matches!(self.locate(path), Ok(Some(located)) if located.is_in_folder())
    }

    /// Whether a path is in the build store.
    pub(super) fn is_stored(&self, path: &StorePath) -> bool {
        matches!(self.locate(path), Ok(Some(located)) if located.held.is_some())
    }

    /// The image of paths that are stored with all that they refer to.
    pub(super) fn image(&self, paths: &[StorePath]) -> Result<ClosureImage, InputError> {
        Ok(self.store.image(&self.stored(paths)?)?)
    }

    /// Paths in the build store as files, which are made if they are not there.
    pub(super) fn export(&self, paths: &[StorePath]) -> Result<Vec<ExportedPath>, InputError> {
        let export = |path: &StorePath| {
            let located = self.locate(path)?;
            let held = located.as_ref().and_then(|it| it.held.as_ref());
            let held = held.ok_or_else(|| StoreError::NotStored(path.clone()))?;
            Ok(self.store.exported_path(held)?)
        };
        paths.iter().map(export).collect()
    }

    /// Holds the closures of paths in the build store. What they need of the folder is copied.
    pub(super) fn hold(&self, paths: &[StorePath]) -> Result<RealisedClosure, InputError> {
        match self.found(paths)? {
            Ok(mut found) => {
                self.complete(&mut found)?;
                Ok(self.stored(paths)?)
            }
            Err(missing) => Err(InputError::Unknown(self.names(&missing))),
        }
    }

    /// Paths as messages name them.
    pub(super) fn names(&self, paths: &[StorePath]) -> String {
        let names: Vec<String> = paths.iter().map(|it| self.store_dir.print(it)).collect();
        nix_formats::few(&names)
    }

    fn stored(&self, paths: &[StorePath]) -> Result<RealisedClosure, StoreError> {
        let roots = Roots::try_from(paths.to_vec());
        self.store
            .stored_closure(&roots.expect("there are stored paths"))
    }

    fn remember(&self, held: HeldPath) -> Arc<Located> {
        let path = held.stored.path().clone();
        let located = Arc::new(Located::stored(held));
        self.known().insert(path, Arc::clone(&located));
        located
    }
}

impl Located {
    /// Whether it is in the folder, and not in the build store.
    pub(super) fn is_in_folder(&self) -> bool {
        self.held.is_none()
    }

    fn stored(held: HeldPath) -> Self {
        let info = &held.stored.info;
        Self {
            info: PathInfo {
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
                references: info.references.clone(),
                content_address: info.ca,
            },
            held: Some(held),
        }
    }
}

impl PathInfos for Places {
    fn path_info(
        &self,
        path: &StorePath,
    ) -> Result<Option<Arc<PathInfo>>, Box<dyn std::error::Error + Send + Sync>> {
        let located = self.locate(path)?;
        Ok(located.map(|located| Arc::new(located.info.clone())))
    }
}
