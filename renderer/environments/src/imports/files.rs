//! The files of outputs that were built for evaluations, read from the packs of the build store.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use niphas_store::{FileNode, RealisedClosure, Store, StoredPath, TreeEvent};
use nix_evaluator::io::{EntryKind, FileType, Files, Outputs};
use nix_formats::{StoreDir, StorePath};

/// A larger file is not read.
const MOST_BYTES: u64 = 1 << 30;

/// Outputs that can be read, with all that they refer to.
pub(super) struct ImportedFiles {
    store_dir: StoreDir,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    paths: HashMap<StorePath, Arc<ImportedPath>>,
    /// What is read is not collected meanwhile.
    held: Vec<Arc<RealisedClosure>>,
}

/// A store path, and what is in it once that was asked for.
struct ImportedPath {
    store: Store,
    stored: StoredPath,
    nodes: OnceLock<BTreeMap<Vec<u8>, Entry>>,
}

/// Something in a store path.
#[derive(Clone)]
enum Entry {
    File(FileNode),
    Symlink(Vec<u8>),
    Directory(Vec<(Vec<u8>, EntryKind)>),
}

impl ImportedFiles {
    pub(super) fn new(store_dir: StoreDir) -> Self {
        Self {
            store_dir,
            kept: RwLock::default(),
        }
    }

    /// Lets the paths of closures be read from a store.
    pub(super) fn add(&self, store: &Store, closures: Vec<Arc<RealisedClosure>>) {
        let mut kept = self.write();
        for closure in closures {
            for line in closure.lines.as_slice() {
                if kept.paths.contains_key(&line.path) {
                    continue;
                }
                if let Some(stored) = store.info(&line.path) {
                    let path = ImportedPath {
                        store: store.clone(),
                        stored,
                        nodes: OnceLock::new(),
                    };
                    kept.paths.insert(line.path.clone(), Arc::new(path));
                }
            }
            kept.held.push(closure);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store path that a path is in, and where in it.
    fn find<'p>(&self, path: &'p [u8]) -> Option<(Arc<ImportedPath>, &'p [u8])> {
        let (store_path, rest) = self.store_dir.parse_subpath(path).ok()?;
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let found = kept.paths.get(&store_path)?;
        Some((Arc::clone(found), rest.strip_prefix(b"/").unwrap_or(rest)))
    }

    fn entry(&self, path: &[u8]) -> io::Result<Entry> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let (imported, rest) = self.find(path).ok_or_else(missing)?;
        imported.nodes()?.get(rest).cloned().ok_or_else(missing)
    }
}

impl ImportedPath {
    fn nodes(&self) -> io::Result<&BTreeMap<Vec<u8>, Entry>> {
        if let Some(nodes) = self.nodes.get() {
            return Ok(nodes);
        }
        let tree = self.store.tree(&self.stored).map_err(io::Error::other)?;
        let mut nodes = BTreeMap::new();
        tree.walk(|whole, event| {
            let (entry, kind) = match event {
                TreeEvent::Enter(_) => (Entry::Directory(Vec::new()), EntryKind::Directory),
                TreeEvent::File(_, file) => (Entry::File(file), EntryKind::Regular),
                TreeEvent::Symlink(_, target) => {
                    (Entry::Symlink(target.to_vec()), EntryKind::Symlink)
                }
                TreeEvent::Leave => return,
            };
            if !whole.is_empty() {
                let slash = whole.iter().rposition(|&byte| byte == b'/');
                let (folder, name) = match slash {
                    Some(slash) => (&whole[..slash], &whole[slash + 1..]),
                    None => (&b""[..], whole),
                };
                if let Some(Entry::Directory(entries)) = nodes.get_mut(folder) {
                    entries.push((name.to_vec(), kind));
                }
            }
            nodes.insert(whole.to_vec(), entry);
        })
        .map_err(io::Error::other)?;
        Ok(self.nodes.get_or_init(|| nodes))
    }
}

impl Files for ImportedFiles {
    fn read_file(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let Entry::File(file) = self.entry(path)? else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        if file.size > MOST_BYTES {
            let message = format!("it is larger than {} MiB", MOST_BYTES >> 20);
            return Err(io::Error::other(message));
        }
        let (imported, rest) = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        let mut contents = Vec::with_capacity(file.size as usize);
        let ImportedPath { store, stored, .. } = &*imported;
        let read = store.read_found(stored, rest, &file, &mut contents);
        read.map_err(io::Error::other)?;
        Ok(contents)
    }

    fn file_type(&self, path: &[u8]) -> io::Result<FileType> {
        Ok(match self.entry(path)? {
            Entry::File(file) => FileType::Regular {
                executable: file.executable,
            },
            Entry::Symlink(_) => FileType::Symlink,
            Entry::Directory(_) => FileType::Directory,
        })
    }

    fn read_dir(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
        match self.entry(path)? {
            Entry::Directory(entries) => Ok(entries),
            Entry::File(_) | Entry::Symlink(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        match self.entry(path)? {
            Entry::Symlink(target) => Ok(target),
            Entry::File(_) | Entry::Directory(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Outputs for ImportedFiles {
    fn holds(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    fn references(&self, path: &[u8]) -> Option<Vec<String>> {
        let (imported, _) = self.find(path)?;
        let references = imported.stored.info.references.iter();
        Some(references.map(|path| self.store_dir.print(path)).collect())
    }
}
