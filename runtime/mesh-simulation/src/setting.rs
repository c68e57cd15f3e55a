//! What is simulated, and what came of it.

/// What is simulated. Rates are bytes per second, times nanoseconds.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Nodes.
    pub nodes: usize,
    /// Zones; nodes are in them in turn.
    pub zones: usize,
    /// The sizes of the files that all nodes want.
    pub files: Vec<u64>,
    /// The rate of the origin's link.
    pub origin_rate: u64,
    /// The rate of each node's link, each way.
    pub node_rate: u64,
    /// One way between a node and the origin.
    pub origin_latency: u64,
    /// One way between nodes of one zone.
    pub zone_latency: u64,
    /// One way between nodes of different zones.
    pub other_latency: u64,
    /// Nodes start one after the other, the last after this time.
    pub starts_within: u64,
    /// Whether nodes ask each other.
    pub with_mesh: bool,
    /// Bytes that are sent at once.
    pub piece: u64,
    /// Nodes that die, and when.
    pub deaths: Vec<(usize, u64)>,
}

impl Setting {
    /// These files on nodes in one zone that start at once: the origin behind 200 Mbit/s and 20 ms, nodes with 1 Gbit/s.
    pub fn new(nodes: usize, files: Vec<u64>) -> Self {
        Self {
            nodes,
            zones: 1,
            files,
            origin_rate: 25_000_000,
            node_rate: 125_000_000,
            origin_latency: 10_000_000,
            zone_latency: 200_000,
            other_latency: 1_000_000,
            starts_within: 0,
            with_mesh: true,
            piece: if nodes > 200 { 1 << 20 } else { 256 << 10 },
            deaths: Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Bytes of all files.
    pub closure: u64,
    /// Bytes that the origin sent.
    pub from_origin: u64,
    /// Bytes that went from one zone to another.
    pub across: u64,
    /// Bytes that each node sent.
    pub sent: Vec<u64>,
    /// Seconds from each node's start until it had all files. None: it died.
    pub ready: Vec<Option<f64>>,
}

impl Outcome {
    /// Seconds until the last node had all.
    pub fn last(&self) -> f64 {
        self.ready
            .iter()
            .flatten()
            .fold(0.0, |last, ready| last.max(*ready))
    }

    /// The most that one node sent, as a multiple of what the nodes sent on the average.
    pub fn most_sent(&self) -> f64 {
        let most = self.sent.iter().max().copied().unwrap_or(0);
        let all: u64 = self.sent.iter().sum();
        most as f64 * self.sent.len() as f64 / all.max(1) as f64
    }

    /// What the origin sent, as a multiple of the files.
    pub fn egress(&self) -> f64 {
        self.from_origin as f64 / self.closure as f64
    }
}
