//! The builds of one run: what its environments need, and no cache has, is built.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use binary_cache::{CacheUrl, Caches};
use niphas_api::source::{BuildPolicy, Counts, FailedBuild};
use niphas_build_jobs::executor::NewRun;
use niphas_build_jobs::schedule::{Need, RunProgress, SourceRef};
use niphas_environments::EvaluatedEnvironments;
use niphas_pages::paths;
use nix_builder::plan::{Plan, Wanted, WantedOutputs};
use nix_formats::{PublicKeys, StoreDir, StorePath, printable};

use super::graph::Graph;
use super::plan::{NoPlan, plan};
use super::record::{RunRecord, reason};
use super::records::{Recording, RunName};
use super::settings;
use super::shop::{Shop, Times};
use crate::child::protocol::GraphLimits;
use crate::queue::Key;

/// How often a run tells how far it is.
const INTERVAL: Duration = Duration::from_secs(1);

/// The end of a log that is repeated where its build failed.
const LOG_TAIL: u64 = 2048;
/// Lines of it.
const LOG_LINES: usize = 10;

/// How far the builds of a run are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) counts: Counts,
    /// The first that failed.
    pub(crate) failed: Option<FailedBuild>,
}

/// Why not all is built.
#[derive(Debug)]
pub(crate) struct BuildError {
    pub(crate) message: String,
    /// Another time it may come out otherwise.
    pub(crate) is_passing: bool,
}

impl BuildError {
    fn settled(message: String) -> Self {
        Self {
            message,
            is_passing: false,
        }
    }

    fn passing(message: String) -> Self {
        Self {
            message,
            is_passing: true,
        }
    }
}

impl From<NoPlan> for BuildError {
    fn from(error: NoPlan) -> Self {
        let message = nix_formats::chain(&error);
        match error {
            NoPlan::Caches(_) => Self::passing(message),
            _ => Self::settled(message),
        }
    }
}

/// The builds of a run.
#[derive(Clone)]
pub(crate) struct BuildRun {
    pub(crate) shop: Arc<Shop>,
    pub(crate) source: SourceRef,
    pub(crate) policy: BuildPolicy,
    /// What the run is called in addresses, if it has a page.
    pub(crate) page: Option<String>,
    /// A person asks that what failed is tried again.
    pub(crate) retries: bool,
}

impl BuildRun {
    /// What the graph of a run may have.
    pub(crate) fn limits(&self) -> GraphLimits {
        self.shop.settings.limits.graph()
    }

    /// The cache of what is built.
    pub(crate) fn cache(&self) -> CacheUrl {
        self.shop.target.url.clone()
    }

    /// Keys, with the one that signs what is built.
    pub(crate) fn with_key(&self, keys: &PublicKeys) -> PublicKeys {
        settings::with_key(keys, &self.shop.key)
    }

    /// Has all built that the environments need and `caches` lack. `tell` hears how far it is. Ends Jobs that only this run needs, after
    /// a while, when it is dropped.
    pub(crate) async fn build(
        &self,
        evaluated: &EvaluatedEnvironments,
        caches: &Caches,
        graph: Arc<Graph>,
        tell: &impl Fn(Built),
    ) -> Result<(), BuildError> {
        let (wanted, sources) = missing(evaluated, caches).await?;
        let pushed = self.shop.push_sources(&graph, &sources).await;
        pushed.map_err(|error| BuildError::passing(nix_formats::chain(&*error)))?;
        let plan = plan(&graph, &self.shop.caches, &wanted).await?;
        if plan.builds.is_empty() {
            return Ok(());
        }
        self.check(&plan)?;
        let registered = self.shop.register(&plan, &graph, Times::from(&self.policy));
        let needs = Need::of_plan(&plan);
        let mut recording = self.recording(&plan, &graph);
        drop((plan, graph));
        let ended = |_| BuildError::passing("the service ends".to_owned());
        if self.retries {
            for need in &needs {
                let retried = self.shop.builds.retry(need.derivation.clone()).await;
                retried.map_err(ended)?;
            }
        }
        let durations = self.shop.durations().of(&needs);
        let added = self.shop.builds.add(NewRun {
            run: registered.run,
            source: self.source.clone(),
            max_jobs: self.policy.max_jobs.and_then(|it| usize::try_from(it).ok()),
            needs,
            durations,
        });
        let added = added.await.map_err(ended)?;
        let mut progress = added.map_err(|error| BuildError::settled(error.to_string()))?;
        let mut told: Option<Instant> = None;
        loop {
            let now = progress.borrow_and_update().clone();
            if let Some(record) = &mut recording {
                self.record(record, &now);
            }
            let is_due = told.is_none_or(|told| told.elapsed() >= INTERVAL);
            if is_due || now.is_done() {
                let built = self.built(&now).await;
                tell(built.clone());
                if now.is_done() {
                    return conclude(&now, built);
                }
                told = Some(Instant::now());
            }
            // Without a change, pods may have begun, and what was not told is due.
            if let Ok(Err(_)) = tokio::time::timeout(INTERVAL, progress.changed()).await {
                let message = "the service no longer runs builds";
                return Err(BuildError::passing(message.to_owned()));
            }
        }
    }

    fn source(&self) -> Key {
        Key {
            namespace: self.source.namespace.to_string(),
            name: self.source.name.to_string(),
        }
    }

    /// Has the cache keep what a branch is rendered with, as one of the last generations of its source.
    pub(crate) async fn keep(&self, evaluated: &EvaluatedEnvironments) -> Result<(), BuildError> {
        // A pull request is none.
        if self.page.is_none() {
            return Ok(());
        }
        let roots: BTreeSet<StorePath> = evaluated.roots().map(|it| it.path.clone()).collect();
        let (generations, source) = (Arc::clone(&self.shop.generations), self.source());
        let noted = tokio::task::spawn_blocking(move || generations.note(&source, &roots)).await;
        let noted = noted.unwrap_or_else(|error| Err(io::Error::other(error)));
        noted.map_err(|error| {
            BuildError::passing(format!(
                "failed to note what the cache has to keep: {error}"
            ))
        })
    }

    /// Remembers the builds for the run's page.
    fn recording(&self, plan: &Plan, graph: &Arc<Graph>) -> Option<Recording> {
        let run = RunName {
            source: self.source(),
            id: self.page.clone()?,
        };
        let record = RunRecord::of_plan(plan, &**graph);
        Some(Recording::new(Arc::clone(&self.shop.records), run, record))
    }

    fn record(&self, recording: &mut Recording, progress: &RunProgress) {
        let attempted = |path: &StorePath| self.shop.attempted(path);
        recording.update(|record| record.update(progress, attempted, SystemTime::now()));
    }

    fn check(&self, plan: &Plan) -> Result<(), BuildError> {
        let Some(systems) = &self.policy.systems else {
            return Ok(());
        };
        let is_other = |system: &str| {
            system != niphas_build_jobs::job::BUILTIN
                && !systems.iter().any(|it| it.to_string() == system)
        };
        for build in &plan.builds {
            let system = niphas_build_jobs::job::system(build);
            if is_other(&system) {
                let path = build.path.clone();
                return Err(NoPlan::System { path, system }.into());
            }
        }
        Ok(())
    }

    async fn built(&self, progress: &RunProgress) -> Built {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let counts = Counts {
            waiting: count(progress.waiting),
            running: count(progress.running),
            succeeded: count(progress.built),
            failed: count(progress.failed.len() + progress.blocked.len()),
        };
        let Some((path, failure)) = progress.failed.first() else {
            return Built {
                counts,
                failed: None,
            };
        };
        let path = failure.derivation.as_ref().unwrap_or(path).clone();
        let log = self
            .shop
            .settings
            .cache_folder()
            .join("log")
            .join(path.base_name());
        let tail = tokio::task::spawn_blocking(move || log_tail(&log)).await;
        let tail = tail.ok().and_then(Result::ok).filter(|it| !it.is_empty());
        let reason = reason(&failure.message);
        let message = match &tail {
            Some(tail) => format!("{reason}\n{tail}"),
            None => reason.to_owned(),
        };
        Built {
            counts,
            failed: Some(FailedBuild {
                derivation: path.base_name().to_owned(),
                message,
                log_path: tail.map(|_| paths::log(path.base_name())),
            }),
        }
    }
}

fn conclude(progress: &RunProgress, built: Built) -> Result<(), BuildError> {
    let Some(failed) = built.failed else {
        return Ok(());
    };
    let (failures, blocked) = (progress.failed.len(), progress.blocked.len());
    let total = progress.built + failures + blocked;
    let blocked = match blocked {
        0 => String::new(),
        count => format!(", {count} that need them were not tried"),
    };
    let message = format!(
        "{failures} of {total} builds failed{blocked}: '{}': {}",
        failed.derivation, failed.message
    );
    let mut failures = progress.failed.iter();
    Err(BuildError {
        message,
        is_passing: !failures.any(|(_, failure)| failure.is_lasting()),
    })
}

/// What has to be built, and what else is in no cache: sources and texts that workloads refer to.
async fn missing(
    evaluated: &EvaluatedEnvironments,
    caches: &Caches,
) -> Result<(Vec<Wanted>, Vec<StorePath>), BuildError> {
    let store_dir = StoreDir::default();
    let (mut wanted, mut sources) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for root in evaluated.roots() {
        if !seen.insert(root.path)
            || caches
                .closure(std::slice::from_ref(root.path))
                .await
                .is_ok()
        {
            continue;
        }
        let Some(built) = root.built else {
            sources.push(root.path.clone());
            continue;
        };
        let derivation = store_dir.parse(&built.drv_path);
        let derivation = derivation.map_err(|error| BuildError::settled(error.to_string()))?;
        wanted.push(Wanted::Outputs {
            derivation,
            outputs: WantedOutputs::Named([built.output.clone()].into()),
        });
    }
    Ok((wanted, sources))
}

/// The last lines of a log: printable, for others wrote them.
fn log_tail(path: &Path) -> io::Result<String> {
    let mut file = regular_file::open_no_follow(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&printable(&bytes, false)).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::log_tail;

    #[test]
    fn the_end_of_a_log_is_a_few_printable_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        let lines: Vec<String> = (0..1000).map(|line| format!("line {line}")).collect();
        let text = lines.join("\n");
        std::fs::write(&file, format!("{text}\n\x1b[31mred\x07\n")).unwrap();
        let tail = log_tail(&file).unwrap();
        assert_eq!(tail.lines().count(), 10);
        assert!(tail.starts_with("line 991\n"), "{tail}");
        assert!(tail.ends_with("\nred"), "{tail}");
        std::fs::write(&file, "").unwrap();
        assert_eq!(log_tail(&file).unwrap(), "");
    }
}
