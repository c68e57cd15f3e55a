//! What tests of several modules need.

mod api_server;
mod deploy;
mod interference;
mod reconciling;
mod running;

use niphas_api::NiphasWorkload;
use serde_json::json;

use crate::watches::SeenWorkload;

/// A Deployment with a Service, as it is in a cluster.
pub(crate) fn workload() -> NiphasWorkload {
    serde_json::from_value(json!({
        "apiVersion": "niphas.io/v1alpha1", "kind": "NiphasWorkload",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "me",
            "generation": 3, "resourceVersion": "10",
        },
        "spec": {
            "closures": [{
                "system": "x86_64-linux",
                "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0"],
                "digest": format!("sha256:{}", "0".repeat(64)),
                "narSize": 1000,
                "pathCount": 2,
            }],
            "command": ["/nix/root/bin/web"],
            "ports": { "http": { "port": 8080 } },
            "service": {},
        },
    }))
    .unwrap()
}

/// The same as a watch tells of it.
pub(crate) fn seen_workload() -> SeenWorkload {
    let value = serde_json::to_value(workload()).unwrap();
    serde_json::from_value(value).unwrap()
}
