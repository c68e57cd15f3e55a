//! Walking a closure, in the store as far as it is there and in the caches beyond.

use super::{RealiseError, RealisedClosure, Request, fetch::Fetch, progress::Counters};
use crate::store::{Pin, Store};
use binary_cache::{Caches, ClosureError, Found, Unavailable};
use hashbrown::{HashMap, HashSet};
use niphas_api::{ClosureLine, ClosureLines};
use nix_formats::{Hash, NarInfo, StorePath};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// Realises a closure as far as the caches go.
pub(super) async fn realise(
    store: &Store,
    request: &Request,
    counters: &Arc<Counters>,
) -> Result<RealisedClosure, RealiseError> {
    store.writable()?;
    if request.roots.is_empty() {
        return Err(RealiseError::NoRoots);
    }
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
    let known = request
        .expected
        .and_then(|digest| store.closure_lines(&digest));
    let mut walk = Walk::new(store, request, counters, known.as_ref());
    let mut lines = walk.run().await?;
    if let Some(expected) = request.expected
        && lines.digest() != expected
        && walk.took_stored
    {
        // There may be another build of a path than the one that is stored.
        counters.reset();
        walk = Walk::new(store, request, counters, known.as_ref());
        walk.asks_first = true;
        lines = walk.run().await?;
    }
    let digest = lines.digest();
    if let Some(expected) = request.expected
        && digest != expected
    {
        let print = |path| ours.print(path);
        return Err(RealiseError::Digest {
            roots: request.roots.iter().map(print).collect(),
            expected,
            actual: digest,
        });
    }
    let mut pins = walk.pins;
    let pins = lines
        .as_slice()
        .iter()
        .map(|line| pins.remove(&line.path).ok_or(RealiseError::Interrupted))
        .collect::<Result<Vec<Pin>, _>>()?;
    let closure = RealisedClosure {
        digest,
        lines,
        roots: request.roots.clone(),
        pins,
    };
    let store = store.clone();
    let remembered = tokio::task::spawn_blocking(move || {
        store.remember(&closure)?;
        Ok::<_, RealiseError>(closure)
    });
    remembered.await.map_err(|_| RealiseError::Interrupted)?
}

/// The closure without a walk, if that can be.
async fn known(store: &Store, request: &Request) -> Option<RealisedClosure> {
    let (this, request) = (store.clone(), request.clone());
    let found = tokio::task::spawn_blocking(move || this.known_closure(&request));
    let closure = found.await.ok()??;
    // Nobody waits for that: of a large closure it is thousands of files.
    let (this, packs) = (store.clone(), closure.packs().collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || this.note_use(packs.into_iter()));
    Some(closure)
}

struct Walk<'a> {
    store: &'a Store,
    request: &'a Request,
    counters: &'a Arc<Counters>,
    /// What the closure was the last time, if its digest was seen before.
    known: HashMap<StorePath, Hash>,
    /// Whether caches are asked for what is stored, too.
    asks_first: bool,
    /// Whether something stored was taken though a cache might have another build.
    took_stored: bool,
    /// Whether it was noted which paths the closure has.
    has_noted: bool,
    seen: HashSet<StorePath>,
    lines: Vec<ClosureLine>,
    pins: HashMap<StorePath, Pin>,
    fetches: JoinSet<Result<(StorePath, Pin), RealiseError>>,
    unavailable: Vec<Unavailable>,
}

/// More paths than any closure has.
const MAX_PATHS: usize = 200_000;

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
        request: &'a Request,
        counters: &'a Arc<Counters>,
        known: Option<&ClosureLines>,
    ) -> Self {
        let known = known.map_or(&[][..], ClosureLines::as_slice);
        let pairs = known.iter().map(|line| (line.path.clone(), line.nar_hash));
        Self {
            store,
            request,
            counters,
            known: pairs.collect(),
            asks_first: false,
            took_stored: false,
            has_noted: false,
            seen: HashSet::new(),
            lines: Vec::new(),
            pins: HashMap::new(),
            fetches: JoinSet::new(),
            unavailable: Vec::new(),
        }
    }

    /// Every path is in the store when this returns.
    async fn run(&mut self) -> Result<ClosureLines, RealiseError> {
        let mut steps = Steps::new();
        for root in &self.request.roots {
            self.want(root, None, &mut steps);
        }
        loop {
            tokio::select! {
                Some(step) = steps.join_next() => {
                    match step.map_err(|_| RealiseError::Interrupted)?? {
                        Ok(step) => self.take(step, &mut steps),
                        Err(unavailable) => self.unavailable.push(unavailable),
                    }
                }
                // When something is unavailable the rest is walked all the same, so that the error names everything.
                Some(fetched) = self.fetches.join_next() => {
                    let (path, pin) = fetched.map_err(|_| RealiseError::Interrupted)??;
                    self.pins.insert(path, pin);
                }
                else => break,
            }
            if steps.is_empty() && self.unavailable.is_empty() && !self.fetches.is_empty() {
                self.note_lines();
            }
            if self.seen.len() > MAX_PATHS {
                let error = ClosureError::TooLarge(MAX_PATHS);
                return Err(RealiseError::Unavailable(error));
            }
            if steps.is_empty() && !self.unavailable.is_empty() {
                let mut unavailable = std::mem::take(&mut self.unavailable);
                unavailable.sort_by(|a, b| a.path.cmp(&b.path));
                return Err(RealiseError::Unavailable(ClosureError::Unavailable(
                    unavailable,
                )));
            }
        }
        let lines = std::mem::take(&mut self.lines);
        Ok(ClosureLines::new(lines)?)
    }

    /// All paths are known, and some are yet to come: those that are there already are to stay if this is interrupted.
    fn note_lines(&mut self) {
        let Some(expected) = self.request.expected.filter(|_| !self.has_noted) else {
            return;
        };
        self.has_noted = true;
        let lines = ClosureLines::new(self.lines.clone());
        let Some(lines) = lines.ok().filter(|lines| lines.digest() == expected) else {
            return;
        };
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            // Whatever is wrong with the disk is told by who writes packs to it.
            if let Err(error) = store.remember_lines(&expected, &lines) {
                tracing::debug!(error = %nix_formats::chain(&error), "what a closure is made of is not noted");
            }
        });
    }

    fn want(&mut self, path: &StorePath, needed_by: Option<&StorePath>, steps: &mut Steps) {
        if !self.seen.insert(path.clone()) {
            return;
        }
        self.counters.seen();
        let preferred = self.known.get(path).copied();
        let step = step(
            self.store.clone(),
            Arc::clone(&self.request.caches),
            path.clone(),
            needed_by.cloned(),
            preferred,
            self.asks_first,
        );
        steps.spawn(step.in_current_span());
    }

    fn take(&mut self, step: Step, steps: &mut Steps) {
        let info = match &step {
            Step::Stored(_, info) => Arc::clone(info),
            Step::Found(found) => Arc::clone(&found.info),
        };
        for reference in &info.references {
            self.want(reference, Some(&info.path), steps);
        }
        self.counters.sized(info.nar_size);
        self.lines.push(ClosureLine {
            path: info.path.clone(),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
        });
        match step {
            Step::Stored(pin, info) => {
                self.took_stored = true;
                self.counters.done(info.nar_size);
                self.pins.insert(info.path.clone(), pin);
            }
            Step::Found(found) => {
                let fetch = Fetch {
                    store: self.store.clone(),
                    caches: Arc::clone(&self.request.caches),
                    found,
                    counters: Arc::clone(self.counters),
                };
                let path = info.path.clone();
                let fetched = async move { Ok((path, fetch.run().await?)) };
                self.fetches.spawn(fetched.in_current_span());
            }
        }
    }
}

/// Finds a path in the store, or else in the caches.
async fn step(
    store: Store,
    caches: Arc<Caches>,
    path: StorePath,
    needed_by: Option<StorePath>,
    preferred: Option<Hash>,
    asks_first: bool,
) -> Result<Result<Step, Unavailable>, RealiseError> {
    if !asks_first {
        for pin in store.candidates(&path, preferred.as_ref()) {
            if let Some(info) = store.trustworthy(&pin).await?
                && store.admit(&caches, &pin, None).await?
            {
                return Ok(Ok(Step::Stored(pin, info)));
            }
        }
    }
    let found = caches.find(&path, needed_by.as_ref()).await;
    Ok(found.map(Step::Found))
}
