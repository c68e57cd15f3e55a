//! What the service asks of the API server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use niphas_api::source::NiphasSource;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::queue::Key;
use crate::status::{Status, shorten};

/// The name that fields are managed under.
pub(crate) const FIELD_MANAGER: &str = "niphas-eval";

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The API server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// Waits for an answer, not for ever.
pub(crate) async fn patiently<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ClusterError::Timeout),
    }
}

/// All sources, as the watch tells.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    all: Mutex<Seen>,
    /// Something changed.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    sources: HashMap<Key, Arc<NiphasSource>>,
    /// The list was read to its end.
    is_whole: bool,
}

pub(crate) fn key_of(source: &NiphasSource) -> Key {
    Key {
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
    }
}

impl Sources {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<NiphasSource>> {
        self.seen().sources.get(key).cloned()
    }

    /// All of them; none before the list was read to its end.
    pub(crate) fn all(&self) -> Option<Vec<Arc<NiphasSource>>> {
        let seen = self.seen();
        seen.is_whole
            .then(|| seen.sources.values().cloned().collect())
    }

    /// Follows the cluster until `stop`.
    pub(crate) async fn watch(&self, client: Client, stop: CancellationToken) {
        let api: Api<NiphasSource> = Api::all(client);
        let events = watcher(api, watcher::Config::default().page_size(50)).default_backoff();
        let mut events = events.take_until(stop.cancelled()).boxed();
        let mut listed = HashMap::new();
        loop {
            match events.try_next().await {
                Ok(None) => return,
                Ok(Some(event)) => self.note(event, &mut listed),
                Err(error) => warn!(
                    error = nix_formats::chain(&error),
                    "failed to watch NiphasSources"
                ),
            }
        }
    }

    fn note(
        &self,
        event: watcher::Event<NiphasSource>,
        listed: &mut HashMap<Key, Arc<NiphasSource>>,
    ) {
        let mut seen = self.seen();
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(source) => {
                listed.insert(key_of(&source), Arc::new(source));
                return;
            }
            watcher::Event::InitDone => {
                seen.sources = std::mem::take(listed);
                seen.is_whole = true;
            }
            watcher::Event::Apply(source) => {
                seen.sources.insert(key_of(&source), Arc::new(source));
            }
            watcher::Event::Delete(source) => {
                seen.sources.remove(&key_of(&source));
            }
        }
        self.changed.notify_one();
    }
}

/// A Secret of a namespace, if there is one of the name.
pub(crate) async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Secret>, ClusterError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    patiently(api.get_opt(name)).await
}

/// Writes the status of a source.
pub(crate) async fn write_status(
    client: &Client,
    key: &Key,
    status: &Status,
) -> Result<(), ClusterError> {
    let api: Api<NiphasSource> = Api::namespaced(client.clone(), &key.namespace);
    let patch = Patch::Apply(json!({
        "apiVersion": NiphasSource::api_version(&()),
        "kind": NiphasSource::kind(&()),
        "status": status.0,
    }));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    patiently(api.patch_status(&key.name, &params, &patch)).await?;
    Ok(())
}

/// Sets an annotation of a source: how replicas tell the one that leads.
pub(crate) async fn annotate(
    client: &Client,
    key: &Key,
    annotation: &str,
    value: &str,
) -> Result<(), ClusterError> {
    let api: Api<NiphasSource> = Api::namespaced(client.clone(), &key.namespace);
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { annotation: value } } }));
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    patiently(api.patch_metadata(&key.name, &params, &patch)).await?;
    Ok(())
}

/// Sends an event on a source, for those who look at it.
pub(crate) async fn send_event(
    client: &Client,
    source: &NiphasSource,
    (is_warning, reason, note): (bool, &str, &str),
    identity: &str,
) -> Result<(), ClusterError> {
    let now = Timestamp::now();
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", source.name_any(), now.as_nanosecond())),
            namespace: source.namespace(),
            ..ObjectMeta::default()
        },
        action: Some("Run".to_owned()),
        event_time: Some(MicroTime(now)),
        // The API server takes 1024 bytes.
        note: Some(shorten(note).chars().take(300).collect()),
        reason: Some(reason.to_owned()),
        regarding: Some(source.object_ref(&())),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(identity.to_owned()),
        type_: Some(if is_warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    };
    let namespace = source.namespace().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    patiently(api.create(&PostParams::default(), &event)).await?;
    Ok(())
}
