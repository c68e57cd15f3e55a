//! What the operator counts and measures, for Prometheus. What controllers usually tell has its usual names.

use std::time::Duration;

use http::{Request, Response};
use kube::client::Body;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tower::{Layer, Service};

use crate::status::State;

/// The controller's name where its metrics have the names of all controllers.
const CONTROLLER: &str = "niphasworkload";

/// From nothing to do (less than a millisecond) to an API server that does not answer.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    /// `success` or `error`.
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    /// `ready`, `reconciling`, `stalled` or `suspended`.
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

/// Counters and gauges; cheap to clone, all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    requests: Family<RequestLabels, Counter>,
    leads: Family<LeaseLabels, Gauge>,
    workloads: Family<StateLabels, Gauge>,
    children: Gauge,
    changes: Family<KindLabels, Counter>,
    events_dropped: Counter,
    synced: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(histogram),
            requests: Family::default(),
            leads: Family::default(),
            workloads: Family::default(),
            children: Gauge::default(),
            changes: Family::default(),
            events_dropped: Counter::default(),
            synced: Gauge::default(),
        }
    }
}

impl Metrics {
    /// All of them under their names.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "controller_runtime_reconcile",
            "Reconciliations, by how they went",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "Time of reconciliations",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "rest_client_requests",
            "Requests to the API server, by method and status",
            self.requests.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "Whether this replica leads",
            self.leads.clone(),
        );
        let own = registry.sub_registry_with_prefix("niphas_operator");
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        own.register("build", "The operator's version", Info::new(build));
        own.register(
            "workloads",
            "Workloads, by how they are",
            self.workloads.clone(),
        );
        own.register(
            "children",
            "Objects with the label of a workload that are kept in mind",
            self.children.clone(),
        );
        own.register(
            "child_changes",
            "Children that were made, changed or removed, by kind",
            self.changes.clone(),
        );
        own.register(
            "events_dropped",
            "Events on workloads that were not sent",
            self.events_dropped.clone(),
        );
        own.register(
            "synced",
            "Whether all that is watched was listed, and workloads are reconciled",
            self.synced.clone(),
        );
        registry
    }

    pub(crate) fn reconciled(&self, time: Duration, went_well: bool) {
        let result = if went_well { "success" } else { "error" };
        self.reconciles
            .get_or_create(&ReconcileLabels {
                controller: CONTROLLER,
                result,
            })
            .inc();
        self.reconcile_seconds
            .get_or_create(&ControllerLabels {
                controller: CONTROLLER,
            })
            .observe(time.as_secs_f64());
    }

    pub(crate) fn children(&self, number: usize) {
        self.children.set(number as i64);
    }

    pub(crate) fn child_changed(&self, kind: &'static str) {
        self.changes.get_or_create(&KindLabels { kind }).inc();
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    pub(crate) fn synced(&self, synced: bool) {
        self.synced.set(i64::from(synced));
    }

    pub(crate) fn leads(&self, lease: &str, leads: bool) {
        let name = lease.to_owned();
        self.leads
            .get_or_create(&LeaseLabels { name })
            .set(i64::from(leads));
    }

    pub(crate) fn workloads(&self, states: impl Iterator<Item = State>) {
        let mut numbers = [0; 4];
        for state in states {
            numbers[state as usize] += 1;
        }
        for (state, number) in ["ready", "reconciling", "stalled", "suspended"]
            .into_iter()
            .zip(numbers)
        {
            self.workloads
                .get_or_create(&StateLabels { state })
                .set(number);
        }
    }
}

/// Counts the requests of a client.
#[derive(Debug, Clone)]
pub(crate) struct CountRequests(pub(crate) Metrics);

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            metrics: self.0.clone(),
        }
    }
}

/// A client whose requests are counted.
#[derive(Debug, Clone)]
pub(crate) struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().to_string();
        let requests = self.metrics.requests.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(_) => "<error>".to_owned(),
            };
            requests
                .get_or_create(&RequestLabels { method, code })
                .inc();
            answer
        })
    }
}
