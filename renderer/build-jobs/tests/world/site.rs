//! A service that builds derivations that are made up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use niphas_build_jobs::executor::{
    Builds, Executor, NewRun, Prepare, Workshop, WorkshopError, run,
};
use niphas_build_jobs::job::{Attempt, Settings, Work, job};
use niphas_build_jobs::policy::Policy;
use niphas_build_jobs::schedule::{Limits, Need, RunId, RunProgress, SourceRef, Start};
use nix_builder::plan::Build;
use nix_formats::StorePath;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::support::{build, derivation};

struct Workbench {
    builds: BTreeMap<StorePath, Build>,
    is_built: Box<dyn Fn(&StorePath) -> bool + Send + Sync>,
    policy: Policy,
    settings: Settings,
}

impl Workshop for Workbench {
    async fn prepare(&self, start: &Start, attempt: Attempt) -> Result<Job, Prepare> {
        let members: Vec<&Build> = start.members.iter().map(|it| &self.builds[it]).collect();
        let work = Work {
            build: &self.builds[&start.derivation],
            members: &members,
            inputs: None,
            attempt,
        };
        Ok(job(&work, &self.policy, &self.settings).unwrap())
    }

    async fn is_built(&self, derivation: &StorePath) -> Result<bool, WorkshopError> {
        Ok((self.is_built)(derivation))
    }
}

/// A service.
pub(crate) struct Site {
    client: Client,
    settings: Settings,
    policy: Policy,
    is_built: Arc<dyn Fn(&StorePath) -> bool + Send + Sync>,
    /// By name: the derivation, and what it needs.
    derivations: BTreeMap<String, (Build, Vec<String>)>,
    service: Option<(Builds, JoinHandle<()>)>,
    run: u64,
    progress: Option<watch::Receiver<RunProgress>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.service {
            task.abort();
        }
    }
}

impl Site {
    pub(crate) fn new(cluster: &Cluster, policy: Policy) -> Self {
        Self {
            client: cluster.client.clone(),
            settings: cluster.settings(),
            policy,
            is_built: Arc::new(cluster.kubelet.cache()),
            derivations: BTreeMap::new(),
            service: None,
            run: 0,
            progress: None,
        }
    }

    /// A derivation that needs others; those whose names begin so are not worth a pod.
    pub(crate) fn derivation(&mut self, name: &str, needs: &[&str]) -> StorePath {
        let local = if name.starts_with("local") { "1" } else { "" };
        let made = build(derivation(
            name,
            "x86_64-linux",
            &[("preferLocalBuild", local)],
        ));
        let path = made.path.clone();
        let needs = needs.iter().map(|it| (*it).to_owned()).collect();
        self.derivations.insert(name.to_owned(), (made, needs));
        path
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.derivations.values().map(|(build, _)| &build.path)
    }

    fn start(&self) -> (Builds, JoinHandle<()>) {
        let (builds, commands) = Builds::new();
        let is_built = Arc::clone(&self.is_built);
        let all = self.derivations.values();
        let workbench = Workbench {
            builds: all
                .map(|(build, _)| (build.path.clone(), build.clone()))
                .collect(),
            is_built: Box::new(move |path| is_built(path)),
            policy: self.policy.clone(),
            settings: self.settings.clone(),
        };
        let limits = Limits {
            total: 50,
            per_namespace: 50,
            per_system: BTreeMap::new(),
            grace: Duration::from_secs(1),
        };
        let executor = Executor::new(self.client.clone(), &self.settings.namespace);
        let policy = self.policy.clone();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(
            executor,
            Arc::new(workbench),
            policy,
            limits,
            commands,
            stop,
        ));
        (builds, task)
    }

    /// Kills the service, wherever it is, and starts another.
    pub(crate) async fn restart(&mut self) {
        if let Some((_, task)) = self.service.take() {
            task.abort();
            let _ = task.await;
        }
        self.progress = None;
    }

    /// What a plan would have: all that the cache lacks of what is asked for, and of what that needs.
    fn plan(&self, wanted: &[&str]) -> Vec<Need> {
        let mut open: Vec<&str> = wanted.to_vec();
        let mut names = BTreeSet::new();
        while let Some(name) = open.pop() {
            let (build, needs) = &self.derivations[name];
            if !(self.is_built)(&build.path) && names.insert(name) {
                open.extend(needs.iter().map(String::as_str));
            }
        }
        let mut order: Vec<&str> = Vec::new();
        while order.len() < names.len() {
            let next = names.iter().find(|name| {
                let needs = self.derivations[**name].1.iter();
                !order.contains(name) && { needs }
                    .all(|it| order.contains(&it.as_str()) || !names.contains(it.as_str()))
            });
            order.push(next.unwrap());
        }
        let place = |name: &String| order.iter().position(|it| it == name);
        let need = |name: &&str| {
            let (build, needs) = &self.derivations[*name];
            Need {
                derivation: build.path.clone(),
                needs: needs.iter().filter_map(place).collect(),
                system: "x86_64-linux".into(),
                features: BTreeSet::new(),
                is_local: build.options.prefer_local_build,
            }
        };
        order.iter().map(need).collect()
    }

    /// Has a run begin.
    pub(crate) async fn begin(&mut self, wanted: &[&str]) {
        if self.service.is_none() {
            self.service = Some(self.start());
        }
        self.run += 1;
        let run = NewRun {
            run: RunId(self.run),
            source: SourceRef {
                namespace: "shop".into(),
                name: "app".into(),
            },
            max_jobs: None,
            needs: self.plan(wanted),
            durations: HashMap::new(),
        };
        let (builds, _) = self.service.as_ref().unwrap();
        self.progress = Some(builds.add(run).await.unwrap().unwrap());
    }

    /// The derivations that have a Job, as the executor knows it.
    pub(crate) async fn jobs(&self) -> Vec<StorePath> {
        let (builds, _) = self.service.as_ref().unwrap();
        let jobs = builds.jobs().await.unwrap().unwrap_or_default();
        jobs.into_iter().map(|job| job.derivation).collect()
    }

    /// The run that was begun last is not needed any more.
    pub(crate) async fn remove_run(&mut self) {
        let (builds, _) = self.service.as_ref().unwrap();
        builds.remove(RunId(self.run)).await.unwrap();
    }

    pub(crate) fn progress(&self) -> RunProgress {
        self.progress.as_ref().unwrap().borrow().clone()
    }

    /// Waits for the run that was begun last.
    pub(crate) async fn wait(&mut self, until: impl Fn(&RunProgress) -> bool) -> RunProgress {
        let mut progress = self.progress.clone().unwrap();
        let waited = progress.wait_for(|it| until(it));
        let waited = tokio::time::timeout(Duration::from_mins(2), waited).await;
        let found = waited.ok().map(|found| found.unwrap().clone());
        found.unwrap_or_else(|| panic!("waited too long: {:?}", self.progress()))
    }

    /// A run, to its end.
    pub(crate) async fn run(&mut self, wanted: &[&str]) -> RunProgress {
        self.begin(wanted).await;
        self.wait(RunProgress::is_done).await
    }
}
