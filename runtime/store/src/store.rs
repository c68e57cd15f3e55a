//! The store as a whole: opening, closing, and what its parts share.

use crate::{
    common::Common,
    error::{FileError, OpenError, StoreError, failed},
    index::Index,
    layout::{Layout, PackId},
    load::load,
    lock::Lock,
    realise::Running,
    record::{ContentHash, Place},
    state::{State, boot_id},
    sync::Syncer,
    verdicts::Verdicts,
};
use hashbrown::HashSet;
use nix_formats::{NarInfo, StoreDir, StorePath};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, SystemTime},
};

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder that its paths name. It need not exist.
    pub store_dir: StoreDir,
    /// How many NARs are fetched at once.
    pub concurrency: usize,
    /// How many bytes of memory all fetches together take, about.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store_dir: StoreDir::default(),
            concurrency: 32,
            memory: 32 << 20,
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
    numbers: Mutex<Numbers>,
    pub(crate) common: Common,
    pub(crate) verdicts: Verdicts,
    pub(crate) running: Running,
    /// Held while roots are read or changed as a whole, and while garbage is collected.
    pub(crate) collecting: Mutex<()>,
    /// Held while one path goes, or the space of one pack is given back. Common packs of which paths have gone, which is not on
    /// disk yet.
    pub(crate) discarding: Mutex<HashSet<PackId>>,
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
        let lock = Lock::take(&layout)?;
        for folder in layout.folders() {
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(FileError::new("create", folder, error).into());
                }
                _ => {}
            }
        }
        empty(&layout.tmp())?;
        Self::load(layout, options, Some(lock))
    }

    /// Opens the store in a folder to read from it, whoever else has it open.
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
            if state.has_rebooted() {
                crate::closures::remove_images(&layout)?;
                crate::roots::remove_damaged(&layout)?;
            }
            left = state.take_numbers();
            match state.save(&layout) {
                // Garbage can be collected all the same, and what needs a number tries again.
                Err(error) if error.is_out_of_space() => left = 0..0,
                saved => saved?,
            }
        }
        let shared = Arc::new(Shared {
            running: Running::new(&options),
            layout,
            options,
            index: RwLock::new(loaded.index),
            numbers: Mutex::new(Numbers { state, left }),
            common: Common::default(),
            verdicts: Verdicts::default(),
            collecting: Mutex::default(),
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
    /// not waited for. Other clones can be used on.
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

/// Contents that are stored already. As long as this lives, the packs that were told of stay.
#[derive(Debug)]
pub(crate) struct Leases {
    shared: Arc<Shared>,
    packs: Vec<PackId>,
}

impl Leases {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            packs: Vec::new(),
        }
    }

    /// The lease that the index counts already for a pack.
    pub(crate) fn of_leased(shared: Arc<Shared>, pack: PackId) -> Self {
        Self {
            shared,
            packs: vec![pack],
        }
    }
}

impl Leases {
    /// The place of contents that are stored.
    pub(crate) fn find(&mut self, hash: &ContentHash) -> Option<Place> {
        let place = self.shared.index().place(hash)?;
        if self.packs.contains(&place.pack) {
            return Some(place);
        }
        // It may have gone since.
        let mut index = self.shared.index_mut();
        let place = index.place(hash)?;
        index.pack_mut(place.pack)?.leases += 1;
        self.packs.push(place.pack);
        Some(place)
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

fn empty(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(failed("remove", &path))?;
    }
    Ok(())
}
