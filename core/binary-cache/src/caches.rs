//! Several caches, asked in order, and what they gave remembered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use nix_formats::{NarInfo, StoreDir, StorePath};
use tokio::sync::Semaphore;

use crate::answers::Answer;
use crate::cache::{Cache, Held, weight};
use crate::cache_info::CacheInfo;
use crate::error::{FetchError, Refusal, SetupError, Unavailable};
use crate::limits::Limits;
use crate::memory::{CacheMemory, Charge, Share};
use crate::policy::{PolicyId, Trust, TrustPolicy};
use crate::together::Together;
use crate::transport::{Transport, client};
use crate::url::CacheUrl;

/// Binary caches and whom to believe. Made once; answers are remembered for as
/// long as it lives, [as far as there is memory](CacheMemory), those that no
/// cache has a path for [a short time](Limits::negative_ttl).
///
/// Caches are asked one after the other in order of priority (lower first, then
/// as given), and the first answer that can be trusted counts. They are not
/// raced from the start: two caches may hold different builds of one path, and
/// the answer must be the same every time. But when one says nothing for
/// [a while](Limits::hedge_after) the next is asked too. A cache that keeps
/// failing is left alone for [a while](Limits::cool_down), so that it costs
/// little.
#[derive(Debug)]
pub struct Caches {
    pub(crate) members: Arc<Members>,
    policy_id: PolicyId,
    requests: Semaphore,
    together: Together,
}

/// The caches themselves, which work on other threads needs too.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) store_dir: StoreDir,
    pub(crate) caches: Vec<Arc<Cache>>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) policy: TrustPolicy,
    pub(crate) share: Arc<Share>,
}

/// A cache, and what it says about itself.
#[derive(Debug, Clone)]
pub struct CacheDescription {
    /// The cache.
    pub cache: String,
    /// What it says, or why nothing.
    pub answer: Result<CacheInfo, FetchError>,
}

/// A path that a cache has and that can be trusted. While one is held its bytes
/// count against the [memory](CacheMemory) of its `Caches`.
#[derive(Debug, Clone)]
pub struct Found {
    /// What the cache says, verified. Of its signatures only those are left
    /// that trusted keys made.
    pub info: Arc<NarInfo>,
    /// Why it is believed.
    pub trust: Trust,
    /// The cache.
    pub cache: String,
    pub(crate) index: usize,
    pub(crate) charge: Arc<Charge>,
}

impl Found {
    /// The bytes of memory that it is counted with.
    pub fn memory(&self) -> usize {
        self.charge.bytes()
    }
}

impl Caches {
    /// Caches of one store folder, with memory of their own. Nothing is asked
    /// yet. `policy` may be plain [`PublicKeys`](nix_formats::PublicKeys): then
    /// one of them is enough.
    pub fn new(
        store_dir: StoreDir,
        urls: impl IntoIterator<Item = CacheUrl>,
        policy: impl Into<TrustPolicy>,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        Self::new_within(&CacheMemory::default(), store_dir, urls, policy, limits)
    }

    /// As [`Self::new`], with memory that is shared with others.
    pub fn new_within(
        memory: &CacheMemory,
        store_dir: StoreDir,
        urls: impl IntoIterator<Item = CacheUrl>,
        policy: impl Into<TrustPolicy>,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        let urls: Vec<CacheUrl> = urls.into_iter().collect();
        let servers = || urls.iter().filter_map(CacheUrl::server);
        let client = if servers().next().is_some() {
            let needs_https = servers().any(|url| url.scheme() == "https");
            Some(client(&limits, needs_https)?)
        } else {
            None
        };
        let caches = urls
            .iter()
            .map(|url| {
                let transport = Transport::new(url, client.as_ref(), &limits)?;
                Ok(Arc::new(Cache::new(url, transport)))
            })
            .collect::<Result<_, SetupError>>()?;
        let requests = Semaphore::new(limits.concurrency.max(1));
        let policy = policy.into();
        Ok(Self {
            policy_id: policy.id(&store_dir),
            requests,
            together: Together::default(),
            members: Arc::new(Members {
                store_dir,
                caches,
                limits: Arc::new(limits),
                policy,
                share: memory.share(),
            }),
        })
    }

    /// The store folder.
    pub fn store_dir(&self) -> &StoreDir {
        &self.members.store_dir
    }

    /// Whom to believe.
    pub fn policy(&self) -> &TrustPolicy {
        &self.members.policy
    }

    /// The policy's name: what was judged by caches with the same one need not
    /// be judged again.
    pub fn policy_id(&self) -> PolicyId {
        self.policy_id
    }

    /// Judges a narinfo that was got some other time, under the policy and
    /// without asking anybody.
    pub fn judge(&self, info: &NarInfo) -> Result<Trust, Refusal> {
        self.policy().judge(&self.members.store_dir, info)
    }

    /// As [`Self::judge`], together with others that are judged by now. Only signatures that trusted keys made are left.
    async fn judge_together(&self, info: &mut NarInfo) -> Result<Trust, Refusal> {
        let store_dir = &self.members.store_dir;
        let fingerprint = info.fingerprint(store_dir);
        let (keys, signatures) = (self.policy().keys(), &info.signatures);
        let verified = self.together.verified(keys, &fingerprint, signatures).await;
        let signers = verified.iter().map(|(key, _)| *key);
        let verdict = self.policy().conclude(store_dir, info, signers);
        info.signatures
            .retain(|signature| verified.iter().any(|(_, good)| good == signature));
        verdict
    }

    /// The names of the caches, as given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.caches.iter().map(|cache| cache.name.as_str())
    }

    /// Asks each cache about itself.
    pub async fn describe(&self) -> Vec<CacheDescription> {
        let members = &self.members;
        let describe = members.caches.iter().map(|cache| async {
            let info = cache.info(&members.store_dir, &members.limits).await;
            CacheDescription {
                cache: cache.name.clone(),
                answer: info.cloned(),
            }
        });
        join_all(describe).await
    }

    /// Looks a path up. `needed_by` is for the error only.
    pub async fn find(
        &self,
        path: &StorePath,
        needed_by: Option<&StorePath>,
    ) -> Result<Arc<Found>, Unavailable> {
        let share = &self.members.share;
        let slot = share.slot(path);
        // Others that want the same path wait here.
        let mut answer = slot.answer.lock().await;
        let unavailable = |refusals| Unavailable {
            store_dir: self.members.store_dir.clone(),
            path: path.clone(),
            needed_by: needed_by.cloned(),
            refusals,
            without_keys: self.policy().keys().is_empty(),
        };
        match &*answer {
            Some(Answer::Found(found)) => return Ok(Arc::clone(found)),
            Some(Answer::Refused {
                since, refusals, ..
            }) if since.elapsed() < self.members.limits.negative_ttl => {
                return Err(unavailable(Arc::clone(refusals)));
            }
            _ => {}
        }
        match self.ask(path).await {
            Ok((found, bytes)) => {
                let found = Arc::new(found);
                *answer = Some(Answer::Found(Arc::clone(&found)));
                share.weigh(&slot, bytes);
                Ok(found)
            }
            Err(refusals) => {
                let bytes = refusals.iter().map(weight_of_refusal).sum();
                let refusals = Arc::new(refusals);
                *answer = None;
                if let Ok(charge) = share.charge(bytes)
                    && !refusals.iter().any(|(_, refusal)| refusal.is_for_memory())
                {
                    *answer = Some(Answer::Refused {
                        since: Instant::now(),
                        refusals: Arc::clone(&refusals),
                        _charge: charge,
                    });
                    share.weigh(&slot, bytes);
                }
                Err(unavailable(refusals))
            }
        }
    }

    /// Asks the caches; and the bytes that what was found takes.
    async fn ask(&self, path: &StorePath) -> Result<(Found, usize), Vec<(String, Refusal)>> {
        // Never closed, so it is always granted.
        let _permit = self.requests.acquire().await;
        let order = self.members.order().await;
        let mut next = order.iter().copied().enumerate();
        let mut asked: Vec<(usize, Instant)> = Vec::new();
        let mut pending = FuturesUnordered::new();
        let mut refusals = Vec::new();
        let mut gathered = Gathered::default();
        loop {
            if pending.is_empty() {
                let Some((place, index)) = next.next() else {
                    break;
                };
                asked.push((index, Instant::now()));
                pending.push(self.ask_one(path, place, index));
            }
            let answer = if next.len() == 0 {
                pending.next().await
            } else {
                let waited =
                    tokio::time::timeout(self.members.limits.hedge_after, pending.next()).await;
                let Ok(answer) = waited else {
                    if let Some((place, index)) = next.next() {
                        tracing::debug!(%path, "no answer for a while: asking the next cache too");
                        asked.push((index, Instant::now()));
                        pending.push(self.ask_one(path, place, index));
                    }
                    continue;
                };
                answer
            };
            let Some((place, index, answer)) = answer else {
                continue;
            };
            asked.retain(|(asked, _)| *asked != index);
            let judged = match answer {
                Ok(held) => gathered.judge(self, index, held).await,
                Err(refusal) => Err(refusal),
            };
            match judged {
                Ok((index, trust, held)) => {
                    self.count_stalled(path, &asked);
                    return Ok(self.found(index, trust, held));
                }
                Err(refusal) => refusals.push((place, index, refusal)),
            }
        }
        refusals.sort_by_key(|(place, ..)| *place);
        Err(refusals
            .into_iter()
            .map(|(_, index, refusal)| (self.members.caches[index].name.clone(), refusal))
            .collect())
    }

    async fn ask_one(
        &self,
        path: &StorePath,
        place: usize,
        index: usize,
    ) -> (usize, usize, Result<Held, Refusal>) {
        let answer = self.members.narinfo(index, path).await;
        (place, index, answer)
    }

    /// What was found, with no more of it than is needed later, and the bytes that it takes.
    fn found(&self, index: usize, trust: Trust, held: Held) -> (Found, usize) {
        let Held {
            mut info,
            mut charge,
        } = held;
        info.url.shrink_to_fit();
        info.signatures.shrink_to_fit();
        let cache = self.members.caches[index].name.clone();
        let names = match &trust {
            Trust::Signed(names) => names.as_slice(),
            Trust::ContentAddressed => &[],
        };
        let names = names.iter().map(|name| size_of_val(name) + name.len());
        let bytes = weight(&info) + size_of::<Found>() + cache.len() + names.sum::<usize>() + 80;
        // What is more than was counted is as good as nothing.
        charge.shrink_to(bytes);
        let found = Found {
            info: Arc::new(info),
            trust,
            cache,
            index,
            charge: Arc::new(charge),
        };
        (found, bytes)
    }

    /// Caches that were outrun by one asked later have stalled.
    fn count_stalled(&self, path: &StorePath, unanswered: &[(usize, Instant)]) {
        for (index, since) in unanswered {
            if since.elapsed() >= self.members.limits.hedge_after {
                let name = NarInfo::file_name(path);
                self.members.caches[*index].count_failure(&FetchError::Timeout { name });
            }
        }
    }
}

impl Members {
    /// What a cache says of a path, not yet trusted.
    pub(crate) async fn narinfo(&self, index: usize, path: &StorePath) -> Result<Held, Refusal> {
        let (cache, keys) = (&self.caches[index], self.policy.keys());
        cache
            .narinfo(&self.store_dir, path, keys, &self.share, &self.limits)
            .await
    }

    /// The caches in the order to ask them. One that says nothing about itself
    /// in time has the place it would have if it named none.
    pub(crate) async fn order(&self) -> Vec<usize> {
        let patience = if self.caches.len() > 1 {
            self.limits.hedge_after
        } else {
            Duration::MAX
        };
        let priorities = self
            .caches
            .iter()
            .map(|cache| cache.priority(&self.store_dir, &self.limits, patience));
        let priorities = join_all(priorities).await;
        let mut order: Vec<usize> = (0..self.caches.len()).collect();
        order.sort_by_key(|&index| priorities[index]);
        order
    }
}

/// Bytes of memory that a refusal takes, about.
fn weight_of_refusal((cache, refusal): &(String, Refusal)) -> usize {
    let texts = match refusal {
        Refusal::Untrusted(names) | Refusal::FalseSignatures(names) => weight_of_names(names),
        Refusal::TooFewSignatures {
            signers, missing, ..
        } => weight_of_names(signers) + weight_of_names(missing),
        // Texts in errors are bounded, and causes few.
        Refusal::Failed(_) | Refusal::Malformed(_) => 1024,
        _ => 128,
    };
    size_of::<(String, Refusal)>() + cache.len() + texts + 64
}

fn weight_of_names(names: &[String]) -> usize {
    names.iter().map(|name| 32 + name.len()).sum()
}

/// Narinfos of one path that too few keys signed, from several caches: what
/// they say is the same, so their signatures add up.
#[derive(Default)]
struct Gathered(Vec<(usize, Held)>);

impl Gathered {
    async fn judge(
        &mut self,
        caches: &Caches,
        index: usize,
        mut held: Held,
    ) -> Result<(usize, Trust, Held), Refusal> {
        let refusal = match caches.judge_together(&mut held.info).await {
            Ok(trust) => return Ok((index, trust, held)),
            Err(refusal) => refusal,
        };
        let info = &held.info;
        let same = |Held { info: other, .. }: &Held| {
            other.nar_hash == info.nar_hash
                && other.nar_size == info.nar_size
                && other.references == info.references
        };
        let Some(place) = self.0.iter().position(|(_, other)| same(other)) else {
            self.0.push((index, held));
            return Err(refusal);
        };
        let (first, mut both) = self.0.swap_remove(place);
        for signature in held.info.signatures {
            if !both.info.signatures.contains(&signature) {
                both.info.signatures.push(signature);
            }
        }
        match caches.judge(&both.info) {
            Ok(trust) => Ok((first, trust, both)),
            Err(refusal) => {
                self.0.push((first, both));
                Err(refusal)
            }
        }
    }
}
