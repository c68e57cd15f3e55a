//! What the driver counts and measures, for Prometheus.

use std::time::Duration;

use niphas_store::{Collected, StoreSize};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::error::Reason;
use crate::volumes::Start;

/// From a bind of what is mounted (a millisecond) to a cold closure (minutes).
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0,
];

/// How a publish went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Published,
    /// kubelet asks again.
    Retry,
    Refused,
}

impl Answer {
    fn name(self) -> &'static str {
        match self {
            Self::Published => "ok",
            Self::Retry => "retry",
            Self::Refused => "refused",
        }
    }
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Ok,
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

impl<T, E> From<&Result<T, E>> for Outcome {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Ok
        } else {
            Self::Failed
        }
    }
}

/// A remote procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Publish,
    Unpublish,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Unpublish => "unpublish",
        }
    }
}

/// Where the paths of a closure came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A cache.
    Fetched,
    /// They were on the node.
    Stored,
    /// A cache, and they were of no use.
    Failed,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }
}

/// What a garbage collection was begun by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The driver looks from time to time.
    Interval,
    /// Paths were about to come, and there was no room.
    Fetch,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Fetch => "fetch",
        }
    }
}

/// The names are the values: the derived ones would be those of the variants.
macro_rules! encode_by_name {
    ($($label:ty),*) => {
        $(impl EncodeLabelValue for $label {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                EncodeLabelValue::encode(&self.name(), encoder)
            }
        })*
    };
}

encode_by_name!(Answer, Outcome, Method, Source, Cause, Start, Reason);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishLabels {
    outcome: Answer,
    /// Where it started.
    start: Start,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CollectionLabels {
    cause: Cause,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: Source,
}

/// Counters and gauges; cheap to clone, all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    publish_seconds: Family<PublishLabels, Histogram, fn() -> Histogram>,
    unpublish_seconds: Family<OutcomeLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<MethodLabels, Gauge>,
    volumes: Gauge,
    mounted_closures: Gauge,
    refused: Family<ReasonLabels, Counter>,
    realised_paths: Family<SourceLabels, Counter>,
    realised_bytes: Family<SourceLabels, Counter>,
    store_bytes: Gauge,
    store_paths: Gauge,
    file_system_bytes: Gauge,
    file_system_free_bytes: Gauge,
    gc_runs: Family<CollectionLabels, Counter>,
    gc_freed_bytes: Family<CauseLabels, Counter>,
    gc_deleted_paths: Family<CauseLabels, Counter>,
    config_reloads: Family<OutcomeLabels, Counter>,
    registered: Gauge,
    base_image_imports: Family<OutcomeLabels, Counter>,
    events_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            publish_seconds: Family::new_with_constructor(histogram),
            unpublish_seconds: Family::new_with_constructor(histogram),
            in_flight: Family::default(),
            volumes: Gauge::default(),
            mounted_closures: Gauge::default(),
            refused: Family::default(),
            realised_paths: Family::default(),
            realised_bytes: Family::default(),
            store_bytes: Gauge::default(),
            store_paths: Gauge::default(),
            file_system_bytes: Gauge::default(),
            file_system_free_bytes: Gauge::default(),
            gc_runs: Family::default(),
            gc_freed_bytes: Family::default(),
            gc_deleted_paths: Family::default(),
            config_reloads: Family::default(),
            registered: Gauge::default(),
            base_image_imports: Family::default(),
            events_dropped: Counter::default(),
        }
    }
}

impl Metrics {
    /// All of them under their names. `view` is the kind of view that this node mounts.
    pub(crate) fn registry(&self, view: &'static str) -> Registry {
        let mut registry = Registry::with_prefix("niphas_csi");
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The driver's version", Info::new(build));
        let kind = vec![("kind", view)];
        registry.register("view", "How this node mounts closures", Info::new(kind));
        self.register_volumes(&mut registry);
        self.register_store(&mut registry);
        self.register_driver(&mut registry);
        registry
    }

    fn register_volumes(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "publish",
            "Time of NodePublishVolume",
            Unit::Seconds,
            self.publish_seconds.clone(),
        );
        registry.register_with_unit(
            "unpublish",
            "Time of NodeUnpublishVolume",
            Unit::Seconds,
            self.unpublish_seconds.clone(),
        );
        registry.register(
            "in_flight_rpcs",
            "Calls being answered",
            self.in_flight.clone(),
        );
        registry.register(
            "volumes",
            "Volumes published or being so",
            self.volumes.clone(),
        );
        registry.register(
            "mounted_closures",
            "Closures mounted",
            self.mounted_closures.clone(),
        );
        registry.register(
            "refused",
            "Publishes that failed, by reason",
            self.refused.clone(),
        );
        registry.register(
            "realised_paths",
            "Store paths of closures realised, by where they came from",
            self.realised_paths.clone(),
        );
        registry.register_with_unit(
            "realised",
            "NAR bytes of closures realised, by where they came from",
            Unit::Bytes,
            self.realised_bytes.clone(),
        );
    }

    fn register_store(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store",
            "Disk space that the store takes",
            Unit::Bytes,
            self.store_bytes.clone(),
        );
        registry.register(
            "store_paths",
            "Store paths in the store",
            self.store_paths.clone(),
        );
        registry.register_with_unit(
            "file_system",
            "Size of the store's file system",
            Unit::Bytes,
            self.file_system_bytes.clone(),
        );
        registry.register_with_unit(
            "file_system_free",
            "Free space of the store's file system",
            Unit::Bytes,
            self.file_system_free_bytes.clone(),
        );
        registry.register(
            "gc_runs",
            "Garbage collections, by what began them",
            self.gc_runs.clone(),
        );
        registry.register_with_unit(
            "gc_freed",
            "Disk space that garbage collections freed, by what began them",
            Unit::Bytes,
            self.gc_freed_bytes.clone(),
        );
        registry.register(
            "gc_deleted_paths",
            "Store paths that garbage collections deleted, by what began them",
            self.gc_deleted_paths.clone(),
        );
    }

    fn register_driver(&self, registry: &mut Registry) {
        registry.register(
            "config_reloads",
            "Changes of the configuration that were seen",
            self.config_reloads.clone(),
        );
        registry.register(
            "registered",
            "Whether kubelet took the driver",
            self.registered.clone(),
        );
        registry.register(
            "base_image_imports",
            "Times that the base image was put into containerd",
            self.base_image_imports.clone(),
        );
        registry.register(
            "events_dropped",
            "Events on pods that were not sent",
            self.events_dropped.clone(),
        );
    }

    /// A publish was answered.
    pub(crate) fn published(&self, outcome: Answer, start: Start, time: Duration) {
        self.publish_seconds
            .get_or_create(&PublishLabels { outcome, start })
            .observe(time.as_secs_f64());
    }

    /// An unpublish was answered.
    pub(crate) fn unpublished(&self, outcome: Outcome, time: Duration) {
        self.unpublish_seconds
            .get_or_create(&OutcomeLabels { outcome })
            .observe(time.as_secs_f64());
    }

    /// A publish failed.
    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Paths of closures came.
    pub(crate) fn realised(&self, source: Source, paths: u64, bytes: u64) {
        let labels = SourceLabels { source };
        self.realised_paths.get_or_create(&labels).inc_by(paths);
        self.realised_bytes.get_or_create(&labels).inc_by(bytes);
    }

    pub(crate) fn volumes(&self, number: usize) {
        self.volumes.set(number as i64);
    }

    pub(crate) fn mounted_closures(&self, number: usize) {
        self.mounted_closures.set(number as i64);
    }

    pub(crate) fn store(&self, size: &StoreSize) {
        let bytes = size.pack_bytes + size.image_bytes;
        self.store_bytes.set(bytes as i64);
        self.store_paths.set(size.paths as i64);
    }

    /// The size and the free space of the store's file system, in bytes.
    pub(crate) fn file_system(&self, size: u64, free: u64) {
        self.file_system_bytes.set(size as i64);
        self.file_system_free_bytes.set(free as i64);
    }

    /// Garbage was collected.
    pub(crate) fn collected(&self, cause: Cause, collected: &Collected) {
        for (outcome, runs) in [
            (Outcome::Ok, collected.runs),
            (Outcome::Failed, collected.failed),
        ] {
            self.gc_runs
                .get_or_create(&CollectionLabels { cause, outcome })
                .inc_by(runs);
        }
        let labels = CauseLabels { cause };
        self.gc_freed_bytes
            .get_or_create(&labels)
            .inc_by(collected.freed);
        self.gc_deleted_paths
            .get_or_create(&labels)
            .inc_by(collected.paths);
    }

    /// A change of the configuration was seen.
    pub(crate) fn config_reloaded(&self, outcome: Outcome) {
        self.config_reloads
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    pub(crate) fn registered(&self, registered: bool) {
        self.registered.set(i64::from(registered));
    }

    /// The base image was put into containerd, or could not be.
    pub(crate) fn base_image_imported(&self, outcome: Outcome) {
        self.base_image_imports
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Counts a call for as long as what this gives lives.
    pub(crate) fn in_flight(&self, method: Method) -> InFlight {
        let gauge = self
            .in_flight
            .get_or_create(&MethodLabels { method })
            .clone();
        gauge.inc();
        InFlight(gauge)
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(metrics: &Metrics) -> String {
        let mut text = String::new();
        let registry = metrics.registry("erofs");
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn all_are_shown_under_names_that_prometheus_takes() {
        let metrics = Metrics::default();
        let in_flight = metrics.in_flight(Method::Publish);
        let time = Duration::from_micros(1500);
        metrics.published(Answer::Published, Start::Mounted, time);
        metrics.unpublished(Outcome::Failed, time);
        metrics.refused(Reason::Limit(niphas_store::Limit::ClosureSize));
        metrics.realised(Source::Stored, 3, 4096);
        metrics.volumes(5);
        metrics.config_reloaded(Outcome::Ok);
        let text = shown(&metrics);
        for line in [
            "niphas_csi_view_info{kind=\"erofs\"} 1",
            "niphas_csi_in_flight_rpcs{method=\"publish\"} 1",
            "niphas_csi_publish_seconds_bucket{le=\"0.002\",outcome=\"ok\",start=\"mounted\"} 1",
            "niphas_csi_unpublish_seconds_count{outcome=\"failed\"} 1",
            "niphas_csi_refused_total{reason=\"limit_closure_size\"} 1",
            "niphas_csi_realised_paths_total{source=\"stored\"} 3",
            "niphas_csi_realised_bytes_total{source=\"stored\"} 4096",
            "niphas_csi_volumes 5",
            "niphas_csi_config_reloads_total{outcome=\"ok\"} 1",
            "niphas_csi_events_dropped_total 0",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "no {line} in:\n{text}"
            );
        }
        drop(in_flight);
        let none = "niphas_csi_in_flight_rpcs{method=\"publish\"} 0";
        assert!(shown(&metrics).contains(none));
    }

    #[test]
    fn collections_are_counted_by_what_began_them() {
        let metrics = Metrics::default();
        let collected = |runs, failed, paths, freed| Collected {
            runs,
            failed,
            paths,
            freed,
        };
        metrics.collected(Cause::Interval, &collected(1, 0, 3, 4096));
        metrics.collected(Cause::Fetch, &collected(2, 1, 5, 8192));
        metrics.collected(Cause::Fetch, &Collected::default());
        let text = shown(&metrics);
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("niphas_csi_gc_"))
            .collect();
        let expected = [
            "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"ok\"} 1",
            "niphas_csi_gc_runs_total{cause=\"interval\",outcome=\"failed\"} 0",
            "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"ok\"} 2",
            "niphas_csi_gc_runs_total{cause=\"fetch\",outcome=\"failed\"} 1",
            "niphas_csi_gc_freed_bytes_total{cause=\"interval\"} 4096",
            "niphas_csi_gc_freed_bytes_total{cause=\"fetch\"} 8192",
            "niphas_csi_gc_deleted_paths_total{cause=\"interval\"} 3",
            "niphas_csi_gc_deleted_paths_total{cause=\"fetch\"} 5",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for line in expected {
            assert!(shown.contains(&line), "no {line} in {shown:?}");
        }
    }
}
