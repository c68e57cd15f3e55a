//! A namespace on a real API server, a kubelet that is made up, and a service that builds there.

mod kubelet;
mod site;

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use niphas_build_jobs::job::{FIELD_MANAGER, Settings};
use serde_json::json;

pub(crate) use kubelet::{Fate, Kubelet};
pub(crate) use site::Site;

/// A namespace of its own.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) kubelet: Kubelet,
}

impl Cluster {
    /// None where there is no cluster for tests.
    #[expect(clippy::print_stdout, reason = "a test that does nothing says so")]
    pub(crate) async fn new(name: &str) -> Option<Self> {
        if std::env::var_os("NIPHAS_TEST_CLUSTER").is_none() {
            println!("skipped: NIPHAS_TEST_CLUSTER is not set: run ci/build-jobs");
            return None;
        }
        let client = Client::try_default().await.unwrap();
        let namespace = format!("builds-{name}");
        let object: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": namespace } })).unwrap();
        let namespaces = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        let account: ServiceAccount =
            serde_json::from_value(json!({ "metadata": { "name": "niphas-build" } })).unwrap();
        let accounts = Api::namespaced(client.clone(), &namespace);
        accounts
            .create(&PostParams::default(), &account)
            .await
            .unwrap();
        Some(Self {
            kubelet: Kubelet::start(client.clone(), &namespace),
            client,
            namespace,
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            ..crate::support::settings()
        }
    }

    pub(crate) fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn pods_of(&self, job: &Job) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let uid = job.metadata.uid.as_deref().unwrap();
        let of = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}"));
        pods.list(&of).await.unwrap().items
    }

    /// The Job as the server would have it; unknown fields are errors.
    pub(crate) async fn dry_run(&self, job: &Job) -> Job {
        let path = format!(
            "/apis/batch/v1/namespaces/{}/jobs?dryRun=All&fieldValidation=Strict&fieldManager={FIELD_MANAGER}",
            self.namespace
        );
        let mut job = serde_json::to_value(job).unwrap();
        job["apiVersion"] = json!("batch/v1");
        job["kind"] = json!("Job");
        let body = serde_json::to_vec(&job).unwrap();
        let request = http::Request::post(path).header("Content-Type", "application/json");
        let answer = self.client.request(request.body(body).unwrap()).await;
        answer.unwrap_or_else(|error| panic!("{error}\n{job:#}"))
    }

    /// Something that Jobs can be removed with.
    pub(crate) async fn owner(&self) -> OwnerReference {
        let object: ConfigMap =
            serde_json::from_value(json!({ "metadata": { "name": "service" } })).unwrap();
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let made = maps.create(&PostParams::default(), &object).await.unwrap();
        OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: "service".to_owned(),
            uid: made.metadata.uid.unwrap(),
            ..OwnerReference::default()
        }
    }
}

/// Looks again and again until there is something.
pub(crate) async fn eventually<T>(
    what: &str,
    patience: Duration,
    look: impl AsyncFn() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Numbers that look random, the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
