//! Writes what happens to pods, as a kubelet does.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use niphas_build_jobs::job::{DERIVATION_LABEL, JobIdentity, job_name};
use nix_formats::StorePath;
use serde_json::{Value, json};

/// What happens to a pod. Without any it ends well.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// The agent ends with this code; with 0, it delivered all.
    Exits(i32),
    /// And says something.
    Says(i32, String),
    /// The agent ends well, and delivered nothing.
    Lies,
    /// The kernel ends it.
    OutOfMemory,
    /// The node has no room for it any more.
    Evicted,
    /// Its image is not there.
    NoImage,
    /// It runs on and on.
    Hangs,
}

#[derive(Default)]
struct State {
    /// By the hash parts of derivations.
    fates: HashMap<String, VecDeque<Fate>>,
    pods: HashMap<String, usize>,
    built: HashMap<String, usize>,
    running: HashMap<String, usize>,
    most_at_once: usize,
    /// The hash parts of what the cache has.
    cache: HashSet<String>,
}

/// Writes what happens to pods, until it is dropped.
pub(crate) struct Kubelet {
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    pub(crate) fn start(client: Client, namespace: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let pods = Api::namespaced(client.clone(), namespace);
        let jobs = Api::namespaced(client, namespace);
        Self {
            task: tokio::spawn(watch(pods, jobs, Arc::clone(&state))),
            state,
        }
    }

    /// What happens to the pods of a derivation, one after the other.
    pub(crate) fn fates(&self, derivation: &StorePath, fates: &[Fate]) {
        let mut state = self.state.lock().unwrap();
        let fates = fates.iter().cloned().collect();
        state.fates.insert(derivation.hash_part().to_owned(), fates);
    }

    /// Pods that there were for a derivation.
    pub(crate) fn pods(&self, derivation: &StorePath) -> usize {
        let state = self.state.lock().unwrap();
        state
            .pods
            .get(derivation.hash_part())
            .copied()
            .unwrap_or_default()
    }

    /// How often a derivation was built, in any pod.
    pub(crate) fn built(&self, derivation: &StorePath) -> usize {
        let state = self.state.lock().unwrap();
        state
            .built
            .get(derivation.hash_part())
            .copied()
            .unwrap_or_default()
    }

    /// The most pods of one derivation at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().most_at_once
    }

    /// Looks into the cache.
    pub(crate) fn cache(&self) -> impl Fn(&StorePath) -> bool + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move |derivation| state.lock().unwrap().cache.contains(derivation.hash_part())
    }
}

type Jobs = Api<k8s_openapi::api::batch::v1::Job>;

async fn watch(pods: Api<Pod>, jobs: Jobs, state: Arc<Mutex<State>>) {
    let mut tasks: BTreeMap<String, tokio::task::JoinHandle<()>> = BTreeMap::new();
    let mut events = pin!(watcher(pods.clone(), watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let uid = pod.uid().unwrap();
                tasks.entry(uid).or_insert_with(|| {
                    tokio::spawn(live(pods.clone(), jobs.clone(), pod, Arc::clone(&state)))
                });
            }
            Ok(Event::Delete(pod)) => {
                if let Some(task) = tasks.remove(&pod.uid().unwrap())
                    && !task.is_finished()
                {
                    task.abort();
                    let hash = pod.labels()[DERIVATION_LABEL].clone();
                    *state.lock().unwrap().running.entry(hash).or_default() -= 1;
                }
            }
            _ => {}
        }
    }
}

async fn live(pods: Api<Pod>, jobs: Jobs, pod: Pod, state: Arc<Mutex<State>>) {
    let hash = pod.labels()[DERIVATION_LABEL].clone();
    let name = pod.name_any();
    let fate = {
        let mut state = state.lock().unwrap();
        *state.pods.entry(hash.clone()).or_default() += 1;
        let running = state.running.entry(hash.clone()).or_default();
        *running += 1;
        let running = *running;
        state.most_at_once = state.most_at_once.max(running);
        state.fates.get_mut(&hash).and_then(VecDeque::pop_front)
    };
    let fate = fate.unwrap_or(Fate::Exits(0));
    let write = async |status: Value| {
        let patch = Patch::Merge(json!({ "status": status }));
        let _ = pods
            .patch_status(&name, &PatchParams::default(), &patch)
            .await;
    };
    if matches!(fate, Fate::NoImage) {
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\"" } });
        write(status("Pending", &waiting)).await;
        return std::future::pending().await;
    }
    write(status(
        "Running",
        &json!({ "running": { "startedAt": "2026-12-01T00:00:00Z" } }),
    ))
    .await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let terminated = |code: i32, reason: &str, message: &str| {
        status(
            "Failed",
            &json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } }),
        )
    };
    let end = match fate {
        Fate::Hangs | Fate::NoImage => return std::future::pending().await,
        Fate::Exits(0) => {
            deliver(&jobs, &hash, &state).await;
            status(
                "Succeeded",
                &json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }),
            )
        }
        Fate::Lies => status(
            "Succeeded",
            &json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }),
        ),
        Fate::Exits(code) => terminated(code, "Error", ""),
        Fate::Says(code, words) => terminated(code, "Error", &words),
        Fate::OutOfMemory => terminated(137, "OOMKilled", ""),
        Fate::Evicted => {
            let mut status = terminated(143, "Error", "");
            status["reason"] = json!("Evicted");
            status["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet" }]);
            status
        }
    };
    {
        let mut state = state.lock().unwrap();
        *state.running.entry(hash).or_default() -= 1;
    }
    write(end).await;
}

fn status(phase: &str, state: &Value) -> Value {
    json!({
        "phase": phase,
        "containerStatuses": [{
            "name": "build", "image": "x", "imageID": "", "ready": phase == "Running", "restartCount": 0, "state": state,
        }],
    })
}

/// All that a pod builds is in the cache.
async fn deliver(jobs: &Jobs, hash: &str, state: &Mutex<State>) {
    let named = StorePath::from_base_name(format!("{hash}-x")).unwrap();
    let Ok(job) = jobs.get(&job_name(&named)).await else {
        return;
    };
    let identity = JobIdentity::of(&job).unwrap();
    let mut state = state.lock().unwrap();
    for path in identity.members.iter().chain([&identity.derivation]) {
        let hash = path.hash_part().to_owned();
        *state.built.entry(hash.clone()).or_default() += 1;
        state.cache.insert(hash);
    }
}
