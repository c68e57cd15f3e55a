//! Walking a closure, in the store as far as it is there and in the caches beyond.
//!
//! With a digest to go by, nothing is fetched before every path is known and the digest is right; unless the paths of the
//! digest are known from an earlier walk. Without one, paths are fetched as they are found.

use std::collections::VecDeque;
use std::sync::Arc;

use binary_cache::{ClosureError, Found, Unavailable};
use hashbrown::{HashMap, HashSet};
use niphas_api::{ClosureDigest, ClosureLine, ClosureLines};
use nix_formats::{NarHash, NarInfo, StorePath};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::fetch::Fetch;
use super::progress::Counters;
use super::shares::Permit;
use super::space::Room;
use super::terms::MAX_PATHS;
use super::{Limit, LimitExceeded, RealiseError, RealisedClosure, Request};
use crate::admit::Verdict;
use crate::store::{Pin, Store};

/// Paths of one closure that are looked up at the same time, and that are fetched: no task waits for longer than it must.
const LOOKUPS: usize = 64;
const FETCHES: usize = 64;

/// Paths that cannot be had beyond which a walk ends: an error names ten.
const MOST_UNAVAILABLE: usize = 1000;

/// Realises a closure as far as the caches go.
pub(super) async fn realise(
    store: &Store,
    request: &Arc<Request>,
    counters: &Arc<Counters>,
) -> Result<RealisedClosure, RealiseError> {
    store.writable()?;
    let (roots, limits) = (&request.roots, &request.terms.limits);
    LimitExceeded::check(Limit::Roots, roots.count() as u64, limits.roots as u64)?;
    let (theirs, ours) = (request.caches.store_dir(), &store.shared.options.store_dir);
    if theirs != ours {
        return Err(RealiseError::OtherStoreDir {
            caches: theirs.to_string(),
            store: ours.to_string(),
        });
    }
    if let Some(closure) = known(store, request).await {
        counters.all_done(closure.lines.path_count(), closure.lines.nar_size());
        return Ok(closure);
    }
    let (holder, most) = (Arc::clone(&request.terms.holder), limits.realisations);
    let queue = &store.shared.running.queue;
    let queued = queue.acquire(holder, 1, most as u64, &counters.queued);
    let _turn = queued.await;
    let known = match request.expected {
        Some(digest) => known_lines(store, digest).await,
        None => None,
    };
    let mut memory = None;
    let (mut walk, lines, digest) = loop {
        match look(store, request, counters, known.as_ref(), memory).await {
            Ok(found) => break found,
            Err(Stop::Failed(error)) => return Err(error),
            // Nothing is held of the walk that stopped, so it delays no other while it waits.
            Err(Stop::Short(bytes)) => {
                counters.reset();
                let (narinfos, section) = (&store.shared.running.narinfos, section(request));
                let taken = narinfos.acquire(section, bytes, u64::MAX, &counters.queued);
                memory = Some((taken.await, bytes));
            }
        }
    };
    if let Some(expected) = request.expected
        && digest != expected
    {
        let print = |path| ours.print(path);
        return Err(RealiseError::Digest {
            roots: roots.iter().map(print).collect(),
            expected,
            actual: digest,
        });
    }
    if walk.waits() {
        walk.make_sure(digest, &lines).await?;
    }
    walk.fetch_all().await?;
    let mut pins = walk.pins;
    let pins = lines
        .as_slice()
        .iter()
        .map(|line| pins.remove(&line.path).ok_or(RealiseError::Interrupted))
        .collect::<Result<Vec<Pin>, _>>()?;
    let closure = RealisedClosure {
        digest,
        lines,
        roots: roots.clone(),
        pins,
    };
    let store = store.clone();
    let remembered = tokio::task::spawn_blocking(move || {
        store.remember(&closure)?;
        Ok::<_, RealiseError>(closure)
    });
    remembered.await.map_err(|_| RealiseError::Interrupted)?
}

/// Why a walk stops.
enum Stop {
    /// This many bytes of memory are not available now.
    Short(u64),
    Failed(RealiseError),
}

impl<E: Into<RealiseError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Memory that was taken for a walk, and how much.
type Memory = (Permit<usize>, u64);

/// Finds every path of a closure.
async fn look<'a>(
    store: &'a Store,
    request: &'a Arc<Request>,
    counters: &'a Arc<Counters>,
    known: Option<&'a ClosureLines>,
    memory: Option<Memory>,
) -> Result<(Walk<'a>, ClosureLines, ClosureDigest), Stop> {
    let mut walk = Walk::new(store, request, counters, known, memory);
    let lines = walk.look().await?;
    let digest = lines.digest();
    let is_other = request.expected.is_some_and(|expected| digest != expected);
    if !is_other || !walk.took_stored {
        return Ok((walk, lines, digest));
    }
    // There may be another build of a path than the one that is stored.
    counters.reset();
    let memory = walk.memory.drain(..).next();
    let mut walk = Walk::new(store, request, counters, known, memory);
    walk.asks_first = true;
    let lines = walk.look().await?;
    let digest = lines.digest();
    Ok((walk, lines, digest))
}

/// Those who have the same caches share memory.
fn section(request: &Request) -> usize {
    Arc::as_ptr(&request.caches).addr()
}

/// The closure without a walk, if that can be.
async fn known(store: &Store, request: &Arc<Request>) -> Option<RealisedClosure> {
    // What is read of closures at the same time takes memory. Never closed, so it is always granted.
    let _turn = store.shared.running.known.acquire().await;
    let (this, request) = (store.clone(), Arc::clone(request));
    let found = tokio::task::spawn_blocking(move || this.known_closure(&request));
    let closure = found.await.ok()??;
    // Nothing waits for that: of a large closure it is thousands of files.
    let (this, packs) = (store.clone(), closure.packs().collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || this.note_use(packs.into_iter()));
    Some(closure)
}

/// What the closure with this digest is made of, if it was seen before.
async fn known_lines(store: &Store, digest: ClosureDigest) -> Option<ClosureLines> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || store.closure_lines(&digest));
    read.await.ok()?
}

struct Walk<'a> {
    store: &'a Store,
    request: &'a Arc<Request>,
    counters: &'a Arc<Counters>,
    /// What the closure is, if its digest was seen before.
    known: HashMap<StorePath, NarHash>,
    known_lines: Option<&'a ClosureLines>,
    /// Whether caches are asked for what is stored, too.
    asks_first: bool,
    /// Whether something stored was taken though a cache might have another build.
    took_stored: bool,
    seen: HashSet<StorePath>,
    /// Paths to look up, and which path needs each.
    wanted: VecDeque<(StorePath, Option<StorePath>)>,
    lines: Vec<ClosureLine>,
    nar_size: u64,
    pins: HashMap<StorePath, Pin>,
    /// What to fetch once that is allowed.
    found: VecDeque<Arc<Found>>,
    /// Memory for all this.
    memory: Vec<Memory>,
    memory_used: u64,
    /// Where what is found may go. None as long as nothing may be fetched, or each path sees for itself.
    room: Option<Arc<Room>>,
    fetches: JoinSet<Result<(StorePath, Pin), RealiseError>>,
    unavailable: Vec<Unavailable>,
}

/// Each is a task of its own, for signatures are checked in it.
type Steps = JoinSet<Result<Result<Step, Unavailable>, RealiseError>>;

/// Where a path was found.
enum Step {
    Stored(Pin, Arc<NarInfo>),
    Found(Arc<Found>),
}

impl<'a> Walk<'a> {
    fn new(
        store: &'a Store,
        request: &'a Arc<Request>,
        counters: &'a Arc<Counters>,
        known: Option<&'a ClosureLines>,
        memory: Option<Memory>,
    ) -> Self {
        let lines = known.map_or(&[][..], ClosureLines::as_slice);
        let pairs = lines.iter().map(|line| (line.path.clone(), line.nar_hash));
        Self {
            store,
            request,
            counters,
            known: pairs.collect(),
            known_lines: known,
            asks_first: false,
            took_stored: false,
            seen: HashSet::new(),
            wanted: VecDeque::new(),
            lines: Vec::new(),
            nar_size: 0,
            pins: HashMap::new(),
            found: VecDeque::new(),
            memory: memory.into_iter().collect(),
            memory_used: 0,
            room: None,
            fetches: JoinSet::new(),
            unavailable: Vec::new(),
        }
    }

    /// Whether nothing may be fetched before it was made sure that it may.
    fn waits(&self) -> bool {
        self.request.expected.is_some() && self.room.is_none()
    }

    /// Finds every path of the closure. Those that may be fetched are, meanwhile.
    async fn look(&mut self) -> Result<ClosureLines, Stop> {
        // They are what the digest is of: so it is known what comes, and it can come at once.
        if let Some(lines) = self.known_lines.filter(|_| !self.asks_first)
            && let Some(digest) = self.request.expected
        {
            self.check(lines)?;
            self.make_sure(digest, lines).await?;
        }
        let mut steps = Steps::new();
        for root in &self.request.roots {
            self.want(root, None)?;
        }
        loop {
            self.look_up(&mut steps);
            self.fetch_some();
            tokio::select! {
                Some(step) = steps.join_next() => {
                    match step.map_err(|_| RealiseError::Interrupted)?? {
                        Ok(step) => self.take(step)?,
                        Err(unavailable) => {
                            // Other paths would get none either, and asking for them costs the caches.
                            let is_for_memory = unavailable.is_for_memory();
                            self.unavailable.push(unavailable);
                            if is_for_memory || self.unavailable.len() >= MOST_UNAVAILABLE {
                                break;
                            }
                        }
                    }
                }
                // When something is unavailable the rest is walked all the same, so that the error names everything.
                Some(fetched) = self.fetches.join_next() => {
                    let (path, pin) = fetched.map_err(|_| RealiseError::Interrupted)??;
                    self.pins.insert(path, pin);
                }
                else => break,
            }
            if steps.is_empty() && self.wanted.is_empty() {
                break;
            }
        }
        if !self.unavailable.is_empty() {
            let mut unavailable = std::mem::take(&mut self.unavailable);
            unavailable.sort_by(|a, b| a.path.cmp(&b.path));
            return Err(RealiseError::Unavailable(ClosureError::Unavailable(unavailable)).into());
        }
        if self.request.expected.is_none() {
            // What is wrong with a NAR says more than that there are no lines.
            self.fetch_all().await?;
        }
        let lines = std::mem::take(&mut self.lines);
        Ok(ClosureLines::new(lines).map_err(RealiseError::from)?)
    }

    /// Every path is in the store when this returns.
    async fn fetch_all(&mut self) -> Result<(), RealiseError> {
        loop {
            self.fetch_some();
            let Some(fetched) = self.fetches.join_next().await else {
                return Ok(());
            };
            let (path, pin) = fetched.map_err(|_| RealiseError::Interrupted)??;
            self.pins.insert(path, pin);
        }
    }

    /// Whether the closure of these lines is within the limits.
    fn check(&self, lines: &ClosureLines) -> Result<(), LimitExceeded> {
        let limits = &self.request.terms.limits;
        LimitExceeded::check(Limit::Paths, lines.path_count(), limits.paths as u64)?;
        LimitExceeded::check(Limit::ClosureSize, lines.nar_size(), limits.closure_size)?;
        let sizes = lines.as_slice().iter().map(|line| line.nar_size);
        LimitExceeded::check(Limit::NarSize, sizes.max().unwrap_or(0), limits.nar_size)
    }

    /// Makes sure that the closure, whose digest is right, may be here, and that there is room for what is missing of it.
    async fn make_sure(
        &mut self,
        digest: ClosureDigest,
        lines: &ClosureLines,
    ) -> Result<(), RealiseError> {
        if let Some(admit) = self.request.terms.admit.clone() {
            let lines = lines.clone();
            let admitted = tokio::task::spawn_blocking(move || admit(digest, &lines));
            admitted.await.map_err(|_| RealiseError::Interrupted)??;
        }
        let is_stored = |line: &ClosureLine| {
            let index = self.store.shared.index();
            index.variants(&line.path).iter().any(|&id| {
                let info = index.pack(id).and_then(|pack| pack.info.as_ref());
                info.is_some_and(|info| info.nar_hash == line.nar_hash)
            })
        };
        let missing = lines.as_slice().iter().filter(|line| !is_stored(line));
        let missing = missing.fold(0_u64, |sum, line| sum.saturating_add(line.nar_size));
        self.room = Some(Arc::new(self.store.room(missing).await?));
        if missing > 0 {
            self.note(digest, lines.clone());
        }
        Ok(())
    }

    /// Some paths are yet to come: those that are there already are to stay if this is interrupted.
    fn note(&self, digest: ClosureDigest, lines: ClosureLines) {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            // Problems of the disk are reported by the writer of packs.
            if let Err(error) = store.remember_lines(&digest, &lines) {
                tracing::debug!(error = %nix_formats::chain(&error), "what a closure is made of is not noted");
            }
        });
    }

    fn want(&mut self, path: &StorePath, needed_by: Option<&StorePath>) -> Result<(), Stop> {
        if self.seen.contains(path) {
            return Ok(());
        }
        let (found, allowed) = (self.seen.len() + 1, self.request.terms.limits.paths);
        if found > MAX_PATHS {
            let error = ClosureError::TooLarge(MAX_PATHS);
            return Err(RealiseError::Unavailable(error).into());
        }
        LimitExceeded::check(Limit::Paths, found as u64, allowed as u64)?;
        self.charge(PATH_MEMORY)?;
        self.seen.insert(path.clone());
        self.counters.seen();
        self.wanted.push_back((path.clone(), needed_by.cloned()));
        Ok(())
    }

    /// Counts memory that this walk holds until its end.
    fn charge(&mut self, bytes: u64) -> Result<(), Stop> {
        self.memory_used += bytes;
        let taken: u64 = self.memory.iter().map(|(_, bytes)| bytes).sum();
        if self.memory_used <= taken {
            return Ok(());
        }
        let narinfos = &self.store.shared.running.narinfos;
        let piece = (self.memory_used - taken).next_multiple_of(MEMORY_PIECE);
        let (found, allowed) = (taken + piece, narinfos.most());
        LimitExceeded::check(Limit::Narinfos, found, allowed)?;
        // To wait here would not do: all who wait would hold what the others wait for.
        let permit = narinfos.try_acquire(section(self.request), piece);
        self.memory.push((permit.ok_or(Stop::Short(found))?, piece));
        Ok(())
    }

    fn look_up(&mut self, steps: &mut Steps) {
        while steps.len() < LOOKUPS
            && let Some((path, needed_by)) = self.wanted.pop_front()
        {
            let preferred = self.known.get(&path).copied();
            let step = step(
                self.store.clone(),
                Arc::clone(self.request),
                path,
                needed_by,
                preferred,
                self.asks_first,
            );
            steps.spawn(step.in_current_span());
        }
    }

    fn take(&mut self, step: Step) -> Result<(), Stop> {
        let info = match &step {
            Step::Stored(_, info) => Arc::clone(info),
            Step::Found(found) => {
                self.charge(found.memory() as u64)?;
                Arc::clone(&found.info)
            }
        };
        let limits = &self.request.terms.limits;
        self.nar_size = self.nar_size.saturating_add(info.nar_size);
        LimitExceeded::check(Limit::NarSize, info.nar_size, limits.nar_size)?;
        LimitExceeded::check(Limit::ClosureSize, self.nar_size, limits.closure_size)?;
        for reference in &info.references {
            self.want(reference, Some(&info.path))?;
        }
        self.counters.sized(info.nar_size);
        self.lines.push(ClosureLine::from(&*info));
        match step {
            Step::Stored(pin, info) => {
                self.took_stored = true;
                self.counters.done(info.nar_size);
                self.pins.insert(info.path.clone(), pin);
            }
            Step::Found(found) => self.found.push_back(found),
        }
        Ok(())
    }

    /// Begins to fetch what may be.
    fn fetch_some(&mut self) {
        while !self.waits()
            && self.fetches.len() < FETCHES
            && let Some(found) = self.found.pop_front()
        {
            let info = &found.info;
            if self.known_lines.is_some() && self.known.get(&info.path) != Some(&info.nar_hash) {
                // Not of the closure that it was made sure of: the digest will not be right.
                continue;
            }
            let fetch = Fetch {
                store: self.store.clone(),
                request: Arc::clone(self.request),
                found: Arc::clone(&found),
                counters: Arc::clone(self.counters),
                room: self.room.clone(),
            };
            let path = info.path.clone();
            let fetched = async move { Ok((path, fetch.run().await?)) };
            self.fetches.spawn(fetched.in_current_span());
        }
    }
}

/// Memory for a path that a walk has heard of, in bytes, beside what a cache says of it; and how much is taken at once.
const PATH_MEMORY: u64 = 384;
const MEMORY_PIECE: u64 = 256 << 10;

/// Finds a path in the store, or else in the caches.
async fn step(
    store: Store,
    request: Arc<Request>,
    path: StorePath,
    needed_by: Option<StorePath>,
    preferred: Option<NarHash>,
    asks_first: bool,
) -> Result<Result<Step, Unavailable>, RealiseError> {
    if !asks_first {
        for pin in store.candidates(&path, preferred.as_ref()) {
            if let Some(info) = store.trustworthy(&pin).await?
                && store.admit(&request, &pin, None).await? == Verdict::Taken
            {
                return Ok(Ok(Step::Stored(pin, info)));
            }
        }
    }
    let found = request.caches.find(&path, needed_by.as_ref()).await;
    Ok(found.map(Step::Found))
}
