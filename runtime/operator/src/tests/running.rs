//! A controller that runs against the small API server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::api_server::ApiServer;
use super::workload;
use crate::controller::{self, Settings};
use crate::metrics::Metrics;

pub(super) const GROUP: &str = "niphas.io";
pub(super) const WORKLOADS: &str = "niphasworkloads";

/// A controller that runs, until it is dropped or ended.
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(server: &ApiServer, resync: Duration) -> Self {
        Self::start_in(server, resync, &[])
    }

    pub(super) fn start_in(server: &ApiServer, resync: Duration, namespaces: &[&str]) -> Self {
        let stop = CancellationToken::new();
        let settings = Settings {
            identity: "test".to_owned(),
            base_image: niphas_api::BASE_IMAGE.to_owned(),
            resync,
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
        };
        let running = controller::run(server.client(), settings, Metrics::default(), stop.clone());
        let task = tokio::spawn(running);
        Self { stop, task }
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl ApiServer {
    pub(super) fn with(workload: &Value) -> Self {
        let server = Self::new();
        let node =
            json!({ "metadata": { "name": "node1", "labels": { "kubernetes.io/arch": "amd64" } } });
        server.put("", "nodes", node);
        server.put(GROUP, WORKLOADS, workload.clone());
        server
    }

    /// The requests until there are none for a while.
    pub(super) async fn settled(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut quiet = 0;
        while quiet < 6 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let new = self.requests();
            quiet = if new.is_empty() { quiet + 1 } else { 0 };
            all.extend(new);
        }
        all
    }

    pub(super) fn status(&self) -> Value {
        self.get(GROUP, WORKLOADS, "web").unwrap()["status"].clone()
    }

    /// The status and reason of a condition.
    pub(super) fn condition(&self, name: &str) -> String {
        let status = self.status();
        let conditions = status["conditions"].as_array().unwrap();
        let condition = conditions.iter().find(|c| c["type"] == name).unwrap();
        format!(
            "{} {}",
            condition["status"].as_str().unwrap(),
            condition["reason"].as_str().unwrap()
        )
    }

    /// What the deployment controller writes when all pods run.
    pub(super) fn rolls_out(&self) {
        self.edit("apps", "deployments", "web", |deployment| {
            deployment["status"] = json!({
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
            });
        });
    }
}

pub(super) fn json_of_workload() -> Value {
    serde_json::to_value(workload()).unwrap()
}

pub(super) const RESYNC: Duration = Duration::from_hours(1);
