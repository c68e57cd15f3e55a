//! What the cluster's API server knows: the members, as endpoints of a Service, and the keys of tokens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::directory::{Directory, Peer};
use crate::node::Node;
use crate::tokens::{Gate, Keys};

/// How often keys are asked for: the API server signs by new ones long after it shows them.
const KEYS_AGE: Duration = Duration::from_mins(10);

/// How soon they are asked for again if that failed.
const KEYS_PAUSE: Duration = Duration::from_secs(5);

/// The port of the Service's endpoints that serves peers.
const PORT: &str = "mesh";

/// Members that are taken from the cluster.
const MOST: usize = 16_384;

/// A Service, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Text that names no Service.
#[derive(Debug, Error)]
#[error("expected NAMESPACE/NAME, found '{0}'")]
pub struct ServiceNameError(String);

impl std::str::FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        let is_name = |part: &str| {
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !part.is_empty() && part.bytes().all(is_plain)
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(ServiceNameError(text.to_owned())),
        }
    }
}

/// Follows the endpoints of a Service until `stop`.
pub(crate) async fn follow_members(
    client: Client,
    service: ServiceName,
    node: Arc<Node>,
    stop: CancellationToken,
) {
    let slices: Api<EndpointSlice> = Api::namespaced(client, &service.namespace);
    let labels = format!("kubernetes.io/service-name={}", service.name);
    let config = watcher::Config::default().labels(&labels);
    let mut events = pin!(watcher(slices, config).default_backoff());
    // By slice: a member is in one of them. `listed` are those of a list that is being read.
    let (mut known, mut listed) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Err(error)) => {
                warn!(
                    error = nix_formats::chain(&error),
                    "failed to follow the members; they stay as they were"
                );
                continue;
            }
            Some(Ok(Event::Init)) => {
                listed.clear();
                continue;
            }
            Some(Ok(Event::InitApply(slice))) => {
                listed.insert(slice.name_any(), peers(&slice));
                continue;
            }
            Some(Ok(Event::InitDone)) => known = std::mem::take(&mut listed),
            Some(Ok(Event::Apply(slice))) => {
                known.insert(slice.name_any(), peers(&slice));
            }
            Some(Ok(Event::Delete(slice))) => {
                known.remove(&slice.name_any());
            }
        }
        let members: Vec<Peer> = known.values().flatten().take(MOST).cloned().collect();
        info!(members = members.len(), "the members changed");
        node.set_directory(Directory::new(members));
    }
}

/// The members of a slice: those that serve, also while they end.
fn peers(slice: &EndpointSlice) -> Vec<Peer> {
    let ports = slice.ports.iter().flatten();
    let named = ports.filter(|port| port.name.as_deref() == Some(PORT));
    let Some(port) = named
        .filter_map(|port| port.port)
        .find_map(|port| u16::try_from(port).ok())
    else {
        return Vec::new();
    };
    let serving = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        let serves = conditions.and_then(|conditions| conditions.serving.or(conditions.ready));
        serves.unwrap_or(true)
    });
    let peers = serving.filter_map(|endpoint| {
        let address = endpoint.addresses.first()?.parse().ok()?;
        Some(Peer {
            name: endpoint.node_name.clone()?,
            zone: endpoint.zone.clone().unwrap_or_default(),
            weight: 1,
            address: SocketAddr::new(address, port),
        })
    });
    peers.collect()
}

/// Keeps the keys of tokens as the API server has them, until `stop`.
pub(crate) async fn follow_keys(client: Client, gate: Arc<Gate>, stop: CancellationToken) {
    loop {
        let pause = match keys(&client).await {
            Ok(keys) => {
                gate.set_keys(keys);
                KEYS_AGE
            }
            Err(error) => {
                warn!(
                    error = format!("{error:#}"),
                    "failed to get the keys of tokens; those from before stay"
                );
                KEYS_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn keys(client: &Client) -> anyhow::Result<Keys> {
    let request = http::Request::get("/openid/v1/jwks").body(Vec::new())?;
    let text = client.request_text(request).await?;
    Ok(Keys::parse(&text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_endpoints_that_serve_on_nodes() {
        let endpoint = |address: &str, more: serde_json::Value| {
            let mut endpoint =
                json!({"addresses": [address], "nodeName": format!("node-{address}"), "zone": "a"});
            for (name, value) in more.as_object().unwrap() {
                endpoint[name] = value.clone();
            }
            endpoint
        };
        let slice = json!({
            "addressType": "IPv4",
            "metadata": {"name": "x"},
            "ports": [{"name": "pages", "port": 9813}, {"name": "mesh", "port": 9812}],
            "endpoints": [
                endpoint("10.0.0.1", json!({})),
                endpoint("10.0.0.2", json!({"conditions": {"ready": false, "serving": true, "terminating": true}})),
                endpoint("10.0.0.3", json!({"conditions": {"ready": false}})),
                endpoint("10.0.0.4", json!({"nodeName": null})),
                endpoint("host.example.org", json!({})),
                endpoint("fd00::1", json!({"zone": null})),
            ],
        });
        let mut slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let found: Vec<String> = peers(&slice)
            .iter()
            .map(|peer| format!("{} {} {}", peer.name, peer.zone, peer.address))
            .collect();
        assert_eq!(
            found,
            [
                "node-10.0.0.1 a 10.0.0.1:9812",
                "node-10.0.0.2 a 10.0.0.2:9812",
                "node-fd00::1  [fd00::1]:9812",
            ]
        );
        slice.ports = None;
        assert_eq!(peers(&slice), []);
    }

    #[test]
    fn services_have_a_namespace_and_a_name() {
        let name = |text: &str| {
            text.parse::<ServiceName>()
                .map(|name| (name.namespace, name.name))
                .ok()
        };
        assert_eq!(
            name("niphas-system/mesh"),
            Some(("niphas-system".to_owned(), "mesh".to_owned()))
        );
        for text in ["", "mesh", "/mesh", "a/", "a/b/c", "a/b,c=d", "A/b"] {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
