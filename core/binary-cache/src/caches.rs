//! Several caches, asked in order, and what they gave remembered.

use crate::{
    cache::Cache,
    error::{Refusal, SetupError, Unavailable},
    limits::Limits,
    transport::{Transport, client},
    url::CacheUrl,
};
use futures::future::join_all;
use nix_formats::{ContentAddressMethod, NarInfo, PublicKeys, StoreDir, StorePath};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::Semaphore;

/// Binary caches and the keys that are trusted. Made once; answers are
/// remembered for as long as it lives, those that no cache has a path for
/// [a short time](Limits::negative_ttl).
///
/// Caches are asked one after the other in order of priority (lower first, then
/// as given), and the first answer that can be trusted counts. They are not
/// raced: two caches may hold different builds of one path, and the answer is to
/// be the same every time. A cache that keeps failing is left alone for
/// [a while](Limits::cool_down), so that it costs little.
#[derive(Debug)]
pub struct Caches {
    pub(crate) store_dir: StoreDir,
    pub(crate) members: Vec<Cache>,
    pub(crate) keys: PublicKeys,
    pub(crate) limits: Limits,
    requests: Semaphore,
    answers: Mutex<HashMap<StorePath, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<Answer>>;

#[derive(Debug, Clone)]
enum Answer {
    Found(Arc<Found>),
    Refused(Instant, Arc<Vec<(String, Refusal)>>),
}

/// A path that a cache has and that can be trusted.
#[derive(Debug, Clone)]
pub struct Found {
    /// What the cache says, verified.
    pub info: NarInfo,
    /// Why it is believed.
    pub trust: Trust,
    /// The cache.
    pub cache: String,
    pub(crate) index: usize,
}

/// Why a narinfo is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Trusted keys signed it; their names, never none.
    Signed(Vec<String>),
    /// Nobody did, but the content address makes the path. Whoever takes the
    /// contents must check them against it, as [`Caches::fetch_nar`] does.
    ContentAddressed,
}

impl Caches {
    /// Caches of one store folder. Nothing is asked yet.
    pub fn new(
        store_dir: StoreDir,
        urls: impl IntoIterator<Item = CacheUrl>,
        keys: PublicKeys,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        let urls: Vec<CacheUrl> = urls.into_iter().collect();
        let servers = || urls.iter().filter_map(CacheUrl::server);
        let client = if servers().next().is_some() {
            let needs_https = servers().any(|url| url.scheme() == "https");
            Some(client(&limits, needs_https).map_err(SetupError::Client)?)
        } else {
            None
        };
        let members = urls
            .iter()
            .filter_map(|url| {
                Some(Cache::new(
                    url,
                    Transport::new(url, client.as_ref(), &limits)?,
                ))
            })
            .collect();
        let requests = Semaphore::new(limits.concurrency.max(1));
        Ok(Self {
            store_dir,
            members,
            keys,
            limits,
            requests,
            answers: Mutex::default(),
        })
    }

    /// The store folder.
    pub fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// Looks a path up. `needed_by` is for the error only.
    pub async fn find(
        &self,
        path: &StorePath,
        needed_by: Option<&StorePath>,
    ) -> Result<Arc<Found>, Unavailable> {
        let slot = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(answers.entry(path.clone()).or_default())
        };
        // Whoever else wants the same path waits here.
        let mut slot = slot.lock().await;
        let unavailable = |refusals| Unavailable {
            store_dir: self.store_dir.clone(),
            path: path.clone(),
            needed_by: needed_by.cloned(),
            refusals,
            without_keys: self.keys.is_empty(),
        };
        match &*slot {
            Some(Answer::Found(found)) => return Ok(Arc::clone(found)),
            Some(Answer::Refused(when, refusals)) if when.elapsed() < self.limits.negative_ttl => {
                return Err(unavailable(Arc::clone(refusals)));
            }
            _ => {}
        }
        match self.ask(path).await {
            Ok(found) => {
                let found = Arc::new(found);
                *slot = Some(Answer::Found(Arc::clone(&found)));
                Ok(found)
            }
            Err(refusals) => {
                let refusals = Arc::new(refusals);
                *slot = Some(Answer::Refused(Instant::now(), Arc::clone(&refusals)));
                Err(unavailable(refusals))
            }
        }
    }

    async fn ask(&self, path: &StorePath) -> Result<Found, Vec<(String, Refusal)>> {
        // Never closed, so it is always granted.
        let _permit = self.requests.acquire().await;
        let mut refusals = Vec::new();
        for index in self.order().await {
            let cache = &self.members[index];
            let answer = cache
                .narinfo(&self.store_dir, path, &self.limits)
                .await
                .and_then(|info| Ok((self.trust(&info)?, info)));
            match answer {
                Ok((trust, info)) => {
                    return Ok(Found {
                        info,
                        trust,
                        cache: cache.name.clone(),
                        index,
                    });
                }
                Err(refusal) => refusals.push((cache.name.clone(), refusal)),
            }
        }
        Err(refusals)
    }

    async fn order(&self) -> Vec<usize> {
        let priorities: Vec<_> = self
            .members
            .iter()
            .map(|cache| cache.priority(&self.store_dir, &self.limits))
            .collect();
        let priorities = join_all(priorities).await;
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|&index| priorities[index]);
        order
    }

    fn trust(&self, info: &NarInfo) -> Result<Trust, Refusal> {
        let signers = info.signers(&self.store_dir, &self.keys);
        if !signers.is_empty() {
            return Ok(Trust::Signed(signers));
        }
        // Git's hashes can't be recomputed from a NAR as it streams by.
        let is_git = info
            .ca
            .is_some_and(|ca| ca.method == ContentAddressMethod::Git);
        if !is_git && info.is_content_addressed(&self.store_dir) {
            return Ok(Trust::ContentAddressed);
        }
        let mut keys: Vec<String> = info
            .signatures
            .iter()
            .map(|signature| signature.key_name.clone())
            .collect();
        keys.sort();
        keys.dedup();
        Err(Refusal::Untrusted(keys))
    }
}
