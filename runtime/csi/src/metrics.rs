//! What the driver counts and measures, for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// From a bind of what is mounted (a millisecond) to a cold closure (minutes).
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0,
];

/// How a publish went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PublishLabels {
    /// `ok`, `retry` or `refused`.
    pub(crate) outcome: &'static str,
    /// Where it started: `published` (nothing to do), `mounted` (a bind), `realised` (a mount and a bind), `cold`.
    pub(crate) start: &'static str,
}

/// How something went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    /// `ok` or `failed`.
    pub(crate) outcome: &'static str,
}

/// What a garbage collection was begun by, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CollectionLabels {
    /// As of [`CauseLabels`].
    pub(crate) cause: &'static str,
    /// `ok` or `failed`.
    pub(crate) outcome: &'static str,
}

/// What a garbage collection was begun by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CauseLabels {
    /// `interval`: the driver looks from time to time; `fetch`: paths were about to come, and there was no room.
    pub(crate) cause: &'static str,
}

/// A remote procedure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct MethodLabels {
    /// `publish` or `unpublish`.
    pub(crate) method: &'static str,
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabels {
    /// One of a few words.
    pub(crate) reason: &'static str,
}

/// Where bytes came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabels {
    /// `fetched`; `stored`: they were on the node; `failed`: they came, and were of no use.
    pub(crate) source: &'static str,
}

/// Counters and gauges; cheap to clone, all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) publish_seconds: Family<PublishLabels, Histogram, fn() -> Histogram>,
    pub(crate) unpublish_seconds: Family<OutcomeLabels, Histogram, fn() -> Histogram>,
    pub(crate) in_flight: Family<MethodLabels, Gauge>,
    pub(crate) volumes: Gauge,
    pub(crate) mounted_closures: Gauge,
    pub(crate) refused: Family<ReasonLabels, Counter>,
    pub(crate) realised_paths: Family<SourceLabels, Counter>,
    pub(crate) realised_bytes: Family<SourceLabels, Counter>,
    pub(crate) store_bytes: Gauge,
    pub(crate) store_paths: Gauge,
    pub(crate) file_system_bytes: Gauge,
    pub(crate) file_system_free_bytes: Gauge,
    pub(crate) gc_runs: Family<CollectionLabels, Counter>,
    pub(crate) gc_freed_bytes: Family<CauseLabels, Counter>,
    pub(crate) gc_deleted_paths: Family<CauseLabels, Counter>,
    pub(crate) config_reloads: Family<OutcomeLabels, Counter>,
    pub(crate) registered: Gauge,
    pub(crate) base_image_imports: Family<OutcomeLabels, Counter>,
    pub(crate) events_dropped: Counter,
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
        let r = &mut registry;
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        r.register("build", "The driver's version", Info::new(build));
        let kind = vec![("kind", view)];
        r.register("view", "How this node mounts closures", Info::new(kind));
        r.register_with_unit(
            "publish",
            "Time of NodePublishVolume",
            Unit::Seconds,
            self.publish_seconds.clone(),
        );
        r.register_with_unit(
            "unpublish",
            "Time of NodeUnpublishVolume",
            Unit::Seconds,
            self.unpublish_seconds.clone(),
        );
        r.register(
            "in_flight_rpcs",
            "Calls being answered",
            self.in_flight.clone(),
        );
        r.register(
            "volumes",
            "Volumes published or being so",
            self.volumes.clone(),
        );
        r.register(
            "mounted_closures",
            "Closures mounted",
            self.mounted_closures.clone(),
        );
        r.register(
            "refused",
            "Publishes that failed, by reason",
            self.refused.clone(),
        );
        r.register(
            "realised_paths",
            "Store paths of closures realised, by where they came from",
            self.realised_paths.clone(),
        );
        r.register_with_unit(
            "realised",
            "NAR bytes of closures realised, by where they came from",
            Unit::Bytes,
            self.realised_bytes.clone(),
        );
        r.register_with_unit(
            "store",
            "Disk space that the store takes",
            Unit::Bytes,
            self.store_bytes.clone(),
        );
        r.register(
            "store_paths",
            "Store paths in the store",
            self.store_paths.clone(),
        );
        r.register_with_unit(
            "file_system",
            "Size of the store's file system",
            Unit::Bytes,
            self.file_system_bytes.clone(),
        );
        r.register_with_unit(
            "file_system_free",
            "Free space of the store's file system",
            Unit::Bytes,
            self.file_system_free_bytes.clone(),
        );
        r.register(
            "gc_runs",
            "Garbage collections, by what began them",
            self.gc_runs.clone(),
        );
        r.register_with_unit(
            "gc_freed",
            "Disk space that garbage collections freed, by what began them",
            Unit::Bytes,
            self.gc_freed_bytes.clone(),
        );
        r.register(
            "gc_deleted_paths",
            "Store paths that garbage collections deleted, by what began them",
            self.gc_deleted_paths.clone(),
        );
        r.register(
            "config_reloads",
            "Changes of the configuration that were seen",
            self.config_reloads.clone(),
        );
        r.register(
            "registered",
            "Whether kubelet took the driver",
            self.registered.clone(),
        );
        r.register(
            "base_image_imports",
            "Times that the base image was put into containerd",
            self.base_image_imports.clone(),
        );
        r.register(
            "events_dropped",
            "Events on pods that were not sent",
            self.events_dropped.clone(),
        );
        registry
    }
}

/// Counts a call for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn new(metrics: &Metrics, method: &'static str) -> Self {
        let gauge = metrics
            .in_flight
            .get_or_create(&MethodLabels { method })
            .clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_shown_under_names_that_prometheus_takes() {
        let metrics = Metrics::default();
        let in_flight = InFlight::new(&metrics, "publish");
        metrics
            .publish_seconds
            .get_or_create(&PublishLabels {
                outcome: "ok",
                start: "mounted",
            })
            .observe(0.0015);
        let mut text = String::new();
        let registry = metrics.registry("erofs");
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "niphas_csi_view_info{kind=\"erofs\"} 1",
            "niphas_csi_in_flight_rpcs{method=\"publish\"} 1",
            "niphas_csi_publish_seconds_bucket{le=\"0.002\",outcome=\"ok\",start=\"mounted\"} 1",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "no {line} in:\n{text}"
            );
        }
        drop(in_flight);
        let gauge = metrics
            .in_flight
            .get_or_create(&MethodLabels { method: "publish" })
            .get();
        assert_eq!(gauge, 0);
    }
}
