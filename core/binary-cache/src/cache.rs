//! One cache: what it says about itself, and whether it is worth asking.

use crate::{
    breaker::Breaker,
    error::{FetchError, Refusal},
    limits::Limits,
    transport::Transport,
    url::CacheUrl,
};
use nix_formats::{NarInfo, StoreDir, StorePath, chain};
use std::time::Duration;
use tokio::sync::OnceCell;

const MAX_CACHE_INFO: usize = 64 * 1024;

/// Nix's for caches that name none; lower is asked sooner.
const DEFAULT_PRIORITY: u32 = 50;

/// What a cache says about itself, in `nix-cache-info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store folder that it serves.
    pub store_dir: StoreDir,
    /// Its place among others; lower is asked sooner.
    pub priority: u32,
    /// Whether it minds being asked for many paths at once: not if true.
    pub want_mass_query: bool,
}

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
            let name = "nix-cache-info".to_owned();
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
            .get("nix-cache-info", MAX_CACHE_INFO, limits)
            .await?;
        let bytes = bytes.ok_or(FetchError::NotACache)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FetchError::NotACache)?;
        let mut info = CacheInfo {
            store_dir: store_dir.clone(),
            priority: DEFAULT_PRIORITY,
            want_mass_query: false,
        };
        for line in text.lines() {
            let (name, value) = line.split_once(':').ok_or(FetchError::NotACache)?;
            let value = value.trim();
            match name {
                "StoreDir" if value != store_dir.as_str() => {
                    return Err(FetchError::OtherStoreDir {
                        theirs: value.to_owned(),
                        ours: store_dir.clone(),
                    });
                }
                "WantMassQuery" => info.want_mass_query = value == "1",
                "Priority" => info.priority = value.parse().map_err(|_| FetchError::NotACache)?,
                _ => {}
            }
        }
        Ok(info)
    }

    /// The narinfo of a path, not yet trusted.
    pub(crate) async fn narinfo(
        &self,
        store_dir: &StoreDir,
        path: &StorePath,
        limits: &Limits,
    ) -> Result<NarInfo, Refusal> {
        self.info(store_dir, limits).await.map_err(refused)?;
        self.health.check(limits).map_err(refused)?;
        let name = format!("{}.narinfo", path.hash_part());
        let got = self.transport.get(&name, limits.max_narinfo, limits).await;
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
        let info = NarInfo::parse(store_dir, &text).map_err(Refusal::Malformed)?;
        if info.path != *path {
            return Err(Refusal::OtherPath(info.path));
        }
        Ok(info)
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
