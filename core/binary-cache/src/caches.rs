//! Several caches, asked in order, and what they gave remembered.

use crate::{
    answers::{Answer, Answers},
    cache::{Cache, CacheInfo},
    error::{FetchError, Refusal, SetupError, Unavailable},
    limits::Limits,
    policy::{PolicyId, Trust, TrustPolicy},
    together::Together,
    transport::{Transport, client},
    url::CacheUrl,
};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use nix_formats::{NarInfo, StoreDir, StorePath};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Binary caches and whom to believe. Made once; answers are remembered for as
/// long as it lives, within [a bound](Limits::max_remembered), those that no
/// cache has a path for [a short time](Limits::negative_ttl).
///
/// Caches are asked one after the other in order of priority (lower first, then
/// as given), and the first answer that can be trusted counts. They are not
/// raced from the start: two caches may hold different builds of one path, and
/// the answer is to be the same every time. But when one says nothing for
/// [a while](Limits::hedge_after) the next is asked too. A cache that keeps
/// failing is left alone for [a while](Limits::cool_down), so that it costs
/// little.
#[derive(Debug)]
pub struct Caches {
    pub(crate) members: Arc<Members>,
    policy: TrustPolicy,
    policy_id: PolicyId,
    requests: Semaphore,
    answers: Answers,
    together: Together,
}

/// The caches themselves, which work on other threads needs too.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) store_dir: StoreDir,
    pub(crate) caches: Vec<Arc<Cache>>,
    pub(crate) limits: Arc<Limits>,
}

/// A cache, and what it says about itself.
#[derive(Debug, Clone)]
pub struct CacheDescription {
    /// The cache.
    pub cache: String,
    /// What it says, or why nothing.
    pub answer: Result<CacheInfo, FetchError>,
}

/// A path that a cache has and that can be trusted.
#[derive(Debug, Clone)]
pub struct Found {
    /// What the cache says, verified.
    pub info: Arc<NarInfo>,
    /// Why it is believed.
    pub trust: Trust,
    /// The cache.
    pub cache: String,
    pub(crate) index: usize,
}

impl Caches {
    /// Caches of one store folder. Nothing is asked yet. `policy` may be plain
    /// [`PublicKeys`](nix_formats::PublicKeys): then one of them is enough.
    pub fn new(
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
            policy,
            requests,
            answers: Answers::new(limits.max_remembered),
            together: Together::default(),
            members: Arc::new(Members {
                store_dir,
                caches,
                limits: Arc::new(limits),
            }),
        })
    }

    /// The store folder.
    pub fn store_dir(&self) -> &StoreDir {
        &self.members.store_dir
    }

    /// Whom to believe.
    pub fn policy(&self) -> &TrustPolicy {
        &self.policy
    }

    /// The policy's name: what was judged by caches with the same one need not
    /// be judged again.
    pub fn policy_id(&self) -> PolicyId {
        self.policy_id
    }

    /// Judges a narinfo that was got some other time, under the policy and
    /// without asking anybody.
    pub fn judge(&self, info: &NarInfo) -> Result<Trust, Refusal> {
        self.policy.judge(&self.members.store_dir, info)
    }

    /// As [`Self::judge`], together with others that are judged by now.
    async fn judge_together(&self, info: &NarInfo) -> Result<Trust, Refusal> {
        let store_dir = &self.members.store_dir;
        let fingerprint = info.fingerprint(store_dir);
        let (keys, signatures) = (self.policy.keys(), &info.signatures);
        let signers = self.together.signers(keys, &fingerprint, signatures).await;
        self.policy.conclude(store_dir, info, signers.into_iter())
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
        let slot = self.answers.slot(path);
        // Whoever else wants the same path waits here.
        let mut slot = slot.lock().await;
        let unavailable = |refusals| Unavailable {
            store_dir: self.members.store_dir.clone(),
            path: path.clone(),
            needed_by: needed_by.cloned(),
            refusals,
            without_keys: self.policy.keys().is_empty(),
        };
        match &*slot {
            Some(Answer::Found(found)) => return Ok(Arc::clone(found)),
            Some(Answer::Refused(when, refusals))
                if when.elapsed() < self.members.limits.negative_ttl =>
            {
                return Err(unavailable(Arc::clone(refusals)));
            }
            _ => {}
        }
        let (answer, result) = match self.ask(path).await {
            Ok(found) => {
                let found = Arc::new(found);
                (Answer::Found(Arc::clone(&found)), Ok(found))
            }
            Err(refusals) => {
                let refusals = Arc::new(refusals);
                let answer = Answer::Refused(Instant::now(), Arc::clone(&refusals));
                (answer, Err(unavailable(refusals)))
            }
        };
        self.answers.weigh(&answer);
        *slot = Some(answer);
        result
    }

    async fn ask(&self, path: &StorePath) -> Result<Found, Vec<(String, Refusal)>> {
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
                Ok(info) => gathered.judge(self, index, info).await,
                Err(refusal) => Err(refusal),
            };
            match judged {
                Ok((index, trust, info)) => {
                    self.count_stalled(path, &asked);
                    return Ok(Found {
                        info: Arc::new(info),
                        trust,
                        cache: self.members.caches[index].name.clone(),
                        index,
                    });
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
    ) -> (usize, usize, Result<NarInfo, Refusal>) {
        let cache = &self.members.caches[index];
        let answer = cache
            .narinfo(&self.members.store_dir, path, &self.members.limits)
            .await;
        (place, index, answer)
    }

    /// Caches that were outrun by one asked later have stalled.
    fn count_stalled(&self, path: &StorePath, unanswered: &[(usize, Instant)]) {
        for (index, since) in unanswered {
            if since.elapsed() >= self.members.limits.hedge_after {
                let name = format!("{}.narinfo", path.hash_part());
                self.members.caches[*index].count_failure(&FetchError::Timeout { name });
            }
        }
    }
}

impl Members {
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

/// Narinfos of one path that too few keys signed, from several caches: what
/// they say is the same, so their signatures add up.
#[derive(Default)]
struct Gathered(Vec<(usize, NarInfo)>);

impl Gathered {
    async fn judge(
        &mut self,
        caches: &Caches,
        index: usize,
        info: NarInfo,
    ) -> Result<(usize, Trust, NarInfo), Refusal> {
        let refusal = match caches.judge_together(&info).await {
            Ok(trust) => return Ok((index, trust, info)),
            Err(refusal) => refusal,
        };
        let same = |other: &NarInfo| {
            other.nar_hash == info.nar_hash
                && other.nar_size == info.nar_size
                && other.references == info.references
        };
        let Some(place) = self.0.iter().position(|(_, other)| same(other)) else {
            self.0.push((index, info));
            return Err(refusal);
        };
        let (first, mut both) = self.0.swap_remove(place);
        for signature in info.signatures {
            if !both.signatures.contains(&signature) {
                both.signatures.push(signature);
            }
        }
        match caches.judge(&both) {
            Ok(trust) => Ok((first, trust, both)),
            Err(refusal) => {
                self.0.push((first, both));
                Err(refusal)
            }
        }
    }
}
