//! How fast a server has to send.

use std::time::{Duration, Instant};

/// Watches that bytes come fast enough: a server that sends one byte now and then is never silent.
#[derive(Debug)]
pub(super) struct Rate {
    /// Bytes per second.
    least: u64,
    window: Duration,
    since: Instant,
    before: u64,
}

impl Rate {
    /// `least` bytes per second, counted over each `window`.
    pub(super) fn new(least: u64, window: Duration) -> Self {
        Self {
            least,
            window,
            since: Instant::now(),
            before: 0,
        }
    }

    /// Whether it is fast enough, now that `total` bytes have come.
    pub(super) fn holds(&mut self, total: u64) -> bool {
        if self.since.elapsed() < self.window {
            return true;
        }
        let came = total.saturating_sub(self.before);
        (self.since, self.before) = (Instant::now(), total);
        came as f64 >= self.least as f64 * self.window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drips_is_too_slow() {
        let window = Duration::from_millis(20);
        let mut rate = Rate::new(1000, window);
        assert!(rate.holds(1), "the window is not over");
        std::thread::sleep(window);
        assert!(rate.holds(21));
        std::thread::sleep(window);
        assert!(!rate.holds(22));
    }
}
