//! The Jobs and pods of builds, as watches report them. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use nix_formats::StorePath;

use super::{Memory, memory};
use crate::job::JobIdentity;
use crate::standing::{Patience, Standing, standing};

/// A Job of a build.
#[derive(Debug, Clone)]
pub struct JobView {
    /// What it says of itself.
    pub identity: JobIdentity,
    /// The Job.
    pub job: Arc<Job>,
}

/// The Jobs and pods of builds. Jobs that others made are not among them.
#[derive(Debug, Default)]
pub struct Observed {
    jobs: BTreeMap<String, JobView>,
    /// By the UID of the Job that owns them, and by name.
    pods: HashMap<String, BTreeMap<String, Pod>>,
    /// Those that were there when a new list began, and are not on it yet.
    unlisted_jobs: BTreeSet<String>,
    unlisted_pods: BTreeSet<(String, String)>,
    are_jobs_listed: bool,
    are_pods_listed: bool,
}

/// What an event changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Jobs that are new, or look different.
    pub changed: BTreeSet<String>,
    /// Jobs that are gone.
    pub gone: Vec<JobIdentity>,
}

impl Observed {
    /// Whether all has been listed once.
    pub fn is_complete(&self) -> bool {
        self.are_jobs_listed && self.are_pods_listed
    }

    /// A Job by its name.
    pub fn job(&self, name: &str) -> Option<&JobView> {
        self.jobs.get(name)
    }

    /// What all Jobs say of themselves.
    pub fn identities(&self) -> impl Iterator<Item = &JobIdentity> {
        self.jobs.values().map(|view| &view.identity)
    }

    /// The names of all Jobs.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.jobs.keys()
    }

    /// The Jobs that remember the failure of a derivation: its own, or one in whose pod it was built.
    pub fn failed(&self, derivation: &StorePath) -> Vec<Arc<Job>> {
        let is_of = |view: &&JobView| match memory(&view.job) {
            Memory::Nothing => false,
            Memory::Retried => view.identity.derivation == *derivation,
            Memory::Failed(failure) => {
                failure
                    .derivation
                    .as_ref()
                    .unwrap_or(&view.identity.derivation)
                    == derivation
            }
        };
        let jobs = self.jobs.values().filter(is_of);
        jobs.map(|view| Arc::clone(&view.job)).collect()
    }

    /// How a Job is.
    pub fn standing(&self, name: &str, now: Timestamp, patience: Patience) -> Option<Standing> {
        let view = self.jobs.get(name)?;
        let pods = view
            .job
            .metadata
            .uid
            .as_ref()
            .and_then(|uid| self.pods.get(uid));
        let pods: Vec<&Pod> = pods.into_iter().flat_map(BTreeMap::values).collect();
        Some(standing(&view.job, &view.identity, &pods, now, patience))
    }

    /// A watch of Jobs reports something.
    pub fn jobs(&mut self, event: Event<Job>) -> Changes {
        let mut changes = Changes::default();
        match event {
            Event::Init => self.unlisted_jobs = self.jobs.keys().cloned().collect(),
            Event::InitApply(job) | Event::Apply(job) => {
                let name = job.metadata.name.clone().unwrap_or_default();
                self.unlisted_jobs.remove(&name);
                self.put(name, job, &mut changes);
            }
            Event::Delete(job) => {
                self.take(
                    job.metadata.name.as_deref().unwrap_or_default(),
                    &mut changes,
                );
            }
            Event::InitDone => {
                for name in std::mem::take(&mut self.unlisted_jobs) {
                    self.take(&name, &mut changes);
                }
                self.are_jobs_listed = true;
            }
        }
        changes
    }

    fn put(&mut self, name: String, job: Job, changes: &mut Changes) {
        let before = self.jobs.get(&name);
        if before.is_some_and(|it| it.job.metadata.uid != job.metadata.uid) {
            self.take(&name, changes);
        }
        let Ok(identity) = JobIdentity::of(&job) else {
            self.take(&name, changes);
            return;
        };
        let job = Arc::new(job);
        changes.changed.insert(name.clone());
        self.jobs.insert(name, JobView { identity, job });
    }

    fn take(&mut self, name: &str, changes: &mut Changes) {
        if let Some(view) = self.jobs.remove(name) {
            changes.gone.push(view.identity);
        }
    }

    /// A watch of pods reports something.
    pub fn pods(&mut self, event: Event<Pod>) -> Changes {
        let mut changes = Changes::default();
        match event {
            Event::Init => {
                let all = self.pods.iter();
                self.unlisted_pods = all
                    .flat_map(|(uid, pods)| pods.keys().map(|name| (uid.clone(), name.clone())))
                    .collect();
            }
            Event::InitApply(pod) | Event::Apply(pod) => {
                if let Some((owner, job)) = owner(&pod) {
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    self.unlisted_pods.remove(&(owner.clone(), name.clone()));
                    self.pods.entry(owner).or_default().insert(name, pod);
                    changes.changed.insert(job);
                }
            }
            Event::Delete(pod) => {
                if let Some((owner, job)) = owner(&pod) {
                    self.take_pod(&owner, pod.metadata.name.as_deref().unwrap_or_default());
                    changes.changed.insert(job);
                }
            }
            Event::InitDone => {
                for (owner, name) in std::mem::take(&mut self.unlisted_pods) {
                    self.take_pod(&owner, &name);
                    let jobs = self.jobs.iter();
                    let of = jobs.filter(|(_, it)| it.job.metadata.uid.as_ref() == Some(&owner));
                    changes.changed.extend(of.map(|(name, _)| name.clone()));
                }
                self.are_pods_listed = true;
            }
        }
        changes
    }

    fn take_pod(&mut self, owner: &str, name: &str) {
        if let Some(pods) = self.pods.get_mut(owner) {
            pods.remove(name);
            if pods.is_empty() {
                self.pods.remove(owner);
            }
        }
    }
}

/// The UID and name of the Job that controls a pod.
fn owner(pod: &Pod) -> Option<(String, String)> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let job = owners.find(|it| it.controller == Some(true) && it.kind == "Job")?;
    Some((job.uid.clone(), job.name.clone()))
}
