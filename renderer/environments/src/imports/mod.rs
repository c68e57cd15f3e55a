//! Import from derivation: what evaluations import is built, or fetched from a cache, by an engine that is opened when it is first
//! needed.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use niphas_store::Store;
use nix_builder::engine::{Engine, EngineError, Event, Failure, MessageStyle, Report, Request};
use nix_builder::plan::{Wanted, WantedOutputs};
use nix_evaluator::io::{BuildFailure, Builds, WantedOutput};
use nix_formats::{StoreDir, StorePath, chain};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::record::EvaluationRecord;
use files::ImportedFiles;

/// An engine that is open. Clones are one.
#[derive(Clone)]
pub struct OpenedEngine {
    /// The engine. The evaluation's record is among its derivations and sources.
    pub engine: Engine,
    /// Its store.
    pub store: Store,
    /// Where it runs, on several threads.
    pub runtime: Handle,
}

/// Gives an engine, the same one each time. The error is a message.
pub type OpenEngine = dyn Fn() -> Result<OpenedEngine, String> + Send + Sync;

/// Receives what happens in a build. Failures come last, and without the one that is the error of the evaluation.
pub type HearBuild = dyn FnMut(&Event) + Send;

/// Begins to hear a build.
pub type HearBuilds = dyn Fn() -> Box<HearBuild> + Send + Sync;

/// Builds what evaluations import: for [`Evaluation::builds`](crate::Evaluation::builds).
pub struct Imports {
    record: Arc<EvaluationRecord>,
    open: Box<OpenEngine>,
    hear: Box<HearBuilds>,
    /// See [`MessageStyle::log_command`].
    log_command: Option<&'static str>,
    files: Arc<ImportedFiles>,
    store_dir: StoreDir,
}

/// Events that wait to be heard.
const EVENTS: usize = 256;

impl Imports {
    /// Builds for the evaluations that fill `record`.
    pub fn new(
        record: Arc<EvaluationRecord>,
        open: Box<OpenEngine>,
        hear: Box<HearBuilds>,
        log_command: Option<&'static str>,
    ) -> Self {
        let store_dir = record.store_dir().clone();
        let files = Arc::new(ImportedFiles::new(store_dir.clone()));
        record.set_outputs(Arc::clone(&files) as _);
        Self {
            record,
            open,
            hear,
            log_command,
            files,
            store_dir,
        }
    }

    fn request(&self, wanted: &[WantedOutput]) -> io::Result<Request> {
        let mut outputs: BTreeMap<StorePath, BTreeSet<String>> = BTreeMap::new();
        for WantedOutput { drv_path, output } in wanted {
            let derivation = self.store_dir.parse(drv_path).map_err(io::Error::other)?;
            let names = outputs.entry(derivation).or_default();
            names.insert(output.clone());
        }
        let wanted = outputs
            .into_iter()
            .map(|(derivation, names)| Wanted::Outputs {
                derivation,
                outputs: WantedOutputs::Named(names),
            });
        Ok(Request {
            wanted: wanted.collect(),
            ..Request::default()
        })
    }

    /// Builds, while this thread waits. What happens is heard while it does.
    fn run(
        &self,
        opened: &OpenedEngine,
        request: &Request,
    ) -> (Result<Report, EngineError>, Box<HearBuild>) {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let mut hear = (self.hear)();
        opened.runtime.block_on(async {
            let heard = tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    if !matches!(event, Event::Failed(_)) {
                        hear(&event);
                    }
                }
                hear
            });
            let cancel = CancellationToken::new();
            let report = opened.engine.build(request, sender, &cancel).await;
            // It ends with the sender.
            match heard.await {
                Ok(hear) => (report, hear),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        })
    }

    /// What failed, as Nix tells it: the one failed build that was asked for is the error, else all of them are said before it.
    fn failure(&self, report: &Report, hear: &mut HearBuild) -> io::Error {
        let style = MessageStyle {
            store_dir: &self.store_dir,
            log_command: self.log_command,
        };
        let mut said: &[Arc<Failure>] = &report.failures;
        let message = match said {
            [others @ .., last] if report.failed.len() == 1 => {
                said = others;
                last.message(style)
            }
            _ => {
                let failed = report.failed.iter();
                let failed = failed.map(|path| format!("'{}'", self.store_dir.print(path)));
                let failed: Vec<String> = failed.collect();
                format!("build of {} failed", failed.join(", "))
            }
        };
        for failure in said {
            hear(&Event::Failed(Arc::clone(failure)));
        }
        let status = report.status().code();
        io::Error::other(BuildFailure { message, status })
    }

    /// The path of an output that was built.
    fn path(&self, report: &Report, wanted: &WantedOutput) -> io::Result<String> {
        let WantedOutput { drv_path, output } = wanted;
        let derivation = self.store_dir.parse(drv_path).map_err(io::Error::other)?;
        let outputs = report.outputs.get(&derivation);
        match outputs.and_then(|outputs| outputs.get(output)) {
            Some(path) => Ok(self.store_dir.print(path)),
            None => Err(io::Error::other(format!(
                "derivation '{drv_path}' does not have output '{output}'"
            ))),
        }
    }
}

impl Builds for Imports {
    fn build(&self, wanted: &[WantedOutput]) -> io::Result<Vec<String>> {
        let request = self.request(wanted)?;
        let opened = (self.open)().map_err(io::Error::other)?;
        let (report, mut hear) = self.run(&opened, &request);
        let report = report.map_err(|error| {
            let mut message = chain(&error);
            if self.record.is_full() {
                message += "; the evaluation has made more derivations than are kept to be built";
            }
            io::Error::other(BuildFailure { message, status: 1 })
        })?;
        if !report.is_success() {
            return Err(self.failure(&report, &mut *hear));
        }
        let paths = wanted.iter().map(|wanted| self.path(&report, wanted));
        let paths = paths.collect::<io::Result<Vec<String>>>()?;
        self.files.add(&opened.store, report.held);
        Ok(paths)
    }
}
