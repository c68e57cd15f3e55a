//! Realising closures: finding every path of one, and fetching those that are not there.

mod error;
mod fetch;
mod known;
mod progress;
mod refused;
mod shares;
mod space;
mod terms;
mod walk;

pub use error::{Outlook, RealiseError};
pub use progress::{Fetched, Progress};
pub use space::{Collected, KeepFree};
pub use terms::{Admit, Limit, LimitExceeded, Origin, RequestLimits, Terms};

use std::sync::{Arc, Mutex, OnceLock, Weak};

use binary_cache::Caches;
use hashbrown::HashMap;
use niphas_api::{ClosureDigest, ClosureLine, ClosureLines, Roots};
use nix_formats::StorePath;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use crate::error::StoreError;
use crate::layout::PackId;
use crate::store::{Options, Pin, Store, lock};
use fetch::Fetches;
use progress::Counters;
use refused::Refused;
use shares::Shares;
use space::Space;

/// A closure to realise.
#[derive(Debug, Clone)]
pub struct Request {
    /// The paths whose closure it is, the program's first.
    pub roots: Roots,
    /// What its digest must be, if that is known.
    pub expected: Option<ClosureDigest>,
    /// Where to look, and whom to believe. Paths that are in the store are taken without asking if the policy is content
    /// with the signatures that are stored with them.
    pub caches: Arc<Caches>,
    /// Whose request it is, and how much it may ask for.
    pub terms: Terms,
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
    pub roots: Roots,
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

/// A realisation that was begun. It ends when the last clone is dropped; what is whole by then stays.
#[derive(Debug, Clone)]
pub struct Realisation(Arc<Asked>);

/// What those who ask for a realisation share.
#[derive(Debug)]
struct Asked {
    counters: Arc<Counters>,
    outcome: Arc<OnceLock<Outcome>>,
    has_ended: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Realisation {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.0.counters.snapshot()
    }

    /// What it fetched since the last call, of any handle of the same closure.
    pub fn untold(&self) -> Fetched {
        self.0.counters.untold()
    }

    /// Whether it has come to its end.
    pub fn is_finished(&self) -> bool {
        *self.0.has_ended.borrow() || self.0.has_ended.has_changed().is_err()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Result<Arc<RealisedClosure>, Arc<RealiseError>> {
        // An error says that the task ended before its time, and then there is no outcome.
        let _ = self.0.has_ended.clone().wait_for(|ended| *ended).await;
        let outcome = self.0.outcome.get().cloned();
        outcome.unwrap_or_else(|| Err(Arc::new(RealiseError::Interrupted)))
    }
}

/// What two requests must have in common to be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    roots: Roots,
    expected: Option<ClosureDigest>,
    /// The address of the caches, which the realisation keeps alive.
    caches: usize,
    /// One holder does not wait in another's queue.
    holder: Arc<str>,
}

/// Realisations that go on at the same time: of one holder half of them at most.
const MOST_REALISATIONS: u64 = 64;

/// Closures that are looked for in the store at the same time.
const MOST_KNOWN: usize = 8;

/// Memory for what walks know of their paths, in bytes: for one section half of it at most.
///
/// What caches say of paths that are about to be fetched is in it, though the caches count it in their
/// [`CacheMemory`](binary_cache::CacheMemory), too. Neither can do without the other:
///
/// - `CacheMemory` bounds all that caches make a process hold, and bounds it before it is parsed: narinfos on their way, those of
///   walks, and answers that are remembered between walks. It knows of no walks, so it refuses and never waits.
/// - This bounds walks, so that they can wait for each other. One that does not fit beside others waits and holds nothing
///   meanwhile; one that would not fit alone is refused for good, and not for as long as it is asked for. Paths that are stored
///   count as well, of which no cache said anything.
const NARINFO_MEMORY: u64 = 64 << 20;

/// What goes on in a store at this time.
#[derive(Debug)]
pub(crate) struct Running {
    realisations: Mutex<HashMap<Key, Weak<Asked>>>,
    fetches: Fetches,
    refused: Refused,
    queue: Arc<Shares<Arc<str>>>,
    known: Semaphore,
    narinfos: Arc<Shares<usize>>,
    space: Space,
}

impl Running {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            realisations: Mutex::default(),
            fetches: Fetches::new(options),
            refused: Refused::default(),
            queue: Shares::new(MOST_REALISATIONS),
            known: Semaphore::new(MOST_KNOWN),
            narinfos: Shares::new(NARINFO_MEMORY),
            space: Space::default(),
        }
    }
}

impl Store {
    /// The closure of paths all of which is in the store, by any signer: for people, not for pods. Where a path has several
    /// contents, those that were used last count.
    pub fn stored_closure(&self, roots: &Roots) -> Result<RealisedClosure, StoreError> {
        let (mut lines, mut held) = (Vec::new(), HashMap::new());
        let mut wanted: Vec<StorePath> = roots.iter().cloned().collect();
        while let Some(path) = wanted.pop() {
            if held.contains_key(&path) {
                continue;
            }
            let not_stored = || StoreError::NotStored(path.clone());
            let stored = self.info(&path).ok_or_else(not_stored)?;
            held.insert(path.clone(), self.pin(&stored)?);
            let info = stored.info;
            wanted.extend(info.references.iter().cloned());
            lines.push(ClosureLine::from(&*info));
        }
        let lines = ClosureLines::new(lines)?;
        let pins = lines.as_slice().iter();
        Ok(RealisedClosure {
            digest: lines.digest(),
            roots: roots.clone(),
            pins: pins.filter_map(|line| held.remove(&line.path)).collect(),
            lines,
        })
    }

    /// Begins to realise a closure, or joins the realisation of the same that goes on. Must be called within a tokio runtime,
    /// which has to live until the end: [`RealiseError::Interrupted`] is what is left otherwise.
    pub fn realise(&self, request: Request) -> Realisation {
        let key = Key {
            roots: request.roots.clone(),
            expected: request.expected,
            caches: Arc::as_ptr(&request.caches).addr(),
            holder: Arc::clone(&request.terms.holder),
        };
        let mut running = lock(&self.shared.running.realisations);
        if let Some(asked) = running.get(&key).and_then(Weak::upgrade) {
            let realisation = Realisation(asked);
            if !realisation.is_finished() {
                return realisation;
            }
        }
        let (end, has_ended) = watch::channel(false);
        let (outcome, counters) = (
            Arc::<OnceLock<Outcome>>::default(),
            Arc::<Counters>::default(),
        );
        let (result, counted) = (Arc::downgrade(&outcome), Arc::clone(&counters));
        let (store, request) = (self.clone(), Arc::new(request));
        let forget = Forget {
            store: self.clone(),
            key: key.clone(),
        };
        let task = async move {
            let realised = realise(&store, &request, &counted).await;
            if let Some(outcome) = result.upgrade() {
                // Nothing else sets it.
                let _ = outcome.set(realised);
            }
            // What has ended holds nothing. Only what a failure cancelled ends later, on other threads.
            drop((forget, store, request));
            end.send_replace(true);
        };
        // It is part of the trace of the first that asked.
        let task = tokio::spawn(task.in_current_span()).abort_handle();
        let asked = Arc::new(Asked {
            counters,
            outcome,
            has_ended,
            task,
        });
        running.insert(key, Arc::downgrade(&asked));
        Realisation(asked)
    }
}

async fn realise(store: &Store, request: &Arc<Request>, counters: &Arc<Counters>) -> Outcome {
    let refused = &store.shared.running.refused;
    if let Some(error) = refused.get(request) {
        return Err(error);
    }
    let result = walk::realise(store, request, counters).await;
    let result = result.map(Arc::new).map_err(Arc::new);
    if let Err(error) = &result {
        tracing::debug!(error = %nix_formats::chain(error), "a realisation failed");
        refused.note(request, error);
    }
    result
}

/// Forgets a realisation that ended, also one whose task panicked or was aborted.
struct Forget {
    store: Store,
    key: Key,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut running = lock(&self.store.shared.running.realisations);
        // The next of the same key may have begun already.
        if let Some(asked) = running.get(&self.key)
            && asked
                .upgrade()
                .is_none_or(|asked| Some(asked.task.id()) == tokio::task::try_id())
        {
            running.remove(&self.key);
        }
    }
}
