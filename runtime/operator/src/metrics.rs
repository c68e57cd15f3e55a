//! What the operator counts and measures, for Prometheus. Metrics that all controllers have keep their usual names.

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

/// The labels of the states of workloads, in the order of [`State`], and what they mean.
const STATES: [(&str, &str); 4] = [
    ("ready", "Every pod runs the declared closures."),
    (
        "reconciling",
        "The operator or Kubernetes is still at work.",
    ),
    ("stalled", "Nothing changes until the cause is removed."),
    ("suspended", "The annotation `niphas.io/suspend` is set."),
];

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
            "Reconciliations, by result",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "Time of a reconciliation",
            Unit::Seconds,
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "rest_client_requests",
            "Requests to the API server, by method and status; without an answer, `<error>`",
            self.requests.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 while this replica leads",
            self.leads.clone(),
        );
        let own = registry.sub_registry_with_prefix("niphas_operator");
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        own.register("build", "The operator's version", Info::new(build));
        own.register("workloads", "Workloads, by state", self.workloads.clone());
        own.register(
            "children",
            "Objects with the label of a workload in the memory of the operator",
            self.children.clone(),
        );
        own.register(
            "child_changes",
            "Children that the operator created, changed or deleted, by kind",
            self.changes.clone(),
        );
        own.register(
            "events_dropped",
            "Events on workloads that could not be sent",
            self.events_dropped.clone(),
        );
        own.register(
            "synced",
            "1 once all watched kinds have been listed; workloads are reconciled from then on",
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
        for ((state, _), number) in STATES.into_iter().zip(numbers) {
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

#[cfg(test)]
mod tests {
    use niphas_reference::{Label, assert_page, metrics_page};

    use super::*;

    const INTRODUCTION: &str = "\
# The metrics of `niphas-operator`

A test makes this page of what the operator exports at `/metrics`. A histogram has samples with `_bucket`, `_sum` and `_count`
behind its name. The first ones have the names that other controllers use.
";

    #[test]
    fn the_reference_page_is_what_the_operator_exports() {
        let metrics = Metrics::default();
        metrics.reconciled(Duration::ZERO, true);
        metrics.reconciled(Duration::ZERO, false);
        metrics.child_changed("Deployment");
        metrics.leads("niphas-operator", true);
        metrics.workloads([State::Ready].into_iter());
        let (method, code) = ("GET".to_owned(), "200".to_owned());
        let request = RequestLabels { method, code };
        metrics.requests.get_or_create(&request).inc();
        let open = |name| Label {
            name,
            of: "",
            values: Vec::new(),
        };
        let closed = |name, values: &[_]| Label {
            name,
            of: "",
            values: values.to_vec(),
        };
        let labels = [
            closed(
                "result",
                &[
                    ("success", "The workload was handled."),
                    ("error", "It is tried again."),
                ],
            ),
            closed("state", &STATES),
            closed("controller", &[(CONTROLLER, "The only one.")]),
            open("method"),
            open("code"),
            open("name"),
            open("kind"),
            open("version"),
        ];
        let (process, operator) = (niphas_daemon::process_metrics(), metrics.registry());
        let page = metrics_page(INTRODUCTION, &[&operator, &process], &labels);
        assert_page("metrics-niphas-operator.md", &page);
    }
}
