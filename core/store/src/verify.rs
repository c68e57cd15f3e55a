//! Finding out whether what is stored is what was stored, and mending it.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;

use binary_cache::{Caches, ClosureError};
use futures::{StreamExt, stream};
use nix_formats::{ContentHasher, NarHash, StorePath};
use thiserror::Error;

use crate::contents::PackFiles;
use crate::discard::open_to_write;
use crate::error::{StoreError, failed};
use crate::layout::PackId;
use crate::pack::{ReadError, read_record};
use crate::realise::RealiseError;
use crate::record::{FileNode, Tree, TreeEvent};
use crate::store::{Pin, Store, StoredPath};

/// What [`Store::verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Paths that were verified.
    pub paths: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
    /// Those that are not what they were.
    pub damaged: Vec<DamagedPath>,
}

/// A path that is not what it was.
#[derive(Debug)]
pub struct DamagedPath {
    /// The path.
    pub path: StorePath,
    /// What the hash of its NAR must be.
    pub nar_hash: NarHash,
    /// What is wrong.
    pub damage: StoreError,
    /// What came of the repair; nothing if none was wanted.
    pub repair: Option<Result<(), RepairError>>,
}

/// A damaged path can't be repaired.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The caches have something else under its name.
    #[error(
        "the caches have '{path}' with another NAR hash; collect it and realise its closure again"
    )]
    OtherContents {
        /// The path.
        path: StorePath,
    },
    /// It is still not what it was.
    #[error("'{0}' is still damaged: the disk does not keep what is written to it")]
    InVain(StorePath),
    /// It can't be fetched.
    #[error(transparent)]
    Fetch(#[from] RealiseError),
    /// It can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a path.
struct Damage {
    /// None if the record can't be read.
    tree: Option<Tree>,
    /// Which files, in the order of the tree, counting those that are not empty.
    files: Vec<(usize, FileNode)>,
    error: StoreError,
}

impl Damage {
    fn of_record(error: StoreError) -> Self {
        Self {
            tree: None,
            files: Vec::new(),
            error,
        }
    }
}

/// If more files of a path are damaged, it is fetched again as a whole.
const MAX_DAMAGED: usize = 1000;

impl Store {
    /// Rebuilds the NARs of paths and compares their hashes. What is damaged is fetched again if there are caches to `repair`
    /// it from: bytes are mended where they are, so closures that are mounted are mended with them.
    pub async fn verify(
        &self,
        paths: Vec<StoredPath>,
        repair: Option<Arc<Caches>>,
    ) -> Result<VerifyReport, StoreError> {
        if repair.is_some() {
            self.writable()?;
        }
        let at_once = thread::available_parallelism().map_or(2, usize::from);
        let checks = paths.into_iter().map(|path| {
            let store = self.clone();
            tokio::task::spawn_blocking(move || {
                let pin = Pin::new(&store.shared, path.pack);
                let damage = pin.as_ref().and_then(|_| store.damage(&path));
                (path, pin, damage)
            })
        });
        let mut checks = stream::iter(checks).buffer_unordered(at_once);
        let mut report = VerifyReport::default();
        while let Some(checked) = checks.next().await {
            // A panic is a bug, and was told of.
            let Ok((path, pin, damage)) = checked else {
                continue;
            };
            // Collected meanwhile.
            let Some(pin) = pin else { continue };
            report.paths += 1;
            report.bytes += path.info.nar_size;
            let Some(damage) = damage else {
                continue;
            };
            let mended = match &repair {
                Some(caches) => Some(self.repair(&path, &damage, caches).await),
                None => None,
            };
            drop(pin);
            report.damaged.push(DamagedPath {
                path: path.path().clone(),
                nar_hash: path.info.nar_hash,
                damage: damage.error,
                repair: mended,
            });
        }
        report.damaged.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(report)
    }

    /// What is wrong with a path.
    fn damage(&self, path: &StoredPath) -> Option<Damage> {
        let shared = &self.shared;
        let tree = match shared.tree(path) {
            Ok(tree) => tree,
            Err(error) => return Some(Damage::of_record(error)),
        };
        if shared
            .nar_hash(path, &tree)
            .is_ok_and(|hash| hash == path.info.nar_hash)
        {
            return None;
        }
        let (mut files, mut names, mut position) = (Vec::new(), Vec::new(), 0);
        let mut packs = PackFiles::new(shared, path.path());
        let walked = tree.walk(|name, event| {
            let TreeEvent::File(_, file) = event else {
                return;
            };
            if file.size == 0 || files.len() > MAX_DAMAGED {
                return;
            }
            let mut hasher = blake3::Hasher::new();
            let read = packs.read(&file, |piece| {
                hasher.update(piece);
                Ok(())
            });
            if read.is_err() || *hasher.finalize().as_bytes() != file.hash {
                files.push((position, file));
                names.push(String::from_utf8_lossy(name).into_owned());
            }
            position += 1;
        });
        if let Err(source) = walked {
            return Some(Damage::of_record(shared.bad_record(path, source)));
        }
        if files.len() > MAX_DAMAGED {
            files.clear();
        }
        Some(Damage {
            tree: Some(tree),
            files,
            error: StoreError::Damaged {
                path: path.path().clone(),
                names,
            },
        })
    }

    async fn repair(
        &self,
        path: &StoredPath,
        damage: &Damage,
        caches: &Arc<Caches>,
    ) -> Result<(), RepairError> {
        let unavailable = |error| {
            let error = ClosureError::Unavailable(vec![error]);
            RepairError::Fetch(RealiseError::Unavailable(error))
        };
        let found = caches.find(path.path(), None).await.map_err(unavailable)?;
        if found.info.nar_hash != path.info.nar_hash {
            let path = path.path().clone();
            return Err(RepairError::OtherContents { path });
        }
        // It must not refer to anything: that may be what is damaged.
        let read = self.read_nar(caches, &found, false).await?;
        let draft = self.finish(read, &found)?;
        let (store, path, files) = (self.clone(), path.clone(), damage.files.clone());
        let in_place = damage.tree.is_some() && !files.is_empty();
        let mended = tokio::task::spawn_blocking(move || {
            if in_place {
                let store_dir = &store.shared.options.store_dir;
                let fetched = read_record(draft.file(), draft.path(), store_dir, draft.id());
                let (fetched, _) = fetched.map_err(|error| match error {
                    ReadError::File(error) => error.into(),
                    ReadError::Record { source, .. } => store.shared.bad_record(&path, source),
                })?;
                store.mend(&path, &files, &fetched.tree, draft.file())?;
                let tree = store.shared.tree(&path)?;
                if store.shared.nar_hash(&path, &tree)? == path.info.nar_hash {
                    return Ok(());
                }
            }
            // Its record is of no use, or its files are gone: the new pack takes its place.
            store.discard(&path, true)?;
            let info = &path.info;
            let pin = store.publish(draft, info).map_err(StoreError::from)?;
            let new = StoredPath {
                pack: pin.pack,
                info: Arc::clone(info),
            };
            let tree = store.shared.tree(&new)?;
            if store.shared.nar_hash(&new, &tree)? == info.nar_hash {
                Ok(())
            } else {
                Err(RepairError::InVain(info.path.clone()))
            }
        });
        mended
            .await
            .unwrap_or(Err(RealiseError::Interrupted.into()))
    }

    /// Writes files where they belong, from a pack of the same path.
    fn mend(
        &self,
        path: &StoredPath,
        damaged: &[(usize, FileNode)],
        fetched: &Tree,
        from: &std::fs::File,
    ) -> Result<(), StoreError> {
        // Both in the order of the tree, which is the same.
        let mut good = fetched.extents().enumerate();
        for (position, file) in damaged {
            let source = good.find(|(other, _)| other == position);
            let source = source.map(|(_, source)| source).transpose();
            let source = source.map_err(|source| self.shared.bad_record(path, source))?;
            let Some(source) = source.filter(|good| good.hash == file.hash) else {
                continue;
            };
            let missing = || StoreError::PackMissing {
                path: path.path().clone(),
                pack: file.place.pack,
            };
            let name = self.shared.pack_path(file.place.pack).ok_or_else(missing)?;
            let to = open_to_write(&name)?;
            let mut piece = vec![0; 256 << 10];
            let mut done = 0;
            while done < file.size {
                let count = piece
                    .len()
                    .min(usize::try_from(file.size - done).unwrap_or(piece.len()));
                let bytes = &mut piece[..count];
                from.read_exact_at(bytes, source.place.offset() + done)
                    .map_err(failed("read", &name))?;
                to.write_all_at(bytes, file.place.offset() + done)
                    .map_err(failed("write", &name))?;
                done += count as u64;
            }
            to.sync_data().map_err(failed("write", &name))?;
        }
        Ok(())
    }

    /// Verifies a path that may have lost bytes in a power cut. If it has, it is not in the store any more.
    pub(crate) fn clear_suspect(&self, pack: PackId) -> Result<bool, StoreError> {
        let Some(path) = self.shared.stored(pack) else {
            return Ok(false);
        };
        if let Some(damage) = self.damage(&path) {
            tracing::warn!(error = %nix_formats::chain(&damage.error), "a path was not on disk when the power went; it will be fetched again");
            if self.writable().is_ok() {
                self.discard(&path, true)?;
            }
            return Ok(false);
        }
        let tree = self.shared.tree(&path)?;
        if let Some(pack) = self.shared.index_mut().pack_mut(pack) {
            pack.is_suspect = false;
        }
        if self.writable().is_ok() {
            self.shared.learn_contents(&path, &tree)?;
        }
        let file = self.shared.index().file(pack).map(|file| file.name.id);
        if let Some(file) = file
            && self.writable().is_ok()
        {
            self.sync_soon(file);
        }
        Ok(true)
    }

    /// Whether the contents of a path are those of its content address.
    pub(crate) fn has_content_address(&self, pack: PackId) -> Result<bool, StoreError> {
        let Some(path) = self.shared.stored(pack) else {
            return Ok(false);
        };
        let info = &path.info;
        let Some(ca) = info.ca else { return Ok(false) };
        let itself = info.references.contains(&info.path).then_some(&info.path);
        let Some(hasher) = ContentHasher::new(ca.method, ca.hash.algorithm(), itself) else {
            return Ok(false);
        };
        let tree = self.shared.tree(&path)?;
        let hasher = self.shared.nar(&path, &tree, hasher)?;
        Ok(hasher.matches(&ca.hash))
    }
}
