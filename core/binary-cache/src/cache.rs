//! One cache: what it says about itself, and whether it is worth asking.

use crate::{
    error::{FetchError, Refusal},
    limits::Limits,
    transport::Transport,
    url::CacheUrl,
};
use nix_formats::{NarInfo, StoreDir, StorePath};
use std::{sync::Mutex, time::Instant};
use tokio::sync::OnceCell;

const MAX_CACHE_INFO: usize = 64 * 1024;

/// Nix's for caches that name none; lower is asked sooner.
const DEFAULT_PRIORITY: u32 = 50;

/// After as many failures without a success between, a cache is left alone.
const MAX_FAILURES: u32 = 3;

#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) name: String,
    pub(crate) transport: Transport,
    priority: Option<u32>,
    /// Priority from `nix-cache-info`.
    info: OnceCell<u32>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    /// When it was given up, and why.
    broken: Option<(Instant, FetchError)>,
}

impl Cache {
    pub(crate) fn new(url: &CacheUrl, transport: Transport) -> Self {
        Self {
            name: url.to_string(),
            transport,
            priority: url.priority,
            info: OnceCell::new(),
            health: Mutex::default(),
        }
    }

    /// The place in the order. A cache that can't be asked has the one it would
    /// have if it named none.
    pub(crate) async fn priority(&self, store_dir: &StoreDir, limits: &Limits) -> u32 {
        let own = self
            .info(store_dir, limits)
            .await
            .unwrap_or(DEFAULT_PRIORITY);
        self.priority.unwrap_or(own)
    }

    async fn info(&self, store_dir: &StoreDir, limits: &Limits) -> Result<u32, FetchError> {
        let load = async {
            self.check_health(limits)?;
            match self.load_info(store_dir, limits).await {
                Ok(priority) => Ok(priority),
                Err(error) => {
                    tracing::warn!(cache = %self.name, %error, "the cache is not usable");
                    self.give_up(error.clone());
                    Err(error)
                }
            }
        };
        self.info.get_or_try_init(|| load).await.copied()
    }

    async fn load_info(&self, store_dir: &StoreDir, limits: &Limits) -> Result<u32, FetchError> {
        let bytes = self
            .transport
            .get("nix-cache-info", MAX_CACHE_INFO, limits)
            .await?;
        let bytes = bytes.ok_or(FetchError::NotACache)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FetchError::NotACache)?;
        let mut priority = DEFAULT_PRIORITY;
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
                "Priority" => priority = value.parse().map_err(|_| FetchError::NotACache)?,
                _ => {}
            }
        }
        Ok(priority)
    }

    /// The narinfo of a path, not yet trusted.
    pub(crate) async fn narinfo(
        &self,
        store_dir: &StoreDir,
        path: &StorePath,
        limits: &Limits,
    ) -> Result<NarInfo, Refusal> {
        self.info(store_dir, limits).await.map_err(refused)?;
        self.check_health(limits).map_err(refused)?;
        let name = format!("{}.narinfo", path.hash_part());
        let got = self.transport.get(&name, limits.max_narinfo, limits).await;
        let bytes = match got {
            Ok(bytes) => {
                self.lock_health().failures = 0;
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

    fn lock_health(&self) -> std::sync::MutexGuard<'_, Health> {
        // Nothing panics while it is held.
        self.health
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn check_health(&self, limits: &Limits) -> Result<(), FetchError> {
        let mut health = self.lock_health();
        match &health.broken {
            Some((when, error)) if when.elapsed() < limits.cool_down => Err(error.clone()),
            Some(_) => {
                // One more chance: the next failure ends it.
                health.broken = None;
                health.failures = MAX_FAILURES - 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn count_failure(&self, error: &FetchError) {
        let mut health = self.lock_health();
        health.failures += 1;
        if health.failures >= MAX_FAILURES && health.broken.is_none() {
            tracing::warn!(cache = %self.name, %error, "the cache is left alone for a while");
            health.broken = Some((Instant::now(), error.clone()));
        }
    }

    fn give_up(&self, error: FetchError) {
        self.lock_health().broken = Some((Instant::now(), error));
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
