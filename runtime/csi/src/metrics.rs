//! What the driver counts and measures, for Prometheus.

mod labels;

use std::time::Duration;

use niphas_store::{Collected, StoreSize};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use labels::{Answer, Cause, Method, Outcome, Reason, Source, Start};
use labels::{
    CauseLabels, CollectionLabels, MethodLabels, OutcomeLabels, PublishLabels, ReasonLabels,
    SourceLabels,
};

/// From a bind of what is mounted (a millisecond) to a cold closure (minutes).
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0,
];

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
            "Calls in progress, by method",
            self.in_flight.clone(),
        );
        registry.register(
            "volumes",
            "Volumes that are published or being published",
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
            "Disk space of the store: packs and closure images",
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
            "Changes of the configuration, by whether they could be used",
            self.config_reloads.clone(),
        );
        registry.register(
            "registered",
            "1 once kubelet has registered the driver",
            self.registered.clone(),
        );
        registry.register(
            "base_image_imports",
            "Imports of the base image into containerd",
            self.base_image_imports.clone(),
        );
        registry.register(
            "events_dropped",
            "Events on pods that could not be sent",
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
mod tests;
