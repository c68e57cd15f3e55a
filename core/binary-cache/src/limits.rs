//! Bounds on time and space.

use std::time::Duration;

use niphas_http::RetryPolicy;

/// How long to wait, how often to try, how much to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight at once.
    pub concurrency: usize,
    /// When a request is sent again. For a NAR the attempts count from the last byte that came, and pauses take of
    /// [`Self::nar_grace`] as well.
    pub retries: RetryPolicy,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Longest silence of a server that is sending.
    pub read_timeout: Duration,
    /// Time for a small file, from request to last byte.
    pub request_timeout: Duration,
    /// How long it is believed that no cache has a path.
    pub negative_ttl: Duration,
    /// How long a cache that failed is left alone.
    pub cool_down: Duration,
    /// Silence after which another cache is asked, or the same one again, while
    /// the first may still answer.
    pub hedge_after: Duration,
    /// Bytes per second, counted over [`Self::read_timeout`], below which a NAR
    /// is fetched from elsewhere.
    pub min_rate: u64,
    /// Bytes per second that a NAR's file must come with, on the average...
    pub nar_rate: u64,
    /// ... and how late it may be at any time. So it takes no longer than this
    /// and the time for its size at that rate. Only time counts in which the
    /// bytes are waited for.
    pub nar_grace: Duration,
    /// How far the decoder of a NAR may look back, in bytes: what it takes of
    /// memory, if the NAR is as large.
    pub max_looked_back: u64,
    /// Largest narinfo, in bytes.
    pub max_narinfo: usize,
    /// Most paths in a closure.
    pub max_paths: usize,
    /// Most references that the paths of a closure have in all.
    pub max_references: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 64,
            retries: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(30),
            cool_down: Duration::from_secs(30),
            hedge_after: Duration::from_secs(3),
            min_rate: 1024,
            nar_rate: 64 << 10,
            nar_grace: Duration::from_mins(1),
            max_looked_back: nix_formats::Compression::MOST_LOOKED_BACK,
            max_narinfo: nix_formats::narinfo::MAX_SIZE,
            max_paths: 200_000,
            max_references: 2_000_000,
        }
    }
}
