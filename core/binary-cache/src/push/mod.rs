//! Pushing closures to a cache.

mod compress;
mod error;
mod listing;
mod pack;

use crate::{
    error::FetchError,
    limits::Limits,
    source::{NarSource, PathInfo, source_closure},
    transport::{Payload, Stage, Transport},
    url::CacheUrl,
};
pub use compress::{Compressor, CompressorError};
pub use error::PushError;
use futures::{StreamExt, TryStreamExt, stream, stream::FuturesUnordered};
use nix_formats::{NarInfo, SecretKey, StorePath, nix32};
use pack::{Packed, pack};
use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Semaphore;

const MAX_CACHE_INFO: usize = 64 * 1024;

/// NARs that are packed or on their way at once, for each that is packed.
const AHEAD: usize = 8;

/// A NAR of this size is asked for before it is sent a second time.
const WORTH_ASKING: u64 = 1 << 20;

/// How to push.
#[derive(Debug)]
pub struct PushOptions {
    /// How NARs are compressed.
    pub compressor: Compressor,
    /// Who signs. Signatures that paths have already are kept.
    pub keys: Vec<SecretKey>,
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
            keys: Vec::new(),
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
    /// Paths to be pushed; 0 while it is not known.
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
/// paths that it refers to. So whenever this is killed, the cache is whole and
/// lacks no reference of any path that it has; the next run goes on from there.
pub async fn push(
    source: Arc<dyn NarSource>,
    roots: &[StorePath],
    to: &CacheUrl,
    options: PushOptions,
    progress: Arc<PushProgress>,
) -> Result<PushReport, PushError> {
    let closure = {
        let (source, roots) = (Arc::clone(&source), roots.to_vec());
        blocking(move || source_closure(&*source, &roots))
            .await
            .map_err(PushError::Closure)?
    };
    let transport = Transport::for_writing(to, &options.limits)?;
    let stage = transport.stage()?;
    let push = Push {
        jobs: Semaphore::new(options.jobs.get()),
        source,
        transport,
        stage,
        options,
        progress,
    };
    push.check_cache().await?;
    let mut report = PushReport::default();
    let missing = push.missing(closure, &mut report).await?;
    push.run(missing, &mut report).await?;
    report.pushed.sort();
    Ok(report)
}

struct Push {
    source: Arc<dyn NarSource>,
    transport: Transport,
    stage: Option<Stage>,
    options: PushOptions,
    jobs: Semaphore,
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
        let (name, limits) = ("nix-cache-info", &self.options.limits);
        let ours = self.source.store_dir();
        let info = self.transport.get(name, MAX_CACHE_INFO, limits).await?;
        let Some(info) = info else {
            let text = format!("StoreDir: {ours}\nWantMassQuery: 1\n");
            let payload = Payload::Memory(text.into());
            let put = self
                .transport
                .put(name, "text/x-nix-cache-info", payload, limits);
            return Ok(put.await?);
        };
        let info = String::from_utf8_lossy(&info);
        let theirs = info
            .lines()
            .find_map(|line| line.strip_prefix("StoreDir:"))
            .map(str::trim);
        match theirs {
            Some(theirs) if theirs != ours.as_str() => Err(PushError::OtherStoreDir {
                theirs: theirs.to_owned(),
                ours: ours.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The paths that the cache lacks. Signatures that it lacks are added.
    async fn missing(
        &self,
        closure: BTreeMap<StorePath, PathInfo>,
        report: &mut PushReport,
    ) -> Result<Vec<PathInfo>, PushError> {
        let mut asked = stream::iter(closure.into_values())
            .map(|info| async move {
                let present = self.present(&info).await?;
                if let Present::Unsigned(signed) = &present {
                    self.publish(signed).await?;
                }
                Ok::<_, PushError>((info, present))
            })
            .buffer_unordered(self.options.limits.concurrency.max(1));
        let mut missing = Vec::new();
        while let Some((info, present)) = asked.try_next().await? {
            match present {
                Present::Nothing => missing.push(info),
                Present::All => report.present.push(info.path),
                Present::Unsigned(_) => report.signed.push(info.path),
            }
        }
        report.present.sort();
        report.signed.sort();
        Ok(missing)
    }

    async fn present(&self, info: &PathInfo) -> Result<Present, PushError> {
        let name = narinfo_name(&info.path);
        let limits = &self.options.limits;
        let store_dir = self.source.store_dir();
        let got = self.transport.get(&name, limits.max_narinfo, limits).await;
        let got = got.map_err(|error| upload_error(&info.path, error))?;
        let Some(text) = got else {
            return Ok(Present::Nothing);
        };
        // What is damaged is as good as missing.
        let Ok(theirs) = NarInfo::parse(store_dir, &String::from_utf8_lossy(&text)) else {
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
        let mut signed = theirs.clone();
        for key in &self.options.keys {
            signed.sign(store_dir, key);
        }
        Ok(if signed.signatures == theirs.signatures {
            Present::All
        } else {
            Present::Unsigned(Box::new(signed))
        })
    }

    /// Packs and uploads NARs, the largest first, and writes each path's
    /// narinfo as soon as those of its references are there.
    async fn run(
        &self,
        mut missing: Vec<PathInfo>,
        report: &mut PushReport,
    ) -> Result<(), PushError> {
        missing.sort_by_key(|info| std::cmp::Reverse(info.nar_size));
        let sum = missing
            .iter()
            .fold(0_u64, |sum, info| sum.saturating_add(info.nar_size));
        self.progress.bytes.store(sum, Ordering::Relaxed);
        self.progress
            .paths
            .store(missing.len() as u64, Ordering::Relaxed);
        let mut order = Order::new(&missing);
        let at_once = self.options.jobs.get() * AHEAD;
        let mut uploads = stream::iter(missing)
            .map(|info| self.upload(info))
            .buffer_unordered(at_once);
        let mut publications = FuturesUnordered::new();
        loop {
            let ready = tokio::select! {
                Some(narinfo) = uploads.next() => order.uploaded(narinfo?),
                Some(published) = publications.next() => {
                    let narinfo: NarInfo = published?;
                    self.progress.paths_done.fetch_add(1, Ordering::Relaxed);
                    report.nar_size = report.nar_size.saturating_add(narinfo.nar_size);
                    report.file_size += narinfo.file_size.unwrap_or_default();
                    let ready = order.published(&narinfo.path);
                    report.pushed.push(narinfo.path);
                    ready
                }
                else => return Ok(()),
            };
            for narinfo in ready {
                publications.push(async move {
                    self.publish(&narinfo).await?;
                    Ok::<_, PushError>(narinfo)
                });
            }
        }
    }

    /// Brings a path's NAR into the cache; its narinfo, which is not yet there.
    async fn upload(&self, info: PathInfo) -> Result<NarInfo, PushError> {
        let packed = {
            // Never closed, so it is always granted.
            let _permit = self.jobs.acquire().await;
            let (source, stage, info) =
                (Arc::clone(&self.source), self.stage.clone(), info.clone());
            let (compressor, listings) = (self.options.compressor.clone(), self.options.listings);
            let progress = Arc::clone(&self.progress);
            let packed = move || {
                pack(
                    &*source,
                    &info,
                    &compressor,
                    stage.as_ref(),
                    listings,
                    &progress,
                )
            };
            blocking(packed).await?
        };
        let Packed {
            payload,
            file_hash,
            file_size,
            listing,
        } = packed;
        let url = format!(
            "nar/{}.nar{}",
            nix32::encode(file_hash.as_bytes()),
            self.options.compressor.suffix()
        );
        let upload = async {
            let limits = &self.options.limits;
            let is_there = self.stage.is_none()
                && file_size >= WORTH_ASKING
                && self.transport.exists(&url, limits).await?;
            if !is_there {
                self.transport
                    .put(&url, "application/x-nix-nar", payload, limits)
                    .await?;
            }
            if let Some(listing) = listing {
                let name = format!("{}.ls", info.path.hash_part());
                let payload = Payload::Memory(listing.into());
                self.transport
                    .put(&name, "application/json", payload, limits)
                    .await?;
            }
            Ok(())
        };
        upload
            .await
            .map_err(|error| upload_error(&info.path, error))?;
        let mut narinfo = NarInfo {
            path: info.path,
            url,
            compression: self.options.compressor.method().clone(),
            file_hash: Some(file_hash),
            file_size: Some(file_size),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references,
            deriver: info.deriver,
            signatures: info.signatures,
            ca: info.ca,
        };
        for key in &self.options.keys {
            narinfo.sign(self.source.store_dir(), key);
        }
        Ok(narinfo)
    }

    async fn publish(&self, narinfo: &NarInfo) -> Result<(), PushError> {
        let name = narinfo_name(&narinfo.path);
        let text = narinfo.print(self.source.store_dir());
        let payload = Payload::Memory(text.into());
        self.transport
            .put(&name, "text/x-nix-narinfo", payload, &self.options.limits)
            .await
            .map_err(|error| upload_error(&narinfo.path, error))
    }
}

/// Which narinfos may be written.
struct Order {
    /// For each path, how many of its references are not yet there.
    waits_for: HashMap<StorePath, usize>,
    referrers: HashMap<StorePath, Vec<StorePath>>,
    /// Those whose NAR is there.
    uploaded: HashMap<StorePath, NarInfo>,
}

impl Order {
    fn new(missing: &[PathInfo]) -> Self {
        let mut waits_for: HashMap<StorePath, usize> =
            missing.iter().map(|info| (info.path.clone(), 0)).collect();
        let mut referrers: HashMap<StorePath, Vec<StorePath>> = HashMap::new();
        for info in missing {
            let mut count = 0;
            for reference in &info.references {
                if *reference != info.path && waits_for.contains_key(reference) {
                    count += 1;
                    let referrers = referrers.entry(reference.clone()).or_default();
                    referrers.push(info.path.clone());
                }
            }
            waits_for.insert(info.path.clone(), count);
        }
        Self {
            waits_for,
            referrers,
            uploaded: HashMap::new(),
        }
    }

    fn uploaded(&mut self, narinfo: NarInfo) -> Vec<NarInfo> {
        if self.waits_for.get(&narinfo.path) == Some(&0) {
            return vec![narinfo];
        }
        self.uploaded.insert(narinfo.path.clone(), narinfo);
        Vec::new()
    }

    fn published(&mut self, path: &StorePath) -> Vec<NarInfo> {
        let mut ready = Vec::new();
        for referrer in self.referrers.remove(path).unwrap_or_default() {
            if let Some(count) = self.waits_for.get_mut(&referrer) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(self.uploaded.remove(&referrer));
                }
            }
        }
        ready
    }
}

fn narinfo_name(path: &StorePath) -> String {
    format!("{}.narinfo", path.hash_part())
}

fn upload_error(path: &StorePath, source: FetchError) -> PushError {
    PushError::Upload {
        path: path.clone(),
        source,
    }
}

/// Runs work that blocks; a panic in it goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("work that blocks is never cancelled"),
        },
    }
}
