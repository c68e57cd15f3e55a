//! When a request that failed is sent again: one policy for all clients.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often a request is sent, and how long the pauses between are.
///
/// A server's `Retry-After` counts: the next request is not sent before. Where that is longer than there is time left, no
/// further one is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests in all.
    pub attempts: u32,
    /// Pause before the second request. It doubles with each further one, up to 64 times, and each is shortened at random by
    /// up to half, so that many clients do not come back at once. It is added to what a server asks for.
    pub pause: Duration,
    /// The longest that the pauses of one request take together.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_millis(250),
            patience: Duration::from_mins(1),
        }
    }
}

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// In a way that another request does not change.
    Lasting,
    /// No whole answer: no connection, silence, or a body that breaks off.
    Broken,
    /// The server answered with this status, and may have asked for a pause.
    Status {
        /// The status.
        status: u16,
        /// What its `Retry-After` says.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// Whether another request may succeed.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Lasting => false,
            Self::Broken => true,
            Self::Status {
                status,
                retry_after,
            } => match status {
                // Not what is missing for good: a method, a version of HTTP, a login to the network.
                501 | 505 | 511 => false,
                408 | 425 | 429 | 500..=599 => true,
                // GitHub's answer to too many requests.
                403 => retry_after.is_some(),
                _ => false,
            },
        }
    }

    /// How a request failed that has no answer.
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_builder() || error.is_redirect() || is_of_certificates(error) {
            Self::Lasting
        } else {
            Self::Broken
        }
    }

    fn retry_after(self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Lasting | Self::Broken => Duration::ZERO,
        }
    }
}

/// Whether a request failed since the server's certificate cannot be verified.
pub fn is_of_certificates(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error gives as its source that of what it holds.
        let held = error.downcast_ref().and_then(io::Error::get_ref);
        cause = held.map(|held| held as _).or_else(|| error.source());
    }
    false
}

impl RetryPolicy {
    /// The pause before the next attempt after this number of attempts, the last of which had this failure; `left` is the
    /// longest that the pause may be. `None`: there is no further attempt.
    pub fn pause(&self, attempts: u32, failure: Failure, left: Duration) -> Option<Duration> {
        let random = RandomState::new().hash_one(attempts) as u16;
        self.decide(attempts, failure, left, random)
    }

    /// As [`Self::pause`], with a number at random.
    fn decide(
        &self,
        attempts: u32,
        failure: Failure,
        left: Duration,
        random: u16,
    ) -> Option<Duration> {
        if attempts >= self.attempts || !failure.is_passing() {
            return None;
        }
        let doubled = 1 << attempts.saturating_sub(1).min(6);
        let half = self.pause.saturating_mul(doubled) / 2;
        let more = half.saturating_mul(random.into()) / u16::MAX.into();
        let own = half.saturating_add(more);
        let pause = failure.retry_after().saturating_add(own);
        (pause <= left).then_some(pause)
    }
}

/// The attempts at one request.
#[derive(Debug)]
pub struct Retries<'a> {
    policy: &'a RetryPolicy,
    attempts: u32,
    left: Duration,
}

impl<'a> Retries<'a> {
    /// None was made yet.
    pub fn new(policy: &'a RetryPolicy) -> Self {
        Self {
            policy,
            attempts: 0,
            left: policy.patience,
        }
    }

    /// Counts an attempt that failed. The pause before the next one; `None` if there is none.
    pub fn after(&mut self, failure: Failure) -> Option<Duration> {
        self.attempts += 1;
        let pause = self.policy.pause(self.attempts, failure, self.left)?;
        self.left -= pause;
        Some(pause)
    }

    /// Attempts made.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// The pause that an answer asks for with `Retry-After`: nothing if it has none that can be read.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    parse(value, SystemTime::now())
}

/// Seconds, or a date. More seconds than any number holds are as many as it does; a date that is past is no pause.
fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn status(status: u16, retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Failure::Status {
            status,
            retry_after,
        }
    }

    #[test]
    fn the_next_pause_follows_from_what_was_seen() {
        let policy = RetryPolicy {
            attempts: 10,
            pause: ms(200),
            patience: ms(60_000),
        };
        let (least, most) = (0, u16::MAX);
        for (attempts, failure, left, random, pause) in [
            // Pauses double, up to 64 times, and are shortened by up to half.
            (1, Failure::Broken, 60_000, most, Some(200)),
            (1, Failure::Broken, 60_000, least, Some(100)),
            (2, Failure::Broken, 60_000, most, Some(400)),
            (3, status(503, None), 60_000, least, Some(400)),
            (7, status(500, None), 60_000, most, Some(12_800)),
            (9, status(500, None), 60_000, most, Some(12_800)),
            // What a server asks for is kept, and comes before.
            (1, status(429, Some(2)), 60_000, least, Some(2100)),
            (1, status(503, Some(2)), 60_000, most, Some(2200)),
            (2, status(500, Some(2)), 60_000, most, Some(2400)),
            (1, status(403, Some(2)), 60_000, most, Some(2200)),
            (1, status(429, Some(0)), 60_000, least, Some(100)),
            // There is an end in tries ...
            (9, Failure::Broken, 60_000, least, Some(6400)),
            (10, Failure::Broken, 60_000, least, None),
            // ... and in time, whatever a server asks for.
            (1, Failure::Broken, 99, least, None),
            (1, status(429, Some(59)), 59_100, least, Some(59_100)),
            (1, status(429, Some(60)), 60_000, least, None),
            (1, status(503, Some(1_000_000_000)), 60_000, least, None),
            (1, status(503, Some(u64::MAX)), u64::MAX, most, None),
            // Nor is asked again what does not pass.
            (1, Failure::Lasting, 60_000, least, None),
            (1, status(403, None), 60_000, least, None),
            (1, status(404, Some(2)), 60_000, least, None),
            (1, status(501, Some(2)), 60_000, least, None),
            (1, status(200, Some(2)), 60_000, least, None),
        ] {
            let decided = policy.decide(attempts, failure, ms(left), random);
            assert_eq!(decided, pause.map(ms), "{attempts} {failure:?} {left}");
        }
    }

    #[test]
    fn numbers_beyond_all_bounds_do_no_harm() {
        let policy = RetryPolicy {
            attempts: u32::MAX,
            pause: Duration::MAX,
            patience: Duration::MAX,
        };
        let decided = policy.decide(u32::MAX - 1, Failure::Broken, Duration::MAX, u16::MAX);
        assert!(decided.is_some());
        let decided = policy.decide(0, status(429, Some(u64::MAX)), Duration::MAX, 0);
        assert_eq!(decided, Some(Duration::MAX));
    }

    #[test]
    fn pauses_of_one_request_end_with_its_patience() {
        let policy = RetryPolicy {
            attempts: 100,
            pause: ms(1),
            patience: ms(5000),
        };
        let mut retries = Retries::new(&policy);
        let mut paused = Duration::ZERO;
        while let Some(pause) = retries.after(status(429, Some(2))) {
            paused += pause;
        }
        assert_eq!(retries.attempts(), 3);
        assert!(paused >= ms(4000) && paused <= ms(5000), "{paused:?}");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |count| Some(Duration::from_secs(count));
        for (value, pause) in [
            ("2", seconds(2)),
            (" 120 ", seconds(120)),
            ("0", seconds(0)),
            ("1000000000", seconds(1_000_000_000)),
            ("99999999999999999999999999", seconds(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", seconds(10)),
            ("Sun Nov  6 08:49:47 1994", seconds(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", seconds(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994", None),
            ("99 Nov 1994 08:49:07", None),
        ] {
            assert_eq!(parse(value, now), pause, "{value}");
        }
    }
}
