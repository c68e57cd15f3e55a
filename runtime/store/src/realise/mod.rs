//! Realising closures: finding every path of one, and fetching those that are not there.

mod error;
mod fetch;
mod known;
mod progress;
mod walk;

pub use error::RealiseError;
pub use progress::Progress;

use crate::{
    error::StoreError,
    layout::PackId,
    store::{Options, Pin, Store, lock},
};
use binary_cache::Caches;
use fetch::Fetches;
use hashbrown::HashMap;
use niphas_api::{ClosureDigest, ClosureLine, ClosureLines};
use nix_formats::StorePath;
use progress::Counters;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::watch;
use tracing::Instrument as _;

/// A closure that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The paths whose closure it is, the program's first.
    pub roots: Vec<StorePath>,
    /// What its digest must be, if that is known.
    pub expected: Option<ClosureDigest>,
    /// Where to look, and whom to believe. Paths that are in the store are taken without asking if the policy is content
    /// with the signatures that are stored with them.
    pub caches: Arc<Caches>,
}

/// A closure that is in the store as a whole, every path verified. None of them is collected as long as this lives; make it
/// a [root](Store::add_root) if it is to stay.
#[derive(Debug)]
pub struct RealisedClosure {
    /// Its digest.
    pub digest: ClosureDigest,
    /// Its paths.
    pub lines: ClosureLines,
    /// Those it was asked for by.
    pub roots: Vec<StorePath>,
    /// In the order of the lines.
    pub(crate) pins: Vec<Pin>,
}

impl RealisedClosure {
    /// The packs of the paths, in the order of the lines.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackId> {
        self.pins.iter().map(|pin| pin.pack)
    }
}

type Outcome = Result<Arc<RealisedClosure>, Arc<RealiseError>>;

/// A realisation that was begun. It goes on when this is dropped.
#[derive(Debug, Clone)]
pub struct Realisation {
    counters: Arc<Counters>,
    /// Only those who may still ask keep it, so that the closure is let go of with the last of them.
    outcome: Arc<OnceLock<Outcome>>,
    has_ended: watch::Receiver<bool>,
}

impl Realisation {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.counters.snapshot()
    }

    /// Whether it has come to its end.
    pub fn is_finished(&self) -> bool {
        *self.has_ended.borrow() || self.has_ended.has_changed().is_err()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Result<Arc<RealisedClosure>, Arc<RealiseError>> {
        // An error says that the task ended before its time, and then there is no outcome.
        let _ = self.has_ended.clone().wait_for(|ended| *ended).await;
        let outcome = self.outcome.get().cloned();
        outcome.unwrap_or_else(|| Err(Arc::new(RealiseError::Interrupted)))
    }
}

/// What two requests must have in common to be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    roots: Vec<StorePath>,
    expected: Option<ClosureDigest>,
    /// The address of the caches, which the realisation keeps alive.
    caches: usize,
}

/// What goes on in a store at this time.
#[derive(Debug)]
pub(crate) struct Running {
    realisations: Mutex<HashMap<Key, Realisation>>,
    fetches: Fetches,
}

impl Running {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            realisations: Mutex::default(),
            fetches: Fetches::new(options),
        }
    }
}

impl Store {
    /// The closure of paths all of which is in the store, whoever signed it: for people, not for pods. Where a path has several
    /// contents, those that were used last count.
    pub fn stored_closure(&self, roots: &[StorePath]) -> Result<RealisedClosure, StoreError> {
        let (mut lines, mut held) = (Vec::new(), HashMap::new());
        let mut wanted: Vec<StorePath> = roots.to_vec();
        while let Some(path) = wanted.pop() {
            if held.contains_key(&path) {
                continue;
            }
            let not_stored = || StoreError::NotStored(path.clone());
            let stored = self.info(&path).ok_or_else(not_stored)?;
            held.insert(path.clone(), self.pin(&stored)?);
            let info = stored.info;
            wanted.extend(info.references.iter().cloned());
            lines.push(ClosureLine {
                path: info.path.clone(),
                nar_hash: info.nar_hash,
                nar_size: info.nar_size,
            });
        }
        let lines = ClosureLines::new(lines)?;
        let pins = lines.as_slice().iter();
        Ok(RealisedClosure {
            digest: lines.digest(),
            roots: roots.to_vec(),
            pins: pins.filter_map(|line| held.remove(&line.path)).collect(),
            lines,
        })
    }

    /// Begins to realise a closure, or joins whoever does so already. Must be called within a tokio runtime, which has to
    /// live until the end: [`RealiseError::Interrupted`] is what is left otherwise.
    pub fn realise(&self, request: Request) -> Realisation {
        let key = Key {
            roots: request.roots.clone(),
            expected: request.expected,
            caches: Arc::as_ptr(&request.caches).addr(),
        };
        let mut running = lock(&self.shared.running.realisations);
        if let Some(realisation) = running.get(&key)
            && !realisation.is_finished()
        {
            return realisation.clone();
        }
        let (end, has_ended) = watch::channel(false);
        let outcome = Arc::default();
        let asked = Arc::downgrade(&outcome);
        let counters = Arc::new(Counters::default());
        let realisation = Realisation {
            counters: Arc::clone(&counters),
            outcome,
            has_ended,
        };
        running.insert(key.clone(), realisation.clone());
        let store = self.clone();
        let task = async move {
            // Forgotten even if the task panics or is aborted.
            let forget = Forget { store, key };
            let store = &forget.store;
            let result = walk::realise(store, &request, &counters).await;
            if let Err(error) = &result {
                tracing::debug!(error = %nix_formats::chain(error), "a realisation failed");
            }
            if let Some(outcome) = asked.upgrade() {
                // Nobody else sets it.
                let _ = outcome.set(result.map(Arc::new).map_err(Arc::new));
            }
            // Whoever waits may be about to open the store anew.
            drop((forget, request));
            end.send_replace(true);
        };
        // Whoever asked first is the one whose trace it is part of.
        tokio::spawn(task.in_current_span());
        realisation
    }
}

struct Forget {
    store: Store,
    key: Key,
}

impl Drop for Forget {
    fn drop(&mut self) {
        lock(&self.store.shared.running.realisations).remove(&self.key);
    }
}
