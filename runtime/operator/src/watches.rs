//! The watches: what they tell is kept in mind, and the workloads that it concerns are named.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event as KubeEvent, Node, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use niphas_api::{NiphasWorkload, WORKLOAD_LABEL};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::apply;
use crate::child::{Child, Seen, workload_of};
use crate::kinds::{KINDS, Kind};
use crate::observed::{Observed, WorkloadKey};
use crate::pods::{MountFailure, PendingPod};
use crate::reconcile::Context;

/// How many objects to ask for at once: what is read at once is memory for a while.
const PAGE: u32 = 100;

/// How often to look whether a kind that the cluster does not know was installed.
const UNKNOWN_KIND: Duration = Duration::from_mins(2);

/// The label that nodes tell their architecture by.
const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";

/// Where the names of workloads go that have to be looked at.
pub(crate) type Queue = mpsc::Sender<ObjectRef<NiphasWorkload>>;

/// All watches, as long as they run.
pub(crate) struct Watches {
    client: Client,
    observed: Arc<Observed>,
    queue: Queue,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// One for each watch: whether it has listed all there is.
    listed: Vec<watch::Receiver<bool>>,
}

impl Watches {
    pub(crate) fn new(
        client: Client,
        observed: Arc<Observed>,
        queue: Queue,
        stop: CancellationToken,
    ) -> Self {
        Self {
            client,
            observed,
            queue,
            stop,
            tasks: TaskTracker::new(),
            listed: Vec::new(),
        }
    }

    /// Starts all but the workloads' own.
    pub(crate) fn start(&mut self, workloads: &Store<NiphasWorkload>) {
        for kind in &KINDS {
            if kind.makes_pods {
                let api = Api::<Seen>::all_with(self.client.clone(), &kind.resource());
                self.children(kind, api, move |seen| Child::maker(kind, seen));
            } else {
                let resource = kind.resource();
                let api = Api::<PartialObjectMeta<Seen>>::all_with(self.client.clone(), &resource);
                self.children(kind, api, move |seen| Child::new(kind, &seen.metadata));
            }
        }
        self.pods();
        self.mount_failures();
        self.nodes(workloads.clone());
    }

    /// Waits until every watch has told all there is, or the end is near. Gives whether it has.
    pub(crate) async fn listed(&mut self) -> bool {
        for listed in &mut self.listed {
            tokio::select! {
                listed = listed.wait_for(|listed| *listed) => if listed.is_err() { return false },
                () = self.stop.cancelled() => return false,
            }
        }
        true
    }

    /// Ends all watches. Nothing comes to the queue any more after that.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The workloads themselves; gives where they can be read.
    pub(crate) fn workloads(&mut self, context: Arc<Context>) -> Store<NiphasWorkload> {
        let mut writer = Writer::<NiphasWorkload>::new(());
        let store = writer.as_reader();
        let api = Api::all(self.client.clone());
        let known = store.clone();
        self.watch("NiphasWorkload", true, api, watching(), move |event| {
            let event = event.modify(|workload: &mut NiphasWorkload| {
                // What is not looked at takes no memory.
                workload.metadata.managed_fields = None;
                if let Some(annotations) = &mut workload.metadata.annotations {
                    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                }
            });
            let before = match &event {
                // Whoever was there before and is not any more is found when all were listed.
                Event::InitDone => known.state(),
                _ => Vec::new(),
            };
            writer.apply_watcher_event(&event);
            for workload in before {
                if known.get(&ObjectRef::from_obj(&*workload)).is_none() {
                    context.forget(&workload.uid().unwrap_or_default());
                }
            }
            match event {
                Event::Apply(workload) | Event::InitApply(workload) => {
                    vec![ObjectRef::from_obj(&workload)]
                }
                Event::Delete(workload) => {
                    context.forget(&workload.uid().unwrap_or_default());
                    Vec::new()
                }
                Event::Init | Event::InitDone => Vec::new(),
            }
        });
        store
    }

    fn children<K>(
        &mut self,
        kind: &'static Kind,
        api: Api<K>,
        child: impl Fn(&K) -> Child + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let observed = Arc::clone(&self.observed);
        let config = watching().labels(WORKLOAD_LABEL);
        self.watch(kind.name, kind.built_in, api, config, move |event| {
            match event {
                Event::Init => {
                    observed.children_listing(kind);
                    Vec::new()
                }
                Event::InitDone => observed.children_listed(kind),
                Event::Apply(object) | Event::InitApply(object) => {
                    let workload = key_of(object.meta());
                    if let Some(workload) = &workload {
                        observed.child_seen(workload.clone(), child(&object));
                    }
                    workload.into_iter().collect()
                }
                Event::Delete(object) => {
                    let workload = key_of(object.meta());
                    if let Some(workload) = &workload {
                        let child = child(&object);
                        observed.child_gone(workload, &child.key, &child.uid);
                    }
                    workload.into_iter().collect()
                }
            }
            .into_iter()
            .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
            .collect()
        });
    }

    fn pods(&mut self) {
        let observed = Arc::clone(&self.observed);
        let api = Api::<Pod>::all(self.client.clone());
        let config = watching()
            .labels(WORKLOAD_LABEL)
            .fields("status.phase=Pending");
        self.watch("Pod", true, api, config, move |event| {
            match event {
                Event::Init => {
                    observed.pods_listing();
                    Vec::new()
                }
                Event::InitDone => observed.pods_listed(),
                Event::Apply(pod) | Event::InitApply(pod) => PendingPod::of(&pod)
                    .filter(|pod| observed.pod_pending(pod))
                    .map(|pod| (pod.namespace, pod.workload))
                    .into_iter()
                    .collect(),
                Event::Delete(pod) => {
                    observed.pod_left(&pod.uid().unwrap_or_default());
                    key_of(pod.meta()).into_iter().collect()
                }
            }
            .into_iter()
            .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
            .collect()
        });
    }

    fn mount_failures(&mut self) {
        let observed = Arc::clone(&self.observed);
        let api = Api::<KubeEvent>::all(self.client.clone());
        let config = watching().fields("involvedObject.kind=Pod,reason=FailedMount");
        self.watch("Event", true, api, config, move |event| {
            match event {
                Event::Init => {
                    observed.mount_failures_listing();
                    None
                }
                Event::InitDone => None,
                Event::Apply(event) | Event::InitApply(event) => {
                    MountFailure::of(&event).and_then(|failure| observed.mount_failed(failure))
                }
                Event::Delete(event) => {
                    let pod = event.involved_object.uid.unwrap_or_default();
                    observed.mount_failure_forgotten(&pod);
                    None
                }
            }
            .into_iter()
            .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
            .collect()
        });
    }

    /// The nodes' architectures. Whether a workload can run anywhere depends on them, so all are looked at when they change.
    fn nodes(&mut self, workloads: Store<NiphasWorkload>) {
        let observed = Arc::clone(&self.observed);
        let api = Api::<PartialObjectMeta<Node>>::all(self.client.clone());
        let mut listed = BTreeSet::new();
        self.watch("Node", true, api, watching(), move |event| {
            let is_news = match event {
                Event::Init => {
                    listed.clear();
                    false
                }
                Event::InitDone => observed.nodes_listed(&listed),
                Event::Apply(node) | Event::InitApply(node) => {
                    listed.insert(node.name_any());
                    let architecture = node.labels().get(ARCHITECTURE_LABEL).cloned();
                    observed.node_seen(node.name_any(), architecture.unwrap_or_default())
                }
                Event::Delete(node) => observed.node_gone(&node.name_any()),
            };
            let state = if is_news {
                workloads.state()
            } else {
                Vec::new()
            };
            state
                .into_iter()
                .map(|workload| ObjectRef::from_obj(&*workload))
                .collect()
        });
    }

    /// Watches objects, and queues what `told` makes of each event. What is not `built_in` may be unknown to the cluster.
    fn watch<K>(
        &mut self,
        what: &'static str,
        built_in: bool,
        api: Api<K>,
        config: watcher::Config,
        mut told: impl FnMut(Event<K>) -> Vec<ObjectRef<NiphasWorkload>> + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let (listed, receiver) = watch::channel(false);
        self.listed.push(receiver);
        let queue = self.queue.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut events = Box::pin(watcher(api, config));
            let mut pauses = DefaultBackoff::default();
            let mut is_well = true;
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = stop.cancelled() => return,
                };
                let pause = match event {
                    None => return,
                    Some(Ok(event)) => {
                        if !is_well && !matches!(event, Event::Init) {
                            info!(what, "watching again");
                            is_well = true;
                            pauses = DefaultBackoff::default();
                        }
                        let is_listed = matches!(event, Event::InitDone);
                        for workload in told(event) {
                            if queue.send(workload).await.is_err() {
                                return;
                            }
                        }
                        if is_listed {
                            listed.send_replace(true);
                        }
                        continue;
                    }
                    Some(Err(error)) if !built_in && is_unknown(&error) => {
                        listed.send_replace(true);
                        UNKNOWN_KIND
                    }
                    Some(Err(error)) => {
                        if is_well {
                            // It says its causes itself.
                            warn!(what, %error, "cannot watch");
                            is_well = false;
                        }
                        pauses.next().unwrap_or(UNKNOWN_KIND)
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }
}

fn watching() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

fn key_of(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> Option<WorkloadKey> {
    let workload = workload_of(metadata)?.to_owned();
    Some((metadata.namespace.clone()?, workload))
}

/// Whether the cluster does not know the kind.
fn is_unknown(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => apply::is_unknown(status),
        _ => false,
    }
}
