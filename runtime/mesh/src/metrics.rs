//! What the mesh counts, for Prometheus.

use niphas_mesh_policy::Fault;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum From {
    /// A cache.
    Origin,
    /// A peer of the same zone.
    Zone,
    /// A peer of another zone.
    OtherZone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FromLabels {
    source: From,
}

/// What a peer was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Answered {
    Served,
    Elsewhere,
    Busy,
    NotHere,
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    answer: Answered,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    fault: &'static str,
}

/// Counters and gauges; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    received: Family<FromLabels, Counter>,
    sent: Counter,
    read: Counter,
    answers: Family<AnswerLabels, Counter>,
    faults: Family<FaultLabels, Counter>,
    wrong_files: Counter,
    uploads: Gauge,
    members: Gauge,
    avoided: Gauge,
    kept_bytes: Gauge,
    kept_parts: Gauge,
}

impl Metrics {
    /// All of them under their names.
    pub fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("niphas_mesh");
        let bytes = Unit::Bytes;
        all.register_with_unit(
            "received",
            "Bytes of files that came from caches and peers",
            bytes.clone(),
            self.received.clone(),
        );
        all.register_with_unit(
            "sent",
            "Bytes of files that peers were sent",
            bytes.clone(),
            self.sent.clone(),
        );
        all.register_with_unit(
            "read",
            "Bytes of files that this node's own readers were given",
            bytes.clone(),
            self.read.clone(),
        );
        all.register("answers", "Answers to peers", self.answers.clone());
        all.register("faults", "Failures of peers", self.faults.clone());
        all.register(
            "wrong_files",
            "Files from peers that did not have the hash of their narinfo",
            self.wrong_files.clone(),
        );
        all.register(
            "uploads",
            "Uploads to peers that go on",
            self.uploads.clone(),
        );
        all.register(
            "members",
            "Members of the mesh, as this node knows them",
            self.members.clone(),
        );
        all.register(
            "avoided_members",
            "Members that are not asked for a while as they failed",
            self.avoided.clone(),
        );
        all.register_with_unit(
            "kept",
            "Bytes of files that are kept for peers",
            bytes,
            self.kept_bytes.clone(),
        );
        all.register(
            "kept_parts",
            "Parts of files that are kept for peers",
            self.kept_parts.clone(),
        );
        all
    }

    /// Has all labels shown, though nothing of them was counted yet.
    pub fn list_labels(&self) {
        for source in [From::Origin, From::Zone, From::OtherZone] {
            self.received(source, 0);
        }
        let answers = [
            Answered::Served,
            Answered::Elsewhere,
            Answered::Busy,
            Answered::NotHere,
            Answered::Missing,
        ];
        for answer in answers {
            let _ = self.answers.get_or_create(&AnswerLabels { answer });
        }
        let faults = [
            Fault::Unreachable,
            Fault::Stalled,
            Fault::Malformed,
            Fault::WrongBytes,
        ];
        for fault in faults {
            let fault = fault_name(fault);
            let _ = self.faults.get_or_create(&FaultLabels { fault });
        }
    }

    /// Bytes that came from a source so far.
    pub fn bytes_received(&self, source: From) -> u64 {
        self.received.get_or_create(&FromLabels { source }).get()
    }

    /// Bytes that peers were sent so far.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.get()
    }

    /// Files from peers so far that had a wrong hash.
    pub fn wrong_files(&self) -> u64 {
        self.wrong_files.get()
    }

    pub(crate) fn received(&self, source: From, bytes: u64) {
        self.received
            .get_or_create(&FromLabels { source })
            .inc_by(bytes);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    pub(crate) fn read(&self, bytes: u64) {
        self.read.inc_by(bytes);
    }

    pub(crate) fn answered(&self, answer: Answered) {
        self.answers.get_or_create(&AnswerLabels { answer }).inc();
    }

    pub(crate) fn failed(&self, fault: Fault) {
        let fault = fault_name(fault);
        self.faults.get_or_create(&FaultLabels { fault }).inc();
    }

    pub(crate) fn wrong_file(&self) {
        self.wrong_files.inc();
    }

    pub(crate) fn measured(
        &self,
        kept: (u64, usize),
        uploads: usize,
        members: usize,
        avoided: usize,
    ) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.kept_bytes
            .set(i64::try_from(kept.0).unwrap_or(i64::MAX));
        self.kept_parts.set(gauge(kept.1));
        self.uploads.set(gauge(uploads));
        self.members.set(gauge(members));
        self.avoided.set(gauge(avoided));
    }
}

fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "unreachable",
        Fault::Stalled => "stalled",
        Fault::Malformed => "malformed",
        Fault::WrongBytes => "wrong bytes",
    }
}
