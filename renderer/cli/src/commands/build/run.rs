//! A run of the engine: the store, the caches, and what builds begin with.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use binary_cache::{Caches, DerivationOutput, Limits, TrustPolicy};
use niphas_cache_args::CacheArgs;
use niphas_environments::OpenedEngine;
use niphas_store::Store;
use niphas_terminal::size;
use nix_builder::engine::{
    BuildTrace, Engine, EngineError, Event, Origins, Report, Request, Settings,
};
use nix_builder::plan::{OutputId, Plan, Wanted};
use nix_builder::{Sources, UnreadSource};
use nix_formats::{ContentAddress, PublicKeys, StoreDir, StorePath};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::evaluate::Beginnings;
use super::push::{Destination, Pushed};
use super::results::Outcome;
use super::watch::{Watch, needs_shell};
use crate::build_options::BuildOptions;
use crate::build_store::BuildStoreArgs;
use crate::commands::cache::runtime;
use crate::failure::Failure;

/// A run of the engine.
pub(crate) struct Run {
    runtime: tokio::runtime::Runtime,
    store: Store,
    engine: Engine,
    keep_going: bool,
    prints_logs: bool,
    lacks_shell: bool,
    /// Of the last build: what caches promise and do not give is planned again.
    plans: Plans,
}

type Plans = Arc<Mutex<Vec<Arc<Plan>>>>;

/// Events that wait to be printed: builders wait for a terminal that is slow.
const EVENTS: usize = 1024;
const REDRAWN: Duration = Duration::from_millis(200);

impl Run {
    /// Opens the store; another process that builds in it is waited for.
    pub(crate) fn open(
        store: &BuildStoreArgs,
        caches: &CacheArgs,
        options: &BuildOptions,
        beginnings: Beginnings,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let store = store.open(&runtime)?;
        let own = store.own_key()?;
        let caches = if options.substitutes() {
            caches.open_with_own(own)?
        } else {
            let policy = TrustPolicy::from(PublicKeys::default()).with_own(own);
            Caches::new(StoreDir::default(), [], policy, Limits::default())?
        };
        let origins = Origins {
            caches: Arc::new(caches),
            derivations: Arc::new(beginnings.derivations),
            sources: Some(Arc::new(AllSources(beginnings.sources))),
            folder: options.inputs()?,
        };
        let lacks_shell = settings.shell.is_none();
        let engine = {
            let _entered = runtime.enter();
            Engine::new(store.clone(), origins, settings)?
        };
        Ok(Self {
            runtime,
            store,
            engine,
            keep_going: options.keep_going(),
            prints_logs: options.prints_logs(),
            lacks_shell,
            plans: Arc::default(),
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn request(&self, wanted: &[Wanted], check: bool) -> Request {
        Request {
            wanted: wanted.to_vec(),
            keep_going: self.keep_going,
            holds: true,
            check,
        }
    }

    /// What would be done.
    pub(crate) fn plan(&self, wanted: &[Wanted]) -> Result<Plan, Failure> {
        let request = self.request(wanted, false);
        Ok(self.runtime.block_on(self.engine.plan(&request))?)
    }

    /// Builds, and prints what happens. Ctrl-C ends all builders first.
    pub(crate) fn build(&self, wanted: &[Wanted], check: bool) -> Result<Report, EngineError> {
        let request = self.request(wanted, check);
        let (events, received) = mpsc::channel(EVENTS);
        let cancel = CancellationToken::new();
        // As Nix has it: what is compared is known.
        let watch = Watch::start(self.prints_logs, !check).without_shell(self.lacks_shell);
        self.plans().clear();
        self.runtime.block_on(async {
            let interrupted = tokio::spawn(cancel_on_signal(cancel.clone()));
            let watched = tokio::spawn(watch_events(watch, received, Arc::clone(&self.plans)));
            let report = self.engine.build(&request, events, &cancel).await;
            interrupted.abort();
            // All that happened is printed before what came of it.
            let _ = watched.await;
            report
        })
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last build began by saying that there is no shell.
    pub(crate) fn told_of_shell(&self) -> bool {
        self.lacks_shell && self.plans().iter().any(|plan| needs_shell(plan))
    }

    /// Makes a cache of the place that is pushed to, if it is none yet.
    pub(crate) fn make_cache(&self, to: &Destination) -> Result<(), Failure> {
        let nothing = Pushed {
            paths: Vec::new(),
            built: Vec::new(),
            trace: Vec::new(),
        };
        self.runtime.block_on(to.push(&self.store, nothing))?;
        Ok(())
    }

    /// Pushes what was built and what was asked for.
    pub(crate) fn push(
        &self,
        to: &Destination,
        outcomes: &[Outcome],
        report: &Report,
    ) -> Result<(), Failure> {
        let asked = outcomes.iter().flat_map(Outcome::paths);
        let mut paths: BTreeSet<StorePath> = asked.map(|(_, path)| path.clone()).collect();
        for built in &report.built {
            paths.extend(built.outputs.values().cloned());
        }
        let pushed = Pushed {
            paths: paths.into_iter().collect(),
            built: report
                .built
                .iter()
                .map(|it| it.derivation.clone())
                .collect(),
            trace: self.trace()?,
        };
        if pushed.paths.is_empty() {
            return Ok(());
        }
        let done = self.runtime.block_on(to.push(&self.store, pushed))?;
        if tracing::enabled!(tracing::Level::WARN) {
            let text = format!(
                "pushed {} paths ({}, compressed {}), {} were there\n",
                done.pushed.len(),
                size(done.nar_size),
                size(done.file_size),
                done.present.len(),
            );
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        Ok(())
    }

    /// What content-addressed outputs of the last plan became.
    fn trace(&self) -> Result<Vec<(DerivationOutput, StorePath)>, Failure> {
        let known = BuildTrace::new(self.store.dir());
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for build in self.plans().iter().flat_map(|plan| &plan.builds) {
            let Some(hash) = build.trace else {
                continue;
            };
            for output in build.derivation.outputs.keys() {
                let id = OutputId {
                    hash,
                    output: output.clone(),
                };
                if let Some(path) = known.get(&id)?
                    && seen.insert(id)
                {
                    found.push((DerivationOutput::new(hash, output)?, path));
                }
            }
        }
        Ok(found)
    }

    /// The engine, its store and where it runs.
    pub(crate) fn opened(&self) -> OpenedEngine {
        OpenedEngine {
            engine: self.engine.clone(),
            store: self.store.clone(),
            runtime: self.runtime.handle().clone(),
        }
    }

    /// Waits until what was built is on disk, and gives the exit code.
    pub(crate) fn finish(&self, report: &Report) -> Result<ExitCode, Failure> {
        self.runtime.block_on(self.store.clone().close())?;
        Ok(if report.is_success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(report.status().code())
        })
    }
}

async fn watch_events(mut watch: Watch, mut events: mpsc::Receiver<Event>, plans: Plans) {
    loop {
        match tokio::time::timeout(REDRAWN, events.recv()).await {
            Ok(Some(event)) => {
                if let Event::Planned(planned) = &event {
                    let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
                    plans.push(Arc::clone(planned));
                }
                watch.hear(&event);
            }
            Ok(None) => return watch.clear(),
            Err(_) => watch.draw(),
        }
    }
}

/// The first Ctrl-C, or request to end, ends all builders; the second ends the program, and with it what they started.
async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    };
    next().await;
    cancel.cancel();
    let code = next().await;
    std::process::exit(code);
}

/// Sources of several: the first that knows a path counts.
struct AllSources(Vec<Arc<dyn Sources>>);

impl Sources for AllSources {
    fn references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>> {
        self.0.iter().find_map(|sources| sources.references(path))
    }

    fn write_nar(
        &self,
        path: &StorePath,
        out: &mut dyn Write,
    ) -> Result<ContentAddress, UnreadSource> {
        let knows = |sources: &&Arc<dyn Sources>| sources.references(path).is_some();
        match self.0.iter().find(knows) {
            Some(sources) => sources.write_nar(path, out),
            None => Err(UnreadSource::Unknown(path.clone())),
        }
    }
}
