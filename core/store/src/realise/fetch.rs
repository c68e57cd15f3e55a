//! Fetching paths: each once, however many want it, and no caches at the cost of others.

use std::io::{self, Read};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use binary_cache::{Caches, Found, NarError};
use futures::FutureExt;
use futures::future::BoxFuture;
use hashbrown::HashMap;
use nix_formats::{NarHash, NarInfo, StorePath};

use super::progress::Counters;
use super::shares::{Before, Permit, Shares};
use super::space::Room;
use super::{RealiseError, Request};
use crate::admit::Verdict;
use crate::catalog::Seal;
use crate::error::FileError;
use crate::index::Pack;
use crate::layout::PackName;
use crate::leases::Leases;
use crate::pack::{Draft, PackWriter, SmallPath, WriteError};
use crate::places::Places;
use crate::record::{ContentHash, Place};
use crate::store::{Options, Pin, Store, lock, now};

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The address of the caches that are fetched from: one section of the configuration.
type Section = usize;

/// What two fetches must have in common for one to wait for the other: the path, its contents, and the caches if each
/// section's have to deliver it. So no section waits for another's slow cache.
type PathKey = (StorePath, NarHash, Option<Section>);

/// The fetches that go on.
#[derive(Debug)]
pub(crate) struct Fetches {
    /// The one that fetches a path holds its turn.
    turns: Mutex<HashMap<PathKey, Turn>>,
    slots: Arc<Shares<Section>>,
    memory: Arc<Shares<Section>>,
    /// One NAR at a time, in turns, whose decoder takes more than [`USUAL_DECODER`].
    large_decoder: Arc<Shares<Section>>,
}

impl Fetches {
    pub(crate) fn new(options: &Options) -> Self {
        // One section alone may have half.
        let twice = |number: usize| (number.max(1) as u64).saturating_mul(2);
        Self {
            turns: Mutex::default(),
            slots: Shares::new(twice(options.concurrency)),
            memory: Shares::new(twice(options.memory)),
            large_decoder: Shares::new(1),
        }
    }

    /// A slot for a fetch from these caches. It is held until the last byte is read, also when its realisation has ended.
    async fn slot(&self, caches: &Arc<Caches>) -> Permit<Section> {
        let slots = &self.slots;
        slots
            .acquire(section(caches), 1, u64::MAX, &Before::default())
            .await
    }

    /// Memory for what is read of a NAR. It is waited for when the first bytes are here: a cache that says nothing holds none.
    fn memory(
        &self,
        caches: &Arc<Caches>,
        info: &NarInfo,
    ) -> impl FnOnce(u64) -> BoxFuture<'static, (Permit<Section>, Option<Permit<Section>>)> + use<>
    {
        let (memory, section) = (Arc::clone(&self.memory), section(caches));
        let large = Arc::clone(&self.large_decoder);
        let size = info.nar_size;
        move |looks_back| {
            // What was not decoded yet takes no memory, however far the decoder may look back.
            let decoder = looks_back.min(size);
            let bytes = decoder.saturating_add(memory_besides_decoder(size));
            async move {
                let before = Before::default();
                let memory = memory.acquire(section, bytes, u64::MAX, &before).await;
                let large = if decoder > USUAL_DECODER {
                    Some(large.acquire(section, 1, u64::MAX, &before).await)
                } else {
                    None
                };
                (memory, large)
            }
            .boxed()
        }
    }
}

fn section(caches: &Arc<Caches>) -> Section {
    Arc::as_ptr(caches).addr()
}

/// How far the decoder of a NAR looks back that is compressed with the default levels of Nix and of other caches, in bytes:
/// xz -6 and zstd -19 do 8 MiB. The memory that all fetches share has room for several of these.
const USUAL_DECODER: u64 = 8 << 20;

/// Memory that fetching a NAR of this size takes besides what its decoder looks back on, in bytes: contents that are gathered
/// before they are written, what is known of its files, of which each has a fifth of a kilobyte in the NAR at least, and buffers.
fn memory_besides_decoder(nar_size: u64) -> u64 {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    nar_size.min(3 * MIB) + (nar_size / 4).min(4 * MIB) + 256 * KIB
}

/// The turn of a path, for one that waits for it or has it.
struct InTurn<'a> {
    fetches: &'a Fetches,
    key: &'a PathKey,
    turn: Turn,
}

impl<'a> InTurn<'a> {
    fn new(fetches: &'a Fetches, key: &'a PathKey) -> Self {
        let turn = Arc::clone(lock(&fetches.turns).entry(key.clone()).or_default());
        Self { fetches, key, turn }
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        // No fetch can begin to wait for it while this is locked.
        let mut turns = lock(&self.fetches.turns);
        // The map's, and this one.
        if Arc::strong_count(&self.turn) == 2 {
            turns.remove(self.key);
        }
    }
}

/// One path to fetch, for one realisation.
pub(super) struct Fetch {
    pub(super) store: Store,
    pub(super) request: Arc<Request>,
    pub(super) found: Arc<Found>,
    pub(super) counters: Arc<Counters>,
    /// Where it is to go, if that was made sure of already.
    pub(super) room: Option<Arc<Room>>,
}

impl Fetch {
    /// Fetches it, unless it is there or another fetches it; then waits for that one.
    pub(super) async fn run(self) -> Result<Pin, RealiseError> {
        let info = &self.found.info;
        let key = self.key(self.request.terms.must_be_delivered);
        let pin = {
            let in_turn = InTurn::new(&self.store.shared.running.fetches, &key);
            let _turn = in_turn.turn.lock().await;
            match self.stored().await? {
                Some(pin) => pin,
                None => self.fetch().await?,
            }
        };
        if let Some(room) = &self.room {
            room.used(info.nar_size);
        }
        self.counters.done(info.nar_size);
        Ok(pin)
    }

    fn key(&self, of_section: bool) -> PathKey {
        let info = &self.found.info;
        let section = of_section.then(|| section(&self.request.caches));
        (info.path.clone(), info.nar_hash, section)
    }

    /// Holds the path if it is there, with the signatures that this realisation found.
    async fn stored(&self) -> Result<Option<Pin>, RealiseError> {
        let Some((pin, verdict)) = self.held().await? else {
            return Ok(None);
        };
        if verdict == Verdict::NotDelivered {
            self.compare(&pin).await?;
        }
        Ok(Some(pin))
    }

    /// Holds the path if it is there, and tells whether its bytes have yet to be delivered.
    async fn held(&self) -> Result<Option<(Pin, Verdict)>, RealiseError> {
        let info = &self.found.info;
        let Some(pin) = self.store.hold(info).await? else {
            return Ok(None);
        };
        let verdict = self.store.admit(&self.request, &pin, Some(info)).await?;
        if verdict != Verdict::Refused {
            return Ok(Some((pin, verdict)));
        }
        let path = info.path.clone();
        let Some(expected) = info.ca else {
            return Err(RealiseError::Refused(path));
        };
        // Believed for its content address, which its contents don't have: then the cache's don't have it either.
        let cache = self.found.cache.clone();
        let error = NarError::ContentAddress {
            path,
            cache,
            expected,
        };
        Err(error.into())
    }

    /// Fetches the NAR of a path that is stored, and keeps nothing of it: the caches of this request have yet to show that they
    /// have the bytes that others' caches delivered.
    async fn compare(&self, pin: &Pin) -> Result<(), RealiseError> {
        let (caches, found) = (&self.request.caches, &self.found);
        let fetches = &self.store.shared.running.fetches;
        let slot = fetches.slot(caches).await;
        let memory = fetches.memory(caches, &found.info);
        // What is not read here is read, and compared, all the same.
        let read = move |_: &mut dyn Read| {
            let _held = &slot;
            Ok(())
        };
        let delivered = caches.fetch_nar_with(found, memory, read).await;
        let ((), source) = delivered.map_err(|error| out_of_io(found, error))?;
        self.delivered(pin, source);
        self.counters.fetched(found.info.nar_size);
        Ok(())
    }

    fn delivered(&self, pin: &Pin, source: usize) {
        if let Some(&origin) = self.request.terms.origins.get(source) {
            let delivered = &self.store.shared.delivered;
            delivered.add(origin, pin.pack, &self.found.info);
        }
    }

    async fn fetch(&self) -> Result<Pin, RealiseError> {
        let size = self.found.info.nar_size;
        let _room = match self.room {
            Some(_) => None,
            None => Some(self.store.room(size).await?),
        };
        match self.fetch_once().await {
            // Others wrote to the disk meanwhile, or it has less than it said.
            Err(error) if error.is_out_of_space() && self.store.collects_for_room() => {
                self.store.collect_for(size).await?;
                self.fetch_once().await
            }
            fetched => fetched,
        }
    }

    async fn fetch_once(&self) -> Result<Pin, RealiseError> {
        let fetches = &self.store.shared.running.fetches;
        let (caches, info) = (&self.request.caches, &self.found.info);
        let bytes = Arc::new(AtomicU64::new(0));
        let read = self
            .store
            .read_nar_counted(caches, &self.found, true, &bytes)
            .await;
        let useful = if read.is_ok() { info.nar_size } else { 0 };
        self.counters
            .wasted(bytes.load(Relaxed).saturating_sub(useful));
        let (read, source) = read?;
        if self.request.terms.must_be_delivered {
            let key = self.key(false);
            let in_turn = InTurn::new(fetches, &key);
            // Another section may have stored it meanwhile; what came here has the same hash.
            let _turn = in_turn.turn.lock().await;
            return match self.held().await? {
                Some((pin, _)) => Ok(self.note(pin, source)),
                None => Ok(self.note(self.keep(read)?, source)),
            };
        }
        Ok(self.note(self.keep(read)?, source))
    }

    /// Makes what was read one of the store's paths.
    fn keep(&self, read: PackWriter<Option<Leases>>) -> Result<Pin, RealiseError> {
        let info = &self.found.info;
        // A few writes, or a rename, and a change of the index: less work than to wake a thread for it.
        if read.is_small() {
            let put = self.store.put(read.into_small(), info);
            return put.map_err(|error| not_written(&self.found, error.into()));
        }
        let draft = self.store.finish(read, &self.found)?;
        let published = self.store.publish(draft, info);
        published.map_err(|error| not_written(&self.found, error.into()))
    }

    /// Notes that a path was fetched.
    fn note(&self, pin: Pin, source: usize) -> Pin {
        let policy = self.request.caches.policy_id();
        self.store.shared.verdicts.add(policy, pin.pack);
        self.delivered(&pin, source);
        self.counters.fetched(self.found.info.nar_size);
        pin
    }
}

impl Store {
    /// Fetches the NAR of a path, and verifies it. Its contents are in a pack that is not one of the store's yet, or in memory
    /// if it is a small one. Files whose contents are stored already are not written if it `may_refer` to other packs.
    pub(crate) async fn read_nar(
        &self,
        caches: &Arc<Caches>,
        found: &Found,
        may_refer: bool,
    ) -> Result<PackWriter<Option<Leases>>, RealiseError> {
        let counted = Arc::default();
        let read = self.read_nar_counted(caches, found, may_refer, &counted);
        let (read, _source) = read.await?;
        Ok(read)
    }

    /// Counts what is read, too, and gives which of the caches delivered it.
    async fn read_nar_counted(
        &self,
        caches: &Arc<Caches>,
        found: &Found,
        may_refer: bool,
        counted: &Arc<AtomicU64>,
    ) -> Result<(PackWriter<Option<Leases>>, usize), RealiseError> {
        let fetches = &self.shared.running.fetches;
        let slot = fetches.slot(caches).await;
        let memory = fetches.memory(caches, &found.info);
        let counted = Arc::clone(counted);
        let (shared, info) = (Arc::clone(&self.shared), Arc::clone(&found.info));
        let read = move |nar: &mut dyn Read| {
            let _held = &slot;
            let id = shared.next_pack().map_err(WriteError::File);
            let known = may_refer.then(|| Leases::new(Arc::clone(&shared)));
            let nar = Counted {
                nar,
                bytes: 0,
                total: &counted,
            };
            let read = id.and_then(|id| {
                let path = shared.layout.tmp().join(id.to_string());
                PackWriter::new(id, path, known).read(nar, info.nar_size)
            });
            read.map_err(into_io)
        };
        let fetched = caches.fetch_nar_with(found, memory, read).await;
        fetched.map_err(|error| out_of_io(found, error))
    }

    /// Whether garbage may go to make room.
    fn collects_for_room(&self) -> bool {
        self.shared.options.keep_free.is_some()
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

/// Counts what is read.
struct Counted<'a, 'b> {
    nar: &'a mut dyn Read,
    bytes: u64,
    total: &'b AtomicU64,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.nar.read(out)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl Drop for Counted<'_, '_> {
    fn drop(&mut self) {
        self.total.fetch_add(self.bytes, Relaxed);
    }
}
