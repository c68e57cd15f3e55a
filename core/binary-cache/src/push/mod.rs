//! Pushing closures to a cache.

mod compress;
mod error;
mod listing;
mod order;
mod pack;

use crate::{
    cache_info::CacheInfo,
    error::FetchError,
    limits::Limits,
    source::{NarSource, PathInfo, walk_closure},
    transport::{Payload, Stage, Transport},
    url::CacheUrl,
};
pub use compress::{Compressor, CompressorError};
pub use error::PushError;
use futures::{
    FutureExt, StreamExt, TryFutureExt,
    channel::mpsc::{self, UnboundedReceiver},
    stream::{self, FuturesUnordered},
};
use nix_formats::{NarInfo, SecretKey, StorePath};
use order::Order;
use pack::{Packed, Packer};
use std::{
    collections::{BinaryHeap, VecDeque},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// NARs that are on their way at once, for each thread that packs.
const AHEAD: usize = 8;

/// This many bytes of NARs, and this many paths, a thread packs before it is asked again: waking one costs as much as packing a
/// small path.
const BATCH_BYTES: u64 = 1 << 20;
const BATCH_PATHS: usize = 32;

/// This many bytes of files, or this many paths, are put into a folder before they are synced to the disk and their narinfos
/// written. A push that is killed packs them again.
const SYNC_BYTES: u64 = 64 << 20;
const SYNC_PATHS: usize = 4096;

/// A NAR of this size is asked for before it is sent a second time.
const WORTH_ASKING: u64 = 1 << 20;

/// How to push.
#[derive(Debug)]
pub struct PushOptions {
    /// How NARs are compressed.
    pub compressor: Compressor,
    /// Who signs. Signatures that paths have already are kept.
    pub keys: Arc<[SecretKey]>,
    /// Whether to write a `.ls` listing for each path.
    pub listings: bool,
    /// NARs packed at once.
    pub jobs: NonZeroUsize,
    /// Bounds on requests.
    pub limits: Limits,
}

impl Default for PushOptions {
    /// zstd, no key, no listings, a NAR for each processor.
    fn default() -> Self {
        Self {
            compressor: Compressor::default(),
            keys: Arc::default(),
            listings: false,
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
        }
    }
}

/// How far a push is; can be read while it goes on.
#[derive(Debug, Default)]
pub struct PushProgress {
    paths: AtomicU64,
    paths_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl PushProgress {
    /// Paths to be pushed, as far as it is known.
    pub fn paths(&self) -> u64 {
        self.paths.load(Ordering::Relaxed)
    }

    /// Paths pushed.
    pub fn paths_done(&self) -> u64 {
        self.paths_done.load(Ordering::Relaxed)
    }

    /// Bytes of NARs to be pushed, not compressed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of NARs read.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    fn expect(&self, nar_size: u64) {
        self.paths.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(nar_size, Ordering::Relaxed);
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes_done.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReport {
    /// The paths that were pushed, sorted.
    pub pushed: Vec<StorePath>,
    /// The paths that were there, but lacked a signature and now have it.
    pub signed: Vec<StorePath>,
    /// The paths that were there.
    pub present: Vec<StorePath>,
    /// Bytes of the NARs pushed.
    pub nar_size: u64,
    /// Bytes of the files they became.
    pub file_size: u64,
}

/// Pushes the closure of `roots` to a cache. What is there is not pushed again.
///
/// A path's narinfo is written after its NAR, and after the narinfos of all
/// paths that it refers to; in a folder after the NAR is on the disk. So
/// whenever this is killed, or the machine goes down, the cache is whole and
/// lacks no reference of any path that it has; the next run goes on from there.
pub async fn push(
    source: Arc<dyn NarSource>,
    roots: &[StorePath],
    to: &CacheUrl,
    options: PushOptions,
    progress: Arc<PushProgress>,
) -> Result<PushReport, PushError> {
    let (found, closure) = mpsc::unbounded();
    let walk = {
        let (source, roots) = (Arc::clone(&source), roots.to_vec());
        let tell = move |infos| found.unbounded_send(infos).is_ok();
        blocking(move || walk_closure(&*source, &roots, tell))
    };
    let transport = Transport::for_writing(to, &options.limits)?;
    let push = Push {
        source,
        transport,
        options,
        progress,
    };
    push.check_cache().await?;
    let walk = walk.map_err(PushError::Closure);
    let (mut report, ()) = futures::try_join!(push.run(closure), walk)?;
    report.pushed.sort();
    report.present.sort();
    report.signed.sort();
    Ok(report)
}

struct Push {
    source: Arc<dyn NarSource>,
    transport: Transport,
    options: PushOptions,
    progress: Arc<PushProgress>,
}

/// What a cache has of a path.
enum Present {
    Nothing,
    All,
    /// A narinfo that lacks our signature; here it is with it.
    Unsigned(Box<NarInfo>),
}

impl Push {
    /// Sees that the cache is one of our store folder, or makes it one.
    async fn check_cache(&self) -> Result<(), PushError> {
        let (name, limits) = (CacheInfo::NAME, &self.options.limits);
        let ours = self.source.store_dir();
        let info = self
            .transport
            .get(name, CacheInfo::MAX_SIZE, limits)
            .await?;
        let Some(info) = info.filter(|info| !info.is_empty()) else {
            let payload = Payload::Memory(CacheInfo::of_new_cache(ours).into());
            let put = self
                .transport
                .put(name, "text/x-nix-cache-info", payload, limits);
            return Ok(put.await?);
        };
        match CacheInfo::parse(ours, &info) {
            Err(FetchError::OtherStoreDir { theirs, ours }) => {
                Err(PushError::OtherStoreDir { theirs, ours })
            }
            parsed => Ok(parsed.map(drop)?),
        }
    }

    /// What the cache has of a path. A signature that it lacks is added, in a folder later.
    async fn check(&self, info: PathInfo) -> Result<(PathInfo, Present), PushError> {
        let present = self.present(&info).await?;
        if let Present::Unsigned(signed) = &present
            && !self.transport.is_folder()
        {
            self.publish(signed).await?;
        }
        Ok((info, present))
    }

    async fn present(&self, info: &PathInfo) -> Result<Present, PushError> {
        let name = NarInfo::file_name(&info.path);
        let limits = &self.options.limits;
        let store_dir = self.source.store_dir();
        let got = self.transport.get(&name, limits.max_narinfo, limits).await;
        let got = got.map_err(|error| upload_error(&info.path, error))?;
        let Some(text) = got else {
            return Ok(Present::Nothing);
        };
        // What is damaged is as good as missing.
        let is_ours = |name: &str| self.options.keys.iter().any(|key| key.name() == name);
        let text = String::from_utf8_lossy(&text);
        let Ok(theirs) = NarInfo::parse_preferring(store_dir, &text, is_ours) else {
            return Ok(Present::Nothing);
        };
        if theirs.path != info.path {
            return Ok(Present::Nothing);
        }
        // Another build of it is not ours to sign.
        let is_same = (theirs.nar_hash, theirs.nar_size) == (info.nar_hash, info.nar_size)
            && theirs.references == info.references;
        if !is_same {
            return Ok(Present::All);
        }
        if let Some(folder) = self.transport.folder()
            && !folder.has(&theirs.url, theirs.file_size)
        {
            return Ok(Present::Nothing);
        }
        let mut signed = theirs.clone();
        for key in &*self.options.keys {
            signed.sign(store_dir, key);
        }
        Ok(if signed.signatures == theirs.signatures {
            Present::All
        } else {
            Present::Unsigned(Box::new(signed))
        })
    }

    /// Packs and uploads what the cache lacks of the closure, of what is known of that the largest first, and writes each
    /// path's narinfo as soon as those of its references are there.
    async fn run(
        &self,
        closure: UnboundedReceiver<Vec<PathInfo>>,
    ) -> Result<PushReport, PushError> {
        let (jobs, concurrency) = (self.options.jobs.get(), self.options.limits.concurrency);
        let mut checks = closure
            .flat_map(stream::iter)
            .map(|info| self.check(info))
            .buffer_unordered(concurrency.max(1));
        let (mut report, mut order, mut waiting) =
            (PushReport::default(), Order::default(), BinaryHeap::new());
        let mut idle = self.packers()?;
        let mut packing = FuturesUnordered::new();
        let mut outgoing = VecDeque::new();
        let mut uploads = FuturesUnordered::new();
        let mut publications = FuturesUnordered::new();
        let mut batch = Batch::default();
        loop {
            // One after the other, for they are in the order in which they may be seen.
            if publications.is_empty() && batch.is_full() {
                publications.push(self.publish_batch(std::mem::take(&mut batch)).boxed());
            }
            while uploads.len() < jobs * AHEAD
                && let Some(packed) = outgoing.pop_front()
            {
                uploads.push(self.upload(packed));
            }
            while outgoing.is_empty()
                && uploads.len() < jobs * AHEAD
                && !waiting.is_empty()
                && let Some(packer) = idle.pop()
            {
                packing.push(self.pack(packer, next_batch(&mut waiting)));
            }
            let mut ready: VecDeque<NarInfo> = tokio::select! {
                Some(checked) = checks.next() => {
                    let (info, present) = checked?;
                    match present {
                        Present::Nothing => {
                            self.progress.expect(info.nar_size);
                            order.expect(&info);
                            waiting.push(Waiting(info));
                            continue;
                        }
                        Present::All => report.present.push(info.path.clone()),
                        Present::Unsigned(signed) => {
                            report.signed.push(info.path.clone());
                            if self.transport.is_folder() {
                                batch.signed.push(*signed);
                            }
                        }
                    }
                    order.there(&info.path).into()
                }
                Some((packer, packed)) = packing.next() => {
                    idle.push(packer);
                    outgoing.extend(packed?);
                    continue;
                }
                Some(narinfo) = uploads.next() => order.uploaded(narinfo?).into_iter().collect(),
                Some(published) = publications.next() => {
                    let mut ready = VecDeque::new();
                    for narinfo in published? {
                        let narinfo: NarInfo = narinfo;
                        self.progress.paths_done.fetch_add(1, Ordering::Relaxed);
                        report.nar_size = report.nar_size.saturating_add(narinfo.nar_size);
                        report.file_size += narinfo.file_size.unwrap_or_default();
                        ready.extend(order.there(&narinfo.path));
                        report.pushed.push(narinfo.path);
                    }
                    ready
                }
                else => {
                    if batch.is_empty() {
                        return Ok(report);
                    }
                    publications.push(self.publish_batch(std::mem::take(&mut batch)).boxed());
                    continue;
                }
            };
            while let Some(narinfo) = ready.pop_front() {
                if self.transport.is_folder() {
                    // Behind what it refers to, in this batch or an earlier one.
                    ready.extend(order.there(&narinfo.path));
                    batch.add(narinfo);
                } else {
                    let publish = async move {
                        self.publish(&narinfo).await?;
                        Ok::<_, PushError>(vec![narinfo])
                    };
                    publications.push(publish.boxed());
                }
            }
        }
    }

    /// Those who pack, as many as may at once.
    fn packers(&self) -> Result<Vec<Packer>, PushError> {
        let stage = self.transport.stage()?;
        let packer = |_| {
            let lane = stage.as_ref().map(Stage::lane).transpose()?;
            let source = Arc::clone(&self.source);
            let compressor = self.options.compressor.clone();
            let progress = Arc::clone(&self.progress);
            Ok(Packer::new(
                source,
                compressor,
                lane,
                self.options.listings,
                progress,
            ))
        };
        (0..self.options.jobs.get()).map(packer).collect()
    }

    /// Packs paths, one after the other, on a thread that may block.
    fn pack(
        &self,
        mut packer: Packer,
        batch: Vec<PathInfo>,
    ) -> impl Future<Output = (Packer, Result<Vec<Packed>, PushError>)> + use<> {
        let keys = Arc::clone(&self.options.keys);
        blocking(move || {
            let pack = |info| {
                let mut packed = packer.pack(info)?;
                for key in &*keys {
                    packed.narinfo.sign(packer.store_dir(), key);
                }
                Ok(packed)
            };
            let packed = batch.into_iter().map(pack).collect();
            (packer, packed)
        })
    }

    /// Brings a NAR into the cache; its narinfo, which is not yet there.
    async fn upload(&self, packed: Packed) -> Result<NarInfo, PushError> {
        let Packed {
            payload,
            narinfo,
            listing,
        } = packed;
        let upload = async {
            let (limits, url) = (&self.options.limits, &narinfo.url);
            let is_there = !self.transport.is_folder()
                && narinfo.file_size >= Some(WORTH_ASKING)
                && self.transport.exists(url, limits).await?;
            if !is_there {
                self.transport
                    .put(url, "application/x-nix-nar", payload, limits)
                    .await?;
            }
            if let Some(listing) = listing {
                let name = format!("{}.ls", narinfo.path.hash_part());
                let payload = Payload::Memory(listing.into());
                self.transport
                    .put(&name, "application/json", payload, limits)
                    .await?;
            }
            Ok(())
        };
        match upload.await {
            Ok(()) => Ok(narinfo),
            Err(error) => Err(upload_error(&narinfo.path, error)),
        }
    }

    /// Writes narinfos into a folder once all that they tell of is on the disk, and gives back those of paths that were pushed.
    async fn publish_batch(&self, batch: Batch) -> Result<Vec<NarInfo>, PushError> {
        let Some(folder) = self.transport.folder().map(Arc::clone) else {
            return Ok(Vec::new());
        };
        let store_dir = self.source.store_dir();
        let narinfos = batch.signed.iter().chain(&batch.pushed);
        let file = |info: &NarInfo| (NarInfo::file_name(&info.path), info.print(store_dir));
        let files: Vec<(String, String)> = narinfos.map(file).collect();
        blocking(move || folder.put_last(&files)).await?;
        Ok(batch.pushed)
    }

    async fn publish(&self, narinfo: &NarInfo) -> Result<(), PushError> {
        let name = NarInfo::file_name(&narinfo.path);
        let text = narinfo.print(self.source.store_dir());
        let payload = Payload::Memory(text.into());
        self.transport
            .put(&name, "text/x-nix-narinfo", payload, &self.options.limits)
            .await
            .map_err(|error| upload_error(&narinfo.path, error))
    }
}

/// Narinfos to write into a folder together, in the order in which they may become visible.
#[derive(Default)]
struct Batch {
    /// Of paths that were there and lacked a signature.
    signed: Vec<NarInfo>,
    pushed: Vec<NarInfo>,
    /// Bytes of the files that they tell of.
    bytes: u64,
}

impl Batch {
    fn add(&mut self, narinfo: NarInfo) {
        self.bytes += narinfo.file_size.unwrap_or_default();
        self.pushed.push(narinfo);
    }

    fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.pushed.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= SYNC_BYTES || self.signed.len() + self.pushed.len() >= SYNC_PATHS
    }
}

fn upload_error(path: &StorePath, source: FetchError) -> PushError {
    PushError::Upload {
        path: path.clone(),
        source,
    }
}

/// A path to be packed; the greatest has the largest NAR.
struct Waiting(PathInfo);

impl Waiting {
    fn key(&self) -> (u64, &StorePath) {
        (self.0.nar_size, &self.0.path)
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

/// What one thread is to pack next: the largest path, or several small ones.
fn next_batch(waiting: &mut BinaryHeap<Waiting>) -> Vec<PathInfo> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES
        && batch.len() < BATCH_PATHS
        && let Some(Waiting(info)) = waiting.pop()
    {
        bytes += info.nar_size;
        batch.push(info);
    }
    batch
}

/// Starts work that blocks; done when that is. A panic in it goes on here.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let work = tokio::task::spawn_blocking(work);
    async {
        match work.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("work that blocks is never cancelled"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceError;
    use nix_formats::{
        HashAlgorithm, StoreDir,
        nar::{Writer, hash_file},
    };

    /// A store that lacks what its only path refers to.
    struct Torn(StoreDir);

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(format!("{}-{name}", "0".repeat(32))).unwrap()
    }

    impl NarSource for Torn {
        fn store_dir(&self) -> &StoreDir {
            &self.0
        }

        fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>, SourceError> {
            let info = |asked: &StorePath| {
                (*asked == path("root")).then(|| PathInfo {
                    path: asked.clone(),
                    nar_hash: hash_file(HashAlgorithm::Sha256, false, b"").0,
                    nar_size: hash_file(HashAlgorithm::Sha256, false, b"").1,
                    references: [path("lost")].into(),
                    deriver: None,
                    signatures: Vec::new(),
                    ca: None,
                })
            };
            Ok(paths.iter().map(info).collect())
        }

        fn write_nar(&self, _: &PathInfo, out: &mut dyn std::io::Write) -> Result<(), SourceError> {
            let mut nar = Writer::new(out);
            let written = nar.file(false, b"").and_then(|()| nar.finish().map(|_| ()));
            written.map_err(|error| SourceError::Other(error.into()))
        }
    }

    #[tokio::test]
    async fn a_closure_with_a_hole_is_told_and_not_published() {
        let cache = tempfile::tempdir().unwrap();
        let url = format!("file://{}", cache.path().display())
            .parse()
            .unwrap();
        let (source, progress) = (Arc::new(Torn(StoreDir::default())), Arc::default());
        let options = PushOptions::default();
        let pushed = push(source, &[path("root")], &url, options, progress).await;
        let Err(PushError::Closure(SourceError::Missing { path: lost, .. })) = pushed else {
            panic!("it is not told: {pushed:?}");
        };
        assert_eq!(lost, path("lost"));
        let narinfo = NarInfo::file_name(&path("root"));
        assert!(!cache.path().join(narinfo).exists());
    }
}
