//! How many bytes a node sends in a time.

use std::time::Duration;

/// A token bucket: what was not sent for a while may be sent at once, up to what the rate gives in 100 milliseconds.
#[derive(Debug, Clone)]
pub struct Rate {
    bytes_per_second: u64,
    /// When all that was taken has been sent, at this rate.
    free_at: Duration,
}

/// The time whose bytes may be sent at once.
const BURST: Duration = Duration::from_millis(100);

impl Rate {
    /// A full bucket. A rate of 0 counts as one byte per second.
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Duration::ZERO,
        }
    }

    /// Takes bytes. The time to wait until they may be sent: that of all that was taken before, so that each upload gets a turn.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let start = self.free_at.max(now.saturating_sub(BURST));
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let taken = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.free_at = start.saturating_add(taken);
        start.saturating_sub(now)
    }
}
