//! The store as a whole: opening, closing, and what its parts share.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, SystemTime};

use nix_formats::{NarInfo, SecretKey, StoreDir, StorePath};

use crate::catalog::{Catalog, Known, Seal};
use crate::common::Common;
use crate::delivered::Delivered;
use crate::discard::Discarding;
use crate::error::{FileError, OpenError, StoreError, failed};
use crate::exports::{remove_exports, remove_tree};
use crate::index::Index;
use crate::layout::{Layout, PackId};
use crate::load::load;
use crate::lock::Lock;
use crate::places::{MAX_RECENT, Places};
use crate::realise::{KeepFree, Running};
use crate::record::{Tree, essence};
use crate::state::{State, boot_id};
use crate::sync::Syncer;
use crate::verdicts::Verdicts;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder that its paths name. It need not exist.
    pub store_dir: StoreDir,
    /// How many NARs are fetched at once from the same caches; from all others together as many again.
    pub concurrency: usize,
    /// How many bytes of memory all fetches from the same caches together take, about; all others together take as much again.
    pub memory: usize,
    /// What fetches leave free of the store's file system, collecting garbage for it. Without it they take what there is, and
    /// nothing is collected for them.
    pub keep_free: Option<KeepFree>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store_dir: StoreDir::default(),
            concurrency: 32,
            memory: 32 << 20,
            keep_free: None,
        }
    }
}

/// A node's store. Clones are the same store.
///
/// Methods that are not `async` read or write files and block; from async code call them by way of
/// `tokio::task::spawn_blocking`. What was begun goes on when the last clone is dropped, but what is not on disk by then is
/// not waited for: see [`Store::close`].
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    opened: Arc<Opened>,
}

/// What ends with the last clone, though threads may go on for a moment.
#[derive(Debug)]
struct Opened {
    syncer: Syncer,
    /// None when the store is open for reading only.
    lock: Option<Lock>,
}

/// What the parts of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    index: RwLock<Index>,
    pub(crate) catalog: Catalog,
    numbers: Mutex<Numbers>,
    pub(crate) common: Common,
    pub(crate) verdicts: Verdicts,
    pub(crate) delivered: Delivered,
    pub(crate) running: Running,
    /// Held while roots are read or changed as a whole, and while garbage is collected.
    pub(crate) collecting: Mutex<()>,
    /// Held while a closure image is made: that takes memory.
    pub(crate) making_image: Mutex<()>,
    /// Held while a closure's folder appears, gets an image, or goes.
    pub(crate) closure_folders: Mutex<()>,
    /// Held while a path that was made here becomes one of the store's.
    pub(crate) adding: Mutex<()>,
    /// Held while a path is exported.
    pub(crate) exporting: Mutex<()>,
    /// The store's own key, once it was needed.
    pub(crate) key: OnceLock<SecretKey>,
    /// Held while one path goes, or the space of one pack is given back.
    pub(crate) discarding: Mutex<Discarding>,
}

#[derive(Debug)]
struct Numbers {
    state: State,
    left: std::ops::Range<u64>,
}

impl Store {
    /// Opens the store in a folder to write to it, and makes it if it is not there. Only one process can have it open so at
    /// a time.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let layout = Layout::new(dir);
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        make_private(dir)?;
        let lock = Lock::take(&layout)?;
        for folder in layout.folders() {
            match fs::create_dir(&folder) {
                // Garbage can be collected without an index.
                Err(error)
                    if error.kind() == io::ErrorKind::StorageFull && folder == layout.index() => {}
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(FileError::new("create", folder, error).into());
                }
                _ => {}
            }
        }
        empty(&layout.tmp())?;
        Self::load(layout, options, Some(lock))
    }

    /// Opens the store in a folder to read from it, even while others have it open.
    pub fn open_read_only(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let layout = Layout::new(dir);
        if !layout.packs().is_dir() {
            return Err(OpenError::NotAStore(dir.to_owned()));
        }
        Self::load(layout, options, None)
    }

    fn load(layout: Layout, options: Options, lock: Option<Lock>) -> Result<Self, OpenError> {
        let boot_id = boot_id()?;
        let loaded = load(&layout, &options.store_dir, boot_id, lock.is_some())?;
        let (mut state, mut left) = (loaded.state, 0..0);
        if lock.is_some() {
            let has_rebooted = state.has_rebooted();
            if has_rebooted {
                crate::closures::remove_images(&layout)?;
                crate::roots::remove_damaged(&layout)?;
            }
            // Nothing waits for their files to be on disk, either.
            remove_exports(&layout, &loaded.index, has_rebooted)?;
            left = state.take_numbers();
            match state.save(&layout) {
                // Garbage can be collected all the same, and what needs a number tries again.
                Err(error) if error.is_out_of_space() => left = 0..0,
                saved => saved?,
            }
        }
        let delivered = Delivered::load(&layout, &loaded.index, lock.is_some())?;
        let shared = Arc::new(Shared {
            running: Running::new(&options),
            layout,
            options,
            index: RwLock::new(loaded.index),
            catalog: loaded.catalog,
            numbers: Mutex::new(Numbers { state, left }),
            common: Common::default(),
            verdicts: Verdicts::default(),
            delivered,
            collecting: Mutex::default(),
            making_image: Mutex::default(),
            closure_folders: Mutex::default(),
            adding: Mutex::default(),
            exporting: Mutex::default(),
            key: OnceLock::new(),
            discarding: Mutex::default(),
        });
        let unsynced = if lock.is_some() {
            loaded.unsynced
        } else {
            Vec::new()
        };
        let syncer = Syncer::start(&shared, unsynced);
        Ok(Self {
            shared,
            opened: Arc::new(Opened { syncer, lock }),
        })
    }

    /// Waits until everything that is in the store is on disk, so that a power cut loses nothing. Realisations that run are
    /// not waited for. Other clones can be used on. The store is in use until the last clone is dropped, those included that
    /// work of a failed realisation holds: a process that opens it again may have to try for a moment.
    pub async fn close(self) -> Result<(), FileError> {
        let opened = Arc::clone(&self.opened);
        let drained = tokio::task::spawn_blocking(move || opened.syncer.drain()).await;
        drained.unwrap_or_else(|error| {
            Err(FileError::new(
                "write",
                self.shared.layout.root(),
                error.into(),
            ))
        })
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        self.shared.layout.root()
    }

    /// The folder that its paths name.
    pub fn store_dir(&self) -> &StoreDir {
        &self.shared.options.store_dir
    }

    pub(crate) fn sync_soon(&self, pack: PackId) {
        self.opened.syncer.add(pack);
    }

    /// An error unless the store may be written to.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        match self.opened.lock {
            Some(_) => Ok(()),
            None => Err(StoreError::ReadOnly(self.dir().to_owned())),
        }
    }
}

impl Shared {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        // Nothing panics half-way through a change.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new pack.
    pub(crate) fn next_pack(&self) -> Result<PackId, FileError> {
        let mut numbers = lock(&self.numbers);
        loop {
            if let Some(number) = numbers.left.next() {
                return Ok(PackId(number));
            }
            let taken = numbers.state.take_numbers();
            numbers.state.save(&self.layout)?;
            numbers.left = taken;
        }
    }

    /// Writes what is known of new packs, so that their records need not be read again.
    pub(crate) fn save_catalog(&self) -> Result<(), FileError> {
        let packs = self.index().len();
        let stays = |id| self.index().pack(id).is_some();
        self.catalog.save(packs as u64, stays)
    }

    /// Makes it known where the contents of a path are.
    pub(crate) fn learn_contents(&self, path: &StoredPath, tree: &Tree) -> Result<(), StoreError> {
        let mut contents = Places::default();
        for file in tree.extents() {
            let file = file.map_err(|source| self.bad_record(path, source))?;
            contents.insert(file.hash, file.place);
            if contents.unwritten() >= MAX_RECENT {
                self.add_contents(std::mem::take(&mut contents));
            }
        }
        self.add_contents(contents);
        Ok(())
    }

    fn add_contents(&self, contents: Places) {
        let is_full = self.catalog.add_contents(contents);
        if is_full && let Err(error) = self.save_catalog() {
            tracing::warn!(error = %nix_formats::chain(&error), "the index can't be saved");
        }
    }

    /// Makes a path that is new in the index known to the next process, too, and where its contents are.
    pub(crate) fn learn(&self, id: PackId, seal: Seal, contents: Places) {
        self.add_contents(contents);
        let Some((info, data, packs)) = self.index().pack(id).and_then(|pack| {
            let info = Arc::clone(pack.info.as_ref()?);
            Some((info, pack.data, pack.refers.clone()))
        }) else {
            return;
        };
        self.catalog.add(Known {
            id,
            seal,
            data,
            packs,
            narinfo: &essence(&self.options.store_dir, &info),
        });
    }

    /// A name in the folder of what is being made, which no other has.
    pub(crate) fn temporary(&self) -> Result<PathBuf, FileError> {
        let number = self.next_pack()?;
        Ok(self.layout.tmp().join(number.to_string()))
    }

    /// The file of a pack that is there, or that it is in.
    pub(crate) fn pack_path(&self, id: PackId) -> Option<PathBuf> {
        let index = self.index();
        Some(self.layout.pack(&index.file(id)?.name))
    }
}

/// A store path that is in a store, with one of the contents that caches had for it.
#[derive(Debug, Clone)]
pub struct StoredPath {
    pub(crate) pack: PackId,
    /// What is known of it, with all signatures.
    pub info: Arc<NarInfo>,
}

impl StoredPath {
    /// The store path.
    pub fn path(&self) -> &StorePath {
        &self.info.path
    }

    /// Its pack.
    pub fn pack(&self) -> PackId {
        self.pack
    }
}

/// A path that is held: it is not collected as long as this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    shared: Arc<Shared>,
    pub(crate) pack: PackId,
}

impl Pin {
    /// Holds the path of a pack; nothing if the pack has none.
    pub(crate) fn new(shared: &Arc<Shared>, pack: PackId) -> Option<Self> {
        let mut index = shared.index_mut();
        let collection = index.collection;
        let found = index.pack_mut(pack).filter(|found| found.info.is_some())?;
        found.pins += 1;
        found.held_in = collection;
        Some(Self {
            shared: Arc::clone(shared),
            pack,
        })
    }
}

impl Pin {
    /// The hold that the index counts already for the path of a pack.
    pub(crate) fn of_held(shared: &Arc<Shared>, pack: PackId) -> Self {
        Self {
            shared: Arc::clone(shared),
            pack,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut index = self.shared.index_mut();
        let collection = index.collection;
        if let Some(pack) = index.pack_mut(self.pack) {
            pack.pins -= 1;
            pack.held_in = collection;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// Closures are for those to read who have them mounted, not for all who have an account or a mount of the disk.
fn make_private(dir: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(dir).map_err(failed("read", dir))?;
    let others = metadata.mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    let private = Permissions::from_mode(0o700);
    fs::set_permissions(dir, private).map_err(failed("change the mode of", dir))
}

fn empty(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        remove_tree(&entry.map_err(failed("read", folder))?.path())?;
    }
    Ok(())
}
