//! The engine: builds what is asked for, with all that it needs.
//!
//! One [`Engine`] belongs to one open build store. [`Engine::build`] may be called many times, also at the same time: what two
//! requests need is built once, and they share the machine.
//!
//! Besides its own files the store's folder gets:
//!
//! | | |
//! |---|---|
//! | `builds/build-*` | where builds happen; what a run that was killed left is removed by the next |
//! | `builds/kept-*` | the folders of builds that failed, if they are kept |
//! | `logs/<derivation>.zst` | the log of the last build of a derivation |
//! | `realisations/` | the [build trace](BuildTrace) |

mod answers;
mod conclude;
mod event;
mod failure;
mod goal;
mod lines;
mod log;
mod lost;
mod open;
mod places;
mod report;
mod request;
mod resolve;
mod run;
mod schedule;
mod slots;
mod status;
mod trace;

pub use answers::AskError;
pub use event::{Event, FetchProgress};
pub use failure::{BuilderStatus, Failure, InputError, MessageStyle, Reason};
pub use lines::Said;
pub use log::log_file;
pub use open::{SetupError, Waiting, open_store};
pub use places::InputFolder;
pub use report::{Built, EngineError, Report};
pub use request::{Request, Settings};
pub use status::ExitStatus;
pub use trace::BuildTrace;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use binary_cache::Caches;
use niphas_store::Store;
use niphas_store::mount::View;
use nix_formats::StorePath;
use tokio::sync::watch;

use crate::plan::{Plan, Planner, Wanted};
use crate::{Derivations, Sources};
use goal::Outcome;
use places::Places;
use slots::Slots;

/// Builds derivations. Clones are one.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What builds begin with.
#[derive(Clone)]
pub struct Origins {
    /// Where to fetch from, and whom to believe: a policy [with the store's own key](binary_cache::TrustPolicy::with_own).
    pub caches: Arc<Caches>,
    /// Knows the derivations.
    pub derivations: Arc<dyn Derivations>,
    /// Knows the sources, if an evaluation made them.
    pub sources: Option<Arc<dyn Sources>>,
    /// Paths of this machine that are used where they are.
    pub folder: Option<InputFolder>,
}

struct Shared {
    places: Arc<Places>,
    caches: Arc<Caches>,
    derivations: Arc<dyn Derivations>,
    settings: Settings,
    trace: BuildTrace,
    view: Option<View>,
    slots: Arc<Slots>,
    /// What is being built, by the path of the derivation.
    running: Mutex<HashMap<StorePath, watch::Receiver<Option<Outcome>>>>,
}

impl Engine {
    /// An engine on a store that is open for writing. Removes what a run that was killed left behind. Blocks.
    pub fn new(store: Store, origins: Origins, settings: Settings) -> Result<Self, SetupError> {
        let view = open::prepare(store.dir())?;
        let Origins {
            caches,
            derivations,
            sources,
            folder,
        } = origins;
        let trace = BuildTrace::new(store.dir());
        let places = Places::new(store, Arc::clone(&caches), sources, folder, view.is_some());
        Ok(Self {
            shared: Arc::new(Shared {
                slots: Slots::new(settings.max_jobs.max(1)),
                places: Arc::new(places),
                caches,
                derivations,
                settings,
                trace,
                view,
                running: Mutex::default(),
            }),
        })
    }

    /// What a request would do.
    pub async fn plan(&self, request: &Request) -> Result<Plan, EngineError> {
        Ok(self.shared.plan(request, &BTreeSet::new()).await?)
    }
}

impl Shared {
    /// The plan of a request. What is lost is in no cache.
    async fn plan(&self, request: &Request, lost: &BTreeSet<StorePath>) -> Result<Plan, AskError> {
        let mut planner = self.planner(Arc::clone(&self.derivations));
        for wanted in &request.wanted {
            planner.want(wanted)?;
        }
        self.answers(lost).plan(planner).await
    }

    /// The plan of a request whose derivations are built again.
    async fn plan_again(
        &self,
        request: &Request,
        lost: &BTreeSet<StorePath>,
    ) -> Result<Plan, AskError> {
        let mut planner = self.planner(Arc::clone(&self.derivations));
        for wanted in &request.wanted {
            if let Wanted::Outputs { derivation, .. } = wanted {
                planner.rebuild(derivation)?;
            }
        }
        self.answers(lost).plan(planner).await
    }

    fn running(&self) -> MutexGuard<'_, HashMap<StorePath, watch::Receiver<Option<Outcome>>>> {
        // Nothing panics half-way through a change.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planner(&self, derivations: Arc<dyn Derivations>) -> Planner {
        let store_dir = self.places.store_dir.clone();
        Planner::new(derivations, store_dir, self.settings.machine.clone())
    }

    fn answers<'a>(&'a self, lost: &'a BTreeSet<StorePath>) -> answers::Answers<'a> {
        answers::Answers {
            places: &self.places,
            caches: &self.caches,
            trace: &self.trace,
            lost,
            fallback: self.settings.fallback,
        }
    }
}
