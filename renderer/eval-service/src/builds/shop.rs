//! What is known of the builds of all runs, and what their Jobs are made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use binary_cache::Caches;
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use niphas_api::source::BuildPolicy;
use niphas_build_jobs::executor::{self, Prepare, Workshop, WorkshopError};
use niphas_build_jobs::inputs::{InputInfo, Inputs, InputsError, OutputPaths, direct_inputs};
use niphas_build_jobs::job::{Attempt, InputClosure, JobIdentity, Work, job, job_name, system};
use niphas_build_jobs::schedule::{RunId, Start};
use niphas_build_jobs::{Cause, Failure};
use niphas_cache_service::ingest::BuildSpec;
use niphas_cache_service::protocol::{BuildName, BuildSettings};
use nix_builder::plan::{Build, Plan};
use nix_formats::{PublicKey, SecretKey, StoreDir, StorePath};
use tracing::warn;

use super::durations::Durations;
use super::generations::Generations;
use super::graph::Graph;
use super::plan::is_broken;
use super::push::Target;
use super::record::Attempted;
use super::records::Records;
use super::settings;
use crate::metrics::Metrics;

/// How long something is known that no run needs any more, beside the time that its Job goes on: a pod may be delivering it.
const MEMORY: Duration = Duration::from_mins(30);

/// What is known of the builds of all runs.
pub(crate) struct Shop {
    pub(super) settings: settings::BuildSettings,
    pub(super) client: Client,
    pub(super) metrics: Metrics,
    /// The caches of builds, the service's own among them.
    pub(super) caches: Arc<Caches>,
    pub(super) target: Target,
    /// The key that signs what is built.
    pub(crate) key: PublicKey,
    pub(super) builds: executor::Builds,
    /// What is remembered of the builds of runs.
    pub(crate) records: Arc<Records>,
    durations: Mutex<Durations>,
    /// What the last commits of sources need.
    pub(crate) generations: Arc<Generations>,
    known: Mutex<Known>,
    runs: AtomicU64,
}

#[derive(Default)]
struct Known {
    builds: HashMap<StorePath, KnownBuild>,
    paths: HashMap<BuildName, StorePath>,
    /// What is built before a derivation in its pod.
    members: HashMap<StorePath, Vec<StorePath>>,
}

/// A build that a run needs.
#[derive(Clone)]
struct KnownBuild {
    build: Arc<Build>,
    /// The paths of outputs, its inputs among them.
    outputs: Arc<OutputPaths>,
    /// What has its sources.
    graph: Arc<Graph>,
    times: Times,
    spec: Option<Arc<BuildSpec>>,
    attempted: Attempted,
    /// The pod that was heard of last.
    pod: Option<String>,
    runs: usize,
    unneeded_since: Option<Instant>,
}

/// A pod of a build.
pub(super) struct PodBegan {
    pub(super) uid: String,
    pub(super) began: SystemTime,
}

/// How long a source lets builds take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) timeout: Option<Duration>,
    pub(super) max_silent_time: Option<Duration>,
}

impl From<&BuildPolicy> for Times {
    fn from(policy: &BuildPolicy) -> Self {
        Self {
            timeout: policy.timeout.map(niphas_api::source::Duration::as_std),
            max_silent_time: policy
                .max_silent_time
                .map(niphas_api::source::Duration::as_std),
        }
    }
}

/// The builds of a run are known as long as this lives.
pub(super) struct Registered {
    shop: Arc<Shop>,
    builds: Vec<StorePath>,
    pub(super) run: RunId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut known = self.shop.known();
        for path in &self.builds {
            if let Some(build) = known.builds.get_mut(path) {
                build.runs = build.runs.saturating_sub(1);
                if build.runs == 0 {
                    build.unneeded_since = Some(now);
                }
            }
        }
        drop(known);
        let (builds, run) = (self.shop.builds.clone(), self.run);
        // Its Jobs go on for a while, as the next run may need them.
        tokio::spawn(async move { builds.remove(run).await });
    }
}

impl Shop {
    pub(super) fn new(
        settings: settings::BuildSettings,
        (client, metrics): (Client, Metrics),
        key: SecretKey,
        builds: executor::Builds,
    ) -> anyhow::Result<Self> {
        let public = key.public_key();
        let durations = settings.durations_file();
        let durations = Durations::read(&durations).unwrap_or_else(|error| {
            let file = durations.display();
            warn!(%file, %error, "failed to read how long builds took; it is written again");
            Durations::default()
        });
        Ok(Self {
            records: Arc::new(Records::new(settings.folder.join("runs"))),
            durations: Mutex::new(durations),
            generations: Arc::new(Generations::new(
                settings.folder.join("generations"),
                settings.keep.generations.get(),
            )),
            caches: Arc::new(settings.caches(&public)?),
            target: Target {
                url: settings.own_cache()?,
                keys: Arc::new([key]),
            },
            key: public,
            settings,
            client,
            metrics,
            builds,
            known: Mutex::default(),
            runs: AtomicU64::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn durations(&self) -> MutexGuard<'_, Durations> {
        self.durations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows the builds of a plan from now on.
    pub(super) fn register(
        self: &Arc<Self>,
        plan: &Plan,
        graph: &Arc<Graph>,
        times: Times,
    ) -> Registered {
        let outputs = Arc::new(plan.outputs.clone());
        let mut known = self.known();
        known.sweep(self.settings.limits.grace.as_std() + MEMORY);
        for build in &plan.builds {
            let path = &build.path;
            known.paths.insert(BuildName::of(path), path.clone());
            let entry = known.builds.entry(path.clone());
            let entry = entry.or_insert_with(|| KnownBuild {
                build: Arc::new(build.clone()),
                outputs: Arc::clone(&outputs),
                graph: Arc::clone(graph),
                times,
                spec: None,
                attempted: Attempted::default(),
                pod: None,
                runs: 0,
                unneeded_since: None,
            });
            entry.runs += 1;
            entry.unneeded_since = None;
        }
        Registered {
            shop: Arc::clone(self),
            builds: plan.builds.iter().map(|it| it.path.clone()).collect(),
            run: RunId(self.runs.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// A pod shows what its Job builds, and when it began.
    pub(super) fn note(&self, identity: &JobIdentity, pod: &PodBegan) {
        let mut known = self.known();
        known.set_members(&identity.derivation, &identity.members);
        let Some(build) = known.builds.get_mut(&identity.derivation) else {
            return;
        };
        if build.pod.as_ref() != Some(&pod.uid) {
            build.pod = Some(pod.uid.clone());
            (build.attempted.began, build.attempted.ended) = (Some(pod.began), None);
        }
        // kubelet may tell later when its container began.
        build.attempted.began = build.attempted.began.min(Some(pod.began));
    }

    /// A build has an outcome: how long its pod took for it, where it is the one that its Job is named by.
    pub(super) fn ended(&self, path: &StorePath, is_built: bool) {
        let now = SystemTime::now();
        let mut known = self.known();
        let Some(build) = known.builds.get_mut(path) else {
            return;
        };
        build.attempted.ended = Some(now);
        let began = build.attempted.began.filter(|_| is_built);
        if let Some(took) = began.and_then(|began| now.duration_since(began).ok()) {
            let system = system(&build.build);
            self.durations().note(path.name(), &system, took);
        }
    }

    /// What pods tell of a build.
    pub(super) fn attempted(&self, path: &StorePath) -> Attempted {
        let known = self.known();
        let build = known.builds.get(path);
        build.map_or_else(Attempted::default, |build| build.attempted.clone())
    }

    /// The derivation of a name.
    pub(super) fn path_of(&self, name: &BuildName) -> Option<StorePath> {
        self.known().paths.get(name).cloned()
    }

    /// The order for a build. None: no run has named it yet.
    pub(super) fn spec(&self, name: &BuildName) -> anyhow::Result<Option<Arc<BuildSpec>>> {
        let mut known = self.known();
        let Some(path) = known.paths.get(name).cloned() else {
            return Ok(None);
        };
        let members = known.members.get(&path).cloned().unwrap_or_default();
        let Some(build) = known.builds.get_mut(&path) else {
            return Ok(None);
        };
        if let Some(spec) = &build.spec {
            return Ok(Some(Arc::clone(spec)));
        }
        let spec = Arc::new(self.order(build, &members)?);
        build.spec = Some(Arc::clone(&spec));
        Ok(Some(spec))
    }

    fn order(&self, known: &KnownBuild, members: &[StorePath]) -> anyhow::Result<BuildSpec> {
        let store_dir = StoreDir::default();
        let build = &*known.build;
        let aterm = build.derivation.to_aterm(&store_dir)?;
        // By itself: what is built with it are inputs, too.
        let inputs = direct_inputs(&[build], &known.outputs)?;
        let inputs = inputs.into_values().flatten().collect();
        let path = build.path.clone();
        let settings = self.build_settings(known)?;
        let mut spec = BuildSpec::new(&store_dir, path, aterm, inputs, settings)?;
        spec.built_with = members.iter().map(BuildName::of).collect();
        Ok(spec)
    }

    fn build_settings(&self, known: &KnownBuild) -> anyhow::Result<BuildSettings> {
        let (build, policy) = (&*known.build, &self.settings.policy);
        let features = niphas_build_jobs::job::required_features(build)?;
        let resources = policy.resources(&build.derivation.name, &features);
        let (most, times) = (resources.timeout.as_std(), known.times);
        let silent = [
            policy
                .max_silent_time
                .map(niphas_api::source::Duration::as_std),
            times.max_silent_time,
        ];
        Ok(BuildSettings {
            timeout: times.timeout.map_or(most, |it| it.min(most)),
            max_silent_time: silent.into_iter().flatten().min().unwrap_or_default(),
            max_log_size: policy.max_log_size.bytes(),
            cores: resources.cpu.cores(),
            systems: vec![system(build)],
        })
    }

    fn find(&self, path: &StorePath) -> Option<KnownBuild> {
        self.known().builds.get(path).cloned()
    }

    /// Puts sources into the cache, with what they refer to, as far as no cache of builds has them.
    pub(super) async fn push_sources<'a>(
        &self,
        graph: &'a Arc<Graph>,
        paths: impl IntoIterator<Item = &'a StorePath>,
    ) -> Result<(), WorkshopError> {
        let mut missing = Vec::new();
        for path in graph.sources_of(paths) {
            match self.caches.find(&path, None).await {
                Ok(_) => {}
                Err(error) if is_broken(&error) => return Err(Box::new(error)),
                Err(_) => missing.extend(graph.info(&path)),
            }
        }
        Ok(self.target.push(Arc::clone(graph) as _, missing).await?)
    }

    /// What a pod mounts: all that its builds may see.
    async fn inputs(
        &self,
        derivation: &StorePath,
        builds: &[KnownBuild],
    ) -> Result<Option<Inputs>, Prepare> {
        let plain: Vec<&Build> = builds.iter().map(|it| &*it.build).collect();
        let mut outputs = OutputPaths::new();
        for known in builds {
            for input in known.build.derivation.input_derivations.keys() {
                if let Some(paths) = known.outputs.get(input) {
                    outputs.insert(input.clone(), paths.clone());
                }
            }
        }
        let direct = direct_inputs(&plain, &outputs).map_err(refused)?;
        let roots: BTreeSet<StorePath> = direct.values().flatten().cloned().collect();
        let roots: Vec<StorePath> = roots.into_iter().collect();
        let closure = self.caches.closure(&roots).await.map_err(not_now)?;
        let info = |found: &Arc<binary_cache::Found>| {
            (found.info.path.clone(), InputInfo::from(&*found.info))
        };
        let infos: BTreeMap<StorePath, InputInfo> = closure.paths.iter().map(info).collect();
        Inputs::new(derivation, &direct, &infos, &StoreDir::default()).map_err(refused)
    }
}

impl Workshop for Shop {
    async fn prepare(&self, start: &Start, attempt: Attempt) -> Result<Job, Prepare> {
        let paths = start.members.iter().chain([&start.derivation]);
        let builds: Option<Vec<KnownBuild>> = paths.map(|path| self.find(path)).collect();
        let builds = builds.ok_or_else(|| not_now("no run needs it any more"))?;
        for known in &builds {
            let sources = &known.build.derivation.input_sources;
            let pushed = self.push_sources(&known.graph, sources).await;
            pushed.map_err(Prepare::NotNow)?;
        }
        let inputs = self.inputs(&start.derivation, &builds).await?;
        if let Some(inputs) = &inputs {
            self.target.push_inputs(inputs).await.map_err(not_now)?;
        }
        self.known().set_members(&start.derivation, &start.members);
        let Some((last, members)) = builds.split_last() else {
            return Err(not_now("there is nothing to build"));
        };
        let members: Vec<&Build> = members.iter().map(|it| &*it.build).collect();
        let work = Work {
            build: &last.build,
            members: &members,
            inputs: inputs.as_ref().map(|inputs| InputClosure {
                root: &inputs.path,
                digest: &inputs.digest,
            }),
            attempt,
        };
        let made = job(&work, &self.settings.policy, &self.settings.jobs);
        made.map_err(|error| never(&error.to_string()))
    }

    async fn is_built(&self, derivation: &StorePath) -> Result<bool, WorkshopError> {
        let Some(known) = self.find(derivation) else {
            // A Job of before the service was started. The plan of the next run that needs it says what is there.
            return Ok(true);
        };
        let derivation = &known.build.derivation;
        for (name, output) in &derivation.outputs {
            let path = output.path(&StoreDir::default(), &derivation.name, name)?;
            let Some(path) = path else {
                return Ok(false);
            };
            match self.caches.find(&path, None).await {
                Ok(_) => {}
                Err(error) if is_broken(&error) => return Err(Box::new(error)),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Known {
    fn set_members(&mut self, derivation: &StorePath, members: &[StorePath]) {
        if let Some(build) = self.builds.get_mut(derivation) {
            build.attempted.job = Some(job_name(derivation));
        }
        if self.members.get(derivation).is_some_and(|it| it == members) {
            return;
        }
        self.members.insert(derivation.clone(), members.to_vec());
        for path in members {
            if let Some(build) = self.builds.get_mut(path) {
                build.attempted.job = Some(job_name(derivation));
            }
        }
        // Its order names them.
        if let Some(build) = self.builds.get_mut(derivation) {
            build.spec = None;
        }
    }

    /// Forgets what no run has needed for some time.
    fn sweep(&mut self, memory: Duration) {
        let is_old = |since: Instant| since.elapsed() > memory;
        self.builds
            .retain(|_, build| build.runs > 0 || !build.unneeded_since.is_some_and(is_old));
        let builds = &self.builds;
        self.paths.retain(|_, path| builds.contains_key(path));
        self.members.retain(|path, _| builds.contains_key(path));
    }
}

fn not_now(error: impl Into<WorkshopError>) -> Prepare {
    Prepare::NotNow(error.into())
}

fn never(message: &str) -> Prepare {
    Prepare::Never(Failure::new(Cause::Refused, message))
}

fn refused(error: InputsError) -> Prepare {
    match error {
        InputsError::TooMany(_) => never(&error.to_string()),
        error => not_now(error),
    }
}
