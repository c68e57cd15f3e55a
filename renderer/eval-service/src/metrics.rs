//! What the service counts and measures, for Prometheus.

use std::time::Duration;

use niphas_api::source::RunResult;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// From a run that finds nothing new to a large evaluation.
const SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// All metrics. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    webhooks: Family<ResultLabels, Counter>,
    runs: Family<ResultLabels, Counter>,
    statuses: Family<ResultLabels, Counter>,
    builds: Family<ResultLabels, Counter>,
    seconds: Histogram,
    waiting: Gauge,
    running: Gauge,
    leads: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            webhooks: Family::default(),
            runs: Family::default(),
            statuses: Family::default(),
            builds: Family::default(),
            seconds: Histogram::new(SECONDS),
            waiting: Gauge::default(),
            running: Gauge::default(),
            leads: Gauge::default(),
        }
    }
}

impl Metrics {
    /// All of them, with their names.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("niphas_eval");
        registry.register("webhooks", "Webhooks that arrived", self.webhooks.clone());
        registry.register("runs", "Runs that ended", self.runs.clone());
        registry.register(
            "statuses",
            "Statuses of commits for Git hosts",
            self.statuses.clone(),
        );
        registry.register(
            "builds",
            "Builds that pods delivered, or said that they failed",
            self.builds.clone(),
        );
        registry.register_with_unit(
            "run_duration",
            "Time of runs, from their turn to their end",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "sources_waiting",
            "Sources that wait for a run",
            self.waiting.clone(),
        );
        registry.register("sources_running", "Runs under way", self.running.clone());
        registry.register(
            "leader",
            "Whether this replica runs sources",
            self.leads.clone(),
        );
        registry
    }

    pub(crate) fn webhook(&self, result: &'static str) {
        self.webhooks.get_or_create(&ResultLabels { result }).inc();
    }

    pub(crate) fn status(&self, result: &'static str) {
        self.statuses.get_or_create(&ResultLabels { result }).inc();
    }

    pub(crate) fn run(&self, result: RunResult, time: Duration) {
        let result = match result {
            RunResult::Rendered => "rendered",
            RunResult::Unchanged => "unchanged",
            RunResult::EvaluationFailed => "evaluation-failed",
            RunResult::BuildFailed => "build-failed",
            RunResult::RenderFailed => "render-failed",
            RunResult::Superseded => "superseded",
        };
        self.runs.get_or_create(&ResultLabels { result }).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn build(&self, result: &'static str) {
        self.builds.get_or_create(&ResultLabels { result }).inc();
    }

    pub(crate) fn queue(&self, waiting: usize, running: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }
}
