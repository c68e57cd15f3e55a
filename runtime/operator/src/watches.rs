//! The watches: what they tell is kept in mind, and the workloads that it concerns are named.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Body;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use niphas_api::{NiphasWorkload, WORKLOAD_LABEL};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::apply;
use crate::child::{Child, Seen};
use crate::kinds::{KINDS, Kind};
use crate::metadata::kept;
use crate::observed::{Observed, Scope, WorkloadKey};
use crate::pods::{MountFailure, PendingPod, PodKey, SeenEvent, SeenPod};
use crate::reconcile::Context;

/// How many objects' metadata to ask for at once: what is read at once is memory for a while. Who fills it can have near 1 MB each.
const PAGE: u32 = 16;

/// How many whole objects to ask for at once. Each may have 1.5 MB.
const PAGE_OF_WHOLE: u32 = 4;

/// How many kinds are listed at once.
const LISTED_AT_ONCE: usize = 2;

/// How often to look whether a kind that the cluster does not know was installed.
const UNKNOWN_KIND: Duration = Duration::from_mins(2);

/// The label that nodes tell their architecture by.
const ARCHITECTURE_LABEL: &str = "kubernetes.io/arch";

/// A workload, less what the operator does not look at as long as nothing changes.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = NiphasWorkload)]
pub(crate) struct SeenWorkload {
    #[serde(deserialize_with = "kept")]
    pub(crate) metadata: ObjectMeta,
}

/// A node, less what the operator does not look at.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = Node)]
struct SeenNode {
    metadata: ObjectMeta,
}

/// Where the names of workloads go that have to be looked at.
pub(crate) type Queue = mpsc::Sender<ObjectRef<SeenWorkload>>;

/// All watches, as long as they run.
pub(crate) struct Watches {
    client: Client,
    /// Asks for the metadata of objects and for nothing else of them.
    metadata: Client,
    /// One for each namespace that is watched.
    scopes: Vec<Scope>,
    observed: Arc<Observed>,
    queue: Queue,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Who may list.
    listing: Arc<Semaphore>,
    /// One for each watch: whether it has listed all there is.
    listed: Vec<watch::Receiver<bool>>,
}

impl Watches {
    /// Watches `namespaces`, or all if there are none.
    pub(crate) fn new(
        client: Client,
        namespaces: Vec<String>,
        observed: Arc<Observed>,
        queue: Queue,
        stop: CancellationToken,
    ) -> Self {
        let mut scopes: Vec<Scope> = namespaces.into_iter().map(Some).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        Self {
            metadata: metadata_only(client.clone()),
            client,
            scopes,
            observed,
            queue,
            stop,
            tasks: TaskTracker::new(),
            listing: Arc::new(Semaphore::new(LISTED_AT_ONCE)),
            listed: Vec::new(),
        }
    }

    /// Starts all but the workloads' own.
    pub(crate) fn start(&mut self, workloads: &Store<SeenWorkload>) {
        for scope in self.scopes.clone() {
            for kind in &KINDS {
                self.children(kind, &scope);
            }
            let pods = self.pods(&scope);
            self.mount_failures(&scope, pods);
        }
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
    pub(crate) fn workloads(&mut self, context: &Arc<Context>) -> Store<SeenWorkload> {
        let mut writer = Writer::<SeenWorkload>::new(());
        let store = writer.as_reader();
        // Ready from the start, or nothing is reconciled; lists of several namespaces could not each replace all there is.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let writer = Arc::new(Mutex::new(writer));
        for scope in self.scopes.clone() {
            let api = scoped(self.metadata.clone(), &scope);
            let (writer, known) = (Arc::clone(&writer), store.clone());
            let context = Arc::clone(context);
            let mut unlisted = HashMap::new();
            self.watch("NiphasWorkload", true, api, watching(PAGE), move |event| {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let mut gone = |workload: SeenWorkload| {
                    context.forget(&workload.uid().unwrap_or_default());
                    writer.apply_watcher_event(&Event::Delete(workload));
                };
                match event {
                    Event::Init => {
                        let all = known.state().into_iter();
                        unlisted = all
                            .filter(|known| scope.is_none() || known.namespace() == scope)
                            .map(|known| (ObjectRef::from_obj(&*known), known))
                            .collect();
                        Vec::new()
                    }
                    Event::InitDone => {
                        for (_, workload) in unlisted.drain() {
                            gone(SeenWorkload::clone(&workload));
                        }
                        Vec::new()
                    }
                    Event::Apply(workload) | Event::InitApply(workload) => {
                        let name = ObjectRef::from_obj(&workload);
                        if let Some(before) = known.get(&name)
                            && before.uid() != workload.uid()
                        {
                            context.forget(&before.uid().unwrap_or_default());
                        }
                        unlisted.remove(&name);
                        writer.apply_watcher_event(&Event::Apply(workload));
                        vec![name]
                    }
                    Event::Delete(workload) => {
                        gone(workload);
                        Vec::new()
                    }
                }
            });
        }
        store
    }

    fn children(&mut self, kind: &'static Kind, scope: &Scope) {
        let observed = Arc::clone(&self.observed);
        // The status of what makes pods tells how the workload is; of all else the metadata is enough.
        let (client, page) = if kind.makes_pods {
            (&self.client, PAGE_OF_WHOLE)
        } else {
            (&self.metadata, PAGE)
        };
        let resource = kind.resource();
        let api: Api<Seen> = match scope {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let config = watching(page).labels(WORKLOAD_LABEL);
        let scope = scope.clone();
        self.watch(kind.name, kind.built_in, api, config, move |event| {
            let namespace = |seen: &Seen| seen.namespace().unwrap_or_default();
            names(match event {
                Event::Init => {
                    observed.children_listing(kind, &scope);
                    BTreeSet::new()
                }
                Event::InitDone => observed.children_listed(kind, &scope),
                Event::Apply(seen) | Event::InitApply(seen) => {
                    observed.child_seen(&namespace(&seen), Child::of(kind, &seen))
                }
                // Gone, or without its label.
                Event::Delete(seen) => {
                    observed.child_gone(&namespace(&seen), &Child::of(kind, &seen))
                }
            })
        });
    }

    /// Gives whether all were listed.
    fn pods(&mut self, scope: &Scope) -> watch::Receiver<bool> {
        let observed = Arc::clone(&self.observed);
        let api = scoped::<SeenPod>(self.client.clone(), scope);
        let config = watching(PAGE_OF_WHOLE)
            .labels(WORKLOAD_LABEL)
            .fields("status.phase=Pending");
        let scope = scope.clone();
        self.watch("Pod", true, api, config, move |event| {
            names(match event {
                Event::Init => {
                    observed.pods_listing(&scope);
                    BTreeSet::new()
                }
                Event::InitDone => observed.pods_listed(&scope),
                Event::Apply(pod) | Event::InitApply(pod) => match PendingPod::of(&pod) {
                    Some(pod) => observed.pod_pending(pod),
                    None => BTreeSet::new(),
                },
                Event::Delete(pod) => observed
                    .pod_left(&PodKey::of(pod.meta()))
                    .into_iter()
                    .collect(),
            })
        })
    }

    /// What could not be mounted into the pods. Of others than those that have not started nothing is kept, so those come first.
    fn mount_failures(&mut self, scope: &Scope, pods: watch::Receiver<bool>) {
        let observed = Arc::clone(&self.observed);
        let api = scoped::<SeenEvent>(self.client.clone(), scope);
        let config = watching(PAGE_OF_WHOLE).fields("involvedObject.kind=Pod,reason=FailedMount");
        self.watch_after(Some(pods), "Event", true, (api, config), move |event| {
            names(match event {
                Event::Init | Event::InitDone => None,
                Event::Apply(event) | Event::InitApply(event) => {
                    MountFailure::of(&event).and_then(|failure| observed.mount_failed(failure))
                }
                Event::Delete(event) => {
                    if let Some(failure) = MountFailure::of(&event) {
                        observed.mount_failure_forgotten(&failure.pod);
                    }
                    None
                }
            })
        });
    }

    /// The nodes' architectures. Whether a workload can run anywhere depends on them, so all are looked at when they change.
    fn nodes(&mut self, workloads: Store<SeenWorkload>) {
        let observed = Arc::clone(&self.observed);
        let api = Api::<SeenNode>::all(self.metadata.clone());
        let mut listed = BTreeSet::new();
        self.watch("Node", true, api, watching(PAGE), move |event| {
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

    fn watch<K>(
        &mut self,
        what: &'static str,
        built_in: bool,
        api: Api<K>,
        config: watcher::Config,
        told: impl FnMut(Event<K>) -> Vec<ObjectRef<SeenWorkload>> + Send + 'static,
    ) -> watch::Receiver<bool>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        self.watch_after(None, what, built_in, (api, config), told)
    }

    /// Watches objects, once `first` is listed, and queues what `told` makes of each event. What is not `built_in` may be
    /// unknown to the cluster. Gives whether all were listed.
    fn watch_after<K>(
        &mut self,
        first: Option<watch::Receiver<bool>>,
        what: &'static str,
        built_in: bool,
        (api, config): (Api<K>, watcher::Config),
        mut told: impl FnMut(Event<K>) -> Vec<ObjectRef<SeenWorkload>> + Send + 'static,
    ) -> watch::Receiver<bool>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let (listed, receiver) = watch::channel(false);
        self.listed.push(receiver.clone());
        let queue = self.queue.clone();
        let stop = self.stop.clone();
        let listing = Arc::clone(&self.listing);
        self.tasks.spawn(async move {
            if let Some(mut first) = first {
                tokio::select! {
                    _ = first.wait_for(|listed| *listed) => {}
                    () = stop.cancelled() => return,
                }
            }
            // Pages are memory: only some kinds are listed at once.
            let mut turn: Option<OwnedSemaphorePermit> = None;
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
                        if matches!(event, Event::Init) && turn.is_none() {
                            tokio::select! {
                                given = Arc::clone(&listing).acquire_owned() => turn = given.ok(),
                                () = stop.cancelled() => return,
                            }
                        }
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
                            turn = None;
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
                turn = None;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
        receiver
    }
}

fn watching(page: u32) -> watcher::Config {
    watcher::Config::default().page_size(page)
}

fn scoped<K>(client: Client, scope: &Scope) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// A client that asks for objects' metadata, whatever it asks for.
pub(crate) fn metadata_only(client: Client) -> Client {
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let client = client.clone();
        let query = request.uri().query().unwrap_or_default();
        let is_list = request.method() == Method::GET && !query.contains("watch=true");
        let accept = HeaderValue::from_static(if is_list {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        } else {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        });
        request.headers_mut().insert(ACCEPT, accept);
        async move { client.send(request).await }
    });
    Client::new(service, "default")
}

fn names(workloads: impl IntoIterator<Item = WorkloadKey>) -> Vec<ObjectRef<SeenWorkload>> {
    workloads
        .into_iter()
        .map(|workload| ObjectRef::new(&workload.name).within(&workload.namespace))
        .collect()
}

/// Whether the cluster does not know the kind.
fn is_unknown(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => apply::is_unknown(status),
        _ => false,
    }
}
