//! What the mesh counts, for Prometheus.

use niphas_mesh_policy::Fault;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::parts::Kept;

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub enum From {
    /// A peer of the same zone.
    Zone,
    /// A peer of another zone.
    OtherZone,
    /// A cache.
    Origin,
}

impl From {
    /// All of them, the nearest first.
    pub const ALL: [Self; 3] = [Self::Zone, Self::OtherZone, Self::Origin];
}

/// Who is asked in the end where peers do not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Fallback {
    /// The node asks the cache for a part of which others are the homes.
    Origin,
    /// The node's reader asks the cache for a file.
    Reader,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FallbackLabels {
    to: Fallback,
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

const FAULTS: [Fault; 4] = [
    Fault::Unreachable,
    Fault::Stalled,
    Fault::Malformed,
    Fault::WrongBytes,
];

/// Counters and gauges; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    received: Family<FromLabels, Counter>,
    sent: Counter,
    read: Counter,
    read_nars: Family<FromLabels, Counter>,
    fallbacks: Family<FallbackLabels, Counter>,
    answers: Family<AnswerLabels, Counter>,
    faults: Family<FaultLabels, Counter>,
    wrong_files: Counter,
    uploads: Gauge,
    members: Gauge,
    avoided: Gauge,
    arriving: Gauge,
    pub(crate) queued: Gauge,
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
        all.register(
            "read_nars",
            "NARs that this node's own readers were given whole, by the farthest source of their bytes",
            self.read_nars.clone(),
        );
        all.register(
            "fallbacks",
            "Requests that a cache was asked for as no peer served them",
            self.fallbacks.clone(),
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
        all.register(
            "arriving_parts",
            "Parts of files that are being fetched",
            self.arriving.clone(),
        );
        all.register(
            "queued_parts",
            "Parts of files that wait for their turn at a cache",
            self.queued.clone(),
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
        for source in From::ALL {
            self.received(source, 0);
            let _ = self.read_nars.get_or_create(&FromLabels { source });
        }
        for to in [Fallback::Origin, Fallback::Reader] {
            let _ = self.fallbacks.get_or_create(&FallbackLabels { to });
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
        for fault in FAULTS {
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

    /// Failures of peers so far.
    pub fn faults(&self) -> u64 {
        let of = |fault: &Fault| {
            let fault = fault_name(*fault);
            self.faults.get_or_create(&FaultLabels { fault }).get()
        };
        FAULTS.iter().map(of).sum()
    }

    /// Files from peers so far that had a wrong hash.
    pub fn wrong_files(&self) -> u64 {
        self.wrong_files.get()
    }

    /// Bytes that the node's own readers were given so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    /// Requests so far that a cache was asked for as no peer served them.
    pub fn fallbacks(&self) -> u64 {
        let of = |to| self.fallbacks.get_or_create(&FallbackLabels { to }).get();
        of(Fallback::Origin) + of(Fallback::Reader)
    }

    /// Counts a part as waiting for its turn at a cache, for as long as what it gives lives.
    pub(crate) fn queue(&self) -> Queued<'_> {
        self.queued.inc();
        Queued(&self.queued)
    }

    pub(crate) fn fell_back(&self, to: Fallback) {
        self.fallbacks.get_or_create(&FallbackLabels { to }).inc();
    }

    pub(crate) fn read_nar(&self, source: From) {
        self.read_nars.get_or_create(&FromLabels { source }).inc();
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

    pub(crate) fn measured(&self, kept: Kept, uploads: usize, members: usize, avoided: usize) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.kept_bytes
            .set(i64::try_from(kept.bytes).unwrap_or(i64::MAX));
        self.kept_parts.set(gauge(kept.parts));
        self.arriving.set(gauge(kept.arriving));
        self.uploads.set(gauge(uploads));
        self.members.set(gauge(members));
        self.avoided.set(gauge(avoided));
    }
}

/// A part that waits for its turn at a cache.
pub(crate) struct Queued<'a>(&'a Gauge);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.dec();
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
