//! One cache: what it says about itself, and whether it is worth asking.

use std::mem::size_of;
use std::time::Duration;

use nix_formats::{NarInfo, PublicKeys, StoreDir, StorePath, chain};
use tokio::sync::OnceCell;

use crate::breaker::Breaker;
use crate::cache_info::{CacheInfo, DEFAULT_PRIORITY};
use crate::error::{FetchError, Refusal};
use crate::limits::Limits;
use crate::memory::{Charge, Share};
use crate::transport::Transport;
use crate::url::CacheUrl;

/// As many bytes as almost all narinfos have at most. Larger ones take their turns, and more memory than they have bytes.
const SMALL_NARINFO: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) name: String,
    pub(crate) transport: Transport,
    priority: Option<u32>,
    info: OnceCell<CacheInfo>,
    /// For all but NARs. Open: it is not asked.
    health: Breaker,
    /// For NARs. Open: the others are asked first.
    pub(crate) nars: Breaker,
}

/// A narinfo, not yet trusted, and the memory that it takes.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) info: NarInfo,
    pub(crate) charge: Charge,
}

/// What an allocation takes beyond what was asked for, about.
const ALLOCATION: usize = 16;

/// Bytes of memory that a narinfo takes.
pub(crate) fn weight(info: &NarInfo) -> usize {
    // Behind its counters, and what a path is held by.
    let path = |path: &StorePath| 3 * ALLOCATION + path.base_name().len();
    let signatures = info.signatures.iter().map(|signature| {
        size_of_val(signature) + signature.key_name.len() + signature.bytes.len() + 2 * ALLOCATION
    });
    // Nodes of the tree of references are two thirds full or more.
    let references = info.references.iter().map(|reference| 8 + path(reference));
    size_of::<NarInfo>()
        + 2 * ALLOCATION
        + info.url.capacity()
        + path(&info.path)
        + info.deriver.as_ref().map_or(0, path)
        + references.sum::<usize>()
        + signatures.sum::<usize>()
}

impl Cache {
    pub(crate) fn new(url: &CacheUrl, transport: Transport) -> Self {
        Self {
            name: url.to_string(),
            transport,
            priority: url.priority,
            info: OnceCell::new(),
            health: Breaker::default(),
            nars: Breaker::default(),
        }
    }

    /// The place in the order. A cache that can't be asked, or not in time, has
    /// the one it would have if it named none.
    pub(crate) async fn priority(
        &self,
        store_dir: &StoreDir,
        limits: &Limits,
        patience: Duration,
    ) -> u32 {
        if let Some(priority) = self.priority.or(self.info.get().map(|info| info.priority)) {
            return priority;
        }
        let own = tokio::time::timeout(patience, self.info(store_dir, limits)).await;
        let Ok(own) = own else {
            let name = CacheInfo::NAME.to_owned();
            self.count_failure(&FetchError::Timeout { name });
            return DEFAULT_PRIORITY;
        };
        own.map_or(DEFAULT_PRIORITY, |info| info.priority)
    }

    pub(crate) async fn info(
        &self,
        store_dir: &StoreDir,
        limits: &Limits,
    ) -> Result<&CacheInfo, FetchError> {
        let load = async {
            self.health.check(limits)?;
            match self.load_info(store_dir, limits).await {
                Ok(info) => Ok(info),
                Err(error) => {
                    tracing::warn!(cache = %self.name, error = chain(&error), "the cache is not usable");
                    self.health.open(error.clone());
                    Err(error)
                }
            }
        };
        self.info.get_or_try_init(|| load).await
    }

    async fn load_info(
        &self,
        store_dir: &StoreDir,
        limits: &Limits,
    ) -> Result<CacheInfo, FetchError> {
        let bytes = self
            .transport
            .get(CacheInfo::NAME, CacheInfo::MAX_SIZE, limits)
            .await?;
        let bytes = bytes.ok_or_else(|| match self.transport.missing_folder() {
            Some(folder) => FetchError::NoFolder(folder.to_owned()),
            None => FetchError::NotACache,
        })?;
        CacheInfo::parse(store_dir, &bytes)
    }

    /// The narinfo of a path, not yet trusted. Signatures by keys of these names are kept before others.
    pub(crate) async fn narinfo(
        &self,
        store_dir: &StoreDir,
        path: &StorePath,
        keys: &PublicKeys,
        share: &Share,
        limits: &Limits,
    ) -> Result<Held, Refusal> {
        self.info(store_dir, limits).await.map_err(refused)?;
        self.health.check(limits).map_err(refused)?;
        let name = NarInfo::file_name(path);
        let small = limits.max_narinfo.min(SMALL_NARINFO);
        let mut got = self.transport.get(&name, small, limits).await;
        let mut large = None;
        if let Err(FetchError::TooLarge { .. }) = got {
            // Never closed, so it is always granted.
            let turn = share.large.acquire().await;
            let room = share.charge(limits.max_narinfo * 4);
            large = Some((turn, room.map_err(Refusal::Failed)?));
            got = self.transport.get(&name, limits.max_narinfo, limits).await;
        }
        let bytes = match got {
            Ok(bytes) => {
                self.health.succeeded();
                bytes.ok_or(Refusal::Missing)?
            }
            Err(error) => {
                if error.is_transient() {
                    self.count_failure(&error);
                }
                return Err(refused(error));
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let info = NarInfo::parse_preferring(store_dir, &text, |name| keys.has_name(name))
            .map_err(Refusal::Malformed)?;
        if info.path != *path {
            return Err(Refusal::OtherPath(info.path));
        }
        drop(large);
        let charge = share.charge(weight(&info)).map_err(Refusal::Failed)?;
        Ok(Held { info, charge })
    }

    /// Counts a failure against it; after some in a row it is left alone.
    pub(crate) fn count_failure(&self, error: &FetchError) {
        if self.health.failed(error) {
            tracing::warn!(cache = %self.name, error = chain(error), "the cache is left alone for a while");
        }
    }
}

fn refused(error: FetchError) -> Refusal {
    match error {
        FetchError::Status {
            status: status @ (401 | 403 | 407),
            ..
        } => Refusal::Denied(status),
        error => Refusal::Failed(error),
    }
}
