//! Fetching paths: each once, however many want it, and not too many at a time.

use super::{RealiseError, progress::Counters};
use crate::{
    catalog::Seal,
    error::FileError,
    index::Pack,
    layout::PackName,
    leases::Leases,
    memory::Memory,
    pack::{Draft, PackWriter, SmallPath, WriteError},
    places::Places,
    record::{ContentHash, Place},
    store::{Options, Pin, Store, lock, now},
};
use binary_cache::{Caches, Found, NarError};
use hashbrown::HashMap;
use nix_formats::{Compression, Hash, NarInfo, StorePath};
use std::{
    io::{self, Read},
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The fetches that go on.
#[derive(Debug)]
pub(crate) struct Fetches {
    /// Whoever fetches a path holds its turn.
    turns: Mutex<HashMap<(StorePath, Hash), Turn>>,
    slots: Semaphore,
    memory: Memory,
}

impl Fetches {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            turns: Mutex::default(),
            slots: Semaphore::new(options.concurrency.max(1)),
            memory: Memory::new(options.memory),
        }
    }
}

/// Memory that fetching a NAR takes, in bytes: what its decoder looks back on, and what is gathered before it is written: contents,
/// and what is known of its files, of which each has a fifth of a kilobyte in the NAR at least.
fn memory(info: &NarInfo) -> usize {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let size = usize::try_from(info.nar_size).unwrap_or(usize::MAX);
    let decoder = match info.compression {
        Compression::None | Compression::Gzip => 128 * KIB,
        Compression::Bzip2 => 4 * MIB,
        Compression::Zstd => size.min(4 * MIB),
        Compression::Brotli => size.min(8 * MIB),
        // The decoder takes what was used to compress, however small the file.
        Compression::Xz | Compression::Other(_) => 10 * MIB,
    };
    decoder + size.min(3 * MIB) + (size / 4).min(4 * MIB) + 128 * KIB
}

/// One path that is to be fetched, for one realisation.
pub(super) struct Fetch {
    pub(super) store: Store,
    pub(super) caches: Arc<Caches>,
    pub(super) found: Arc<Found>,
    pub(super) counters: Arc<Counters>,
}

impl Fetch {
    /// Fetches it, unless it is there or another fetches it; then waits for that one.
    pub(super) async fn run(self) -> Result<Pin, RealiseError> {
        let (store, info) = (&self.store, &self.found.info);
        let fetches = &store.shared.running.fetches;
        let key = (info.path.clone(), info.nar_hash);
        let turn = Arc::clone(lock(&fetches.turns).entry(key.clone()).or_default());
        let pin = {
            let _turn = turn.lock().await;
            match self.stored().await? {
                Some(pin) => pin,
                None => self.fetch().await?,
            }
        };
        drop(turn);
        {
            // Nobody comes to wait for it while this is locked.
            let mut turns = lock(&fetches.turns);
            if turns
                .get(&key)
                .is_some_and(|turn| Arc::strong_count(turn) == 1)
            {
                turns.remove(&key);
            }
        }
        self.counters.done(info.nar_size);
        Ok(pin)
    }

    /// Holds the path if it is there, with the signatures that this realisation found.
    async fn stored(&self) -> Result<Option<Pin>, RealiseError> {
        let info = &self.found.info;
        let Some(pin) = self.store.hold(info).await? else {
            return Ok(None);
        };
        let is_taken = self.store.admit(&self.caches, &pin, Some(info)).await?;
        if is_taken {
            return Ok(Some(pin));
        }
        // Believed for its content address, which its contents don't have: then the cache's don't have it either.
        let expected = info.ca.ok_or(RealiseError::Interrupted)?;
        let error = NarError::ContentAddress {
            path: info.path.clone(),
            cache: self.found.cache.clone(),
            expected,
        };
        Err(error.into())
    }

    async fn fetch(&self) -> Result<Pin, RealiseError> {
        let fetches = &self.store.shared.running.fetches;
        let _memory = fetches.memory.take(memory(&self.found.info)).await;
        let _slot = fetches.slots.acquire().await;
        let read = self.store.read_nar(&self.caches, &self.found, true).await?;
        // A few writes, or a rename, and a change of the index: less work than to wake a thread for it.
        let pin = if read.is_small() {
            let put = self.store.put(read.into_small(), &self.found.info);
            put.map_err(|error| not_written(&self.found, error.into()))?
        } else {
            let draft = self.store.finish(read, &self.found)?;
            let published = self.store.publish(draft, &self.found.info);
            published.map_err(|error| not_written(&self.found, error.into()))?
        };
        let policy = self.caches.policy_id();
        self.store.shared.verdicts.add(policy, pin.pack);
        self.counters.fetched(self.found.info.nar_size);
        Ok(pin)
    }
}

impl Store {
    /// Fetches the NAR of a path, and verifies it. Its contents are in a pack that is not one of the store's yet, or in memory
    /// if it is a small one. Files whose contents are stored already are not written if it `may_refer` to other packs.
    pub(crate) async fn read_nar(
        &self,
        caches: &Caches,
        found: &Found,
        may_refer: bool,
    ) -> Result<PackWriter<Option<Leases>>, RealiseError> {
        let (shared, info) = (Arc::clone(&self.shared), Arc::clone(&found.info));
        let read = move |nar: &mut dyn Read| {
            let id = shared.next_pack().map_err(WriteError::File);
            let known = may_refer.then(|| Leases::new(Arc::clone(&shared)));
            let read = id.and_then(|id| {
                let path = shared.layout.tmp().join(id.to_string());
                PackWriter::new(id, path, known).read(nar, &info)
            });
            read.map_err(into_io)
        };
        let fetched = caches.fetch_nar(found, read).await;
        fetched.map_err(|error| out_of_io(found, error))
    }

    /// Writes what is missing of a pack.
    pub(crate) fn finish(
        &self,
        read: PackWriter<Option<Leases>>,
        found: &Found,
    ) -> Result<Draft<Option<Leases>>, RealiseError> {
        let finished = read.finish(&self.shared.options.store_dir, &found.info);
        finished.map_err(|error| not_written(found, error))
    }

    /// Makes a verified small path one of the store's, and holds it.
    pub(crate) fn put(
        &self,
        small: SmallPath<Option<Leases>>,
        info: &Arc<NarInfo>,
    ) -> Result<Pin, FileError> {
        let id = small.id;
        let put = self.shared.put_in_common(small, info)?;
        let pack = Pack::within(id, Arc::clone(info), put.within, put.refers);
        let seal = Seal::Slot(put.within, put.checksum);
        let pin = self.insert(pack, seal, put.contents);
        // What it refers to knows of it by now.
        drop((put.lease, put.known));
        self.sync_soon(put.within.pack);
        Ok(pin)
    }

    /// Makes a verified pack one of the store's, and holds its path.
    pub(crate) fn publish(
        &self,
        draft: Draft<Option<Leases>>,
        info: &Arc<NarInfo>,
    ) -> Result<Pin, FileError> {
        let name = PackName::of_path(draft.id(), info.path.clone());
        let published = draft.publish(&self.shared.layout.pack(&name))?;
        let id = published.id;
        let mut pack = Pack::new(name, Some(Arc::clone(info)));
        pack.data = published.data;
        pack.disk = published.disk;
        pack.refers = published.refers;
        let pin = self.insert(pack, Seal::File(published.length), published.contents);
        // What it refers to knows of it by now.
        drop(published.known);
        self.sync_soon(id);
        Ok(pin)
    }

    /// Adds a path to the index, and holds it.
    fn insert(&self, mut pack: Pack, seal: Seal, contents: Places) -> Pin {
        let id = pack.name.id;
        {
            let mut index = self.shared.index_mut();
            pack.used = now();
            pack.held_in = index.collection;
            pack.pins = 1;
            index.insert(pack);
        }
        self.shared.learn(id, seal, contents);
        Pin::of_held(&self.shared, id)
    }
}

impl crate::pack::Known for Option<Leases> {
    fn find(&mut self, hash: &ContentHash, size: u64) -> Option<Place> {
        self.as_mut()?.find(hash, size)
    }

    fn shares(&self) -> bool {
        self.is_some()
    }
}

/// The kind tells the cache client whose fault it is.
fn into_io(error: WriteError) -> io::Error {
    let kind = match &error {
        WriteError::File(error) => error.source.kind(),
        WriteError::Nar(_)
        | WriteError::TooManyEntries
        | WriteError::TooManyInDirectory
        | WriteError::RecordTooLarge
        | WriteError::TooLarge => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

fn out_of_io(found: &Found, error: NarError) -> RealiseError {
    let NarError::Consumer { source, .. } = error else {
        return error.into();
    };
    match source.downcast::<WriteError>() {
        Ok(error) => not_written(found, error),
        Err(source) => RealiseError::Unsuitable {
            path: found.info.path.clone(),
            source,
        },
    }
}

fn not_written(found: &Found, error: WriteError) -> RealiseError {
    let path = found.info.path.clone();
    match error {
        WriteError::File(source) => RealiseError::Write { path, source },
        error => RealiseError::Unsuitable {
            path,
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        },
    }
}
