//! Events on pods, for those who look at a pod that does not start: `kubectl describe pod`.
//!
//! They are a courtesy: sending them never holds up a volume, and one that cannot be sent is dropped and counted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::identity::DRIVER;
use crate::metrics::Metrics;
use crate::pod::Pod;

/// The same event of the same volume is not sent again so soon.
const QUIET: Duration = Duration::from_mins(5);
/// Kubernetes takes no longer messages.
const MAX_MESSAGE: usize = 1024;
/// Events that wait to be sent.
const QUEUE: usize = 64;

/// What kind of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// It takes longer than kubelet waits, and goes on.
    Realising,
    /// It cannot be.
    Refused,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Realising => "RealisingClosure",
            Self::Refused => "ClosureRefused",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Realising => "Normal",
            Self::Refused => "Warning",
        }
    }
}

/// What was sent last of each volume and reason, and when.
type Sent = HashMap<(String, Reason), (String, Instant)>;

/// Sends events; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    queue: Option<mpsc::Sender<Box<Event>>>,
    node: String,
    metrics: Metrics,
    sent: Arc<Mutex<Sent>>,
}

impl Events {
    /// Sends nothing.
    pub(crate) fn none(metrics: Metrics) -> Self {
        Self {
            queue: None,
            node: String::new(),
            metrics,
            sent: Arc::default(),
        }
    }

    /// Sends events through this client.
    pub(crate) fn new(client: Client, node: String, metrics: Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(send(client, waiting, metrics.clone()));
        Self {
            queue: Some(queue),
            node,
            metrics,
            sent: Arc::default(),
        }
    }

    /// Tells of a volume.
    pub(crate) fn tell(&self, volume: &str, pod: &Pod, reason: Reason, message: &str) {
        let Some(queue) = &self.queue else { return };
        if !pod.is_known() {
            return;
        }
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.retain(|_, (_, when)| when.elapsed() < QUIET);
            let key = (volume.to_owned(), reason);
            let again = sent
                .get(&key)
                // Progress differs every time; refusals are worth telling if they are other ones.
                .is_some_and(|(told, _)| reason == Reason::Realising || told == message);
            if again {
                return;
            }
            sent.insert(key, (message.to_owned(), Instant::now()));
        }
        let event = event(pod, &self.node, reason, message, Timestamp::now());
        if queue.try_send(Box::new(event)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

fn event(pod: &Pod, node: &str, reason: Reason, message: &str, now: Timestamp) -> Event {
    let mut message = message.to_owned();
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE - 3));
        message.push('…');
    }
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", pod.name, now.as_nanosecond())),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            uid: Some(pod.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        },
        reason: Some(reason.name().to_owned()),
        type_: Some(reason.kind().to_owned()),
        message: Some(message),
        action: Some("MountClosure".to_owned()),
        count: Some(1),
        event_time: Some(MicroTime(now)),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(DRIVER.to_owned()),
            host: Some(node.to_owned()),
        }),
        reporting_component: Some(DRIVER.to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Event::default()
    }
}

async fn send(client: Client, mut waiting: mpsc::Receiver<Box<Event>>, metrics: Metrics) {
    while let Some(event) = waiting.recv().await {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => debug!(namespace, reason = event.reason, "event sent"),
            Err(error) => {
                metrics.event_dropped();
                warn!(
                    namespace,
                    error = nix_formats::chain(&error),
                    "an event could not be sent"
                );
            }
        }
    }
}

/// A client for the cluster that this runs in, or of a kubeconfig file. None outside of a cluster.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Option<Client>> {
    let Some(mut config) = niphas_daemon::cluster(kubeconfig).await? else {
        return Ok(None);
    };
    config.read_timeout = Some(Duration::from_secs(20));
    Ok(Some(Client::try_from(config)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        Pod {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            uid: "7".to_owned(),
        }
    }

    #[test]
    fn events_are_on_the_pod() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let message = "x".repeat(2000);
        let event = event(&pod(), "node-1", Reason::Refused, &message, now);
        assert!(event.message.as_ref().unwrap().len() <= MAX_MESSAGE);
        let event = Event {
            message: None,
            ..event
        };
        insta::assert_snapshot!(niphas_api::to_yaml(&event).unwrap(), @r#"
        action: MountClosure
        apiVersion: v1
        count: 1
        eventTime: "2023-11-14T22:13:20.000000Z"
        firstTimestamp: "2023-11-14T22:13:20Z"
        involvedObject:
          apiVersion: v1
          kind: Pod
          name: web-0
          namespace: shop
          uid: "7"
        kind: Event
        lastTimestamp: "2023-11-14T22:13:20Z"
        metadata:
          name: web-0.17979cfe362a0000
          namespace: shop
        reason: ClosureRefused
        reportingComponent: csi.niphas.io
        reportingInstance: node-1
        source:
          component: csi.niphas.io
          host: node-1
        type: Warning
        "#);
    }

    #[tokio::test]
    async fn the_same_is_told_once() {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let events = Events {
            queue: Some(queue),
            ..Events::none(Metrics::default())
        };
        events.tell("a", &pod(), Reason::Realising, "1 of 2");
        events.tell("a", &pod(), Reason::Realising, "2 of 2");
        events.tell("a", &pod(), Reason::Refused, "no signature");
        events.tell("a", &pod(), Reason::Refused, "no signature");
        events.tell("b", &pod(), Reason::Refused, "no signature");
        events.tell("c", &Pod::default(), Reason::Refused, "no signature");
        drop(events);
        let mut told = Vec::new();
        while let Some(event) = waiting.recv().await {
            told.push(event.message.unwrap());
        }
        assert_eq!(told, ["1 of 2", "no signature", "no signature"]);
    }
}
