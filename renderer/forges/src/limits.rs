//! How long a host asks to wait.

use std::time::{Duration, SystemTime};

use niphas_http::retry_after;

use crate::answer::Answer;

/// GitHub asks for at least this where its answer does not say how long.
const SECONDARY: Duration = Duration::from_mins(1);
/// No host counts requests for longer than this.
const LONGEST: Duration = Duration::from_hours(1);

/// How long the host asks to wait with further requests. `None`: it does not limit them.
pub(crate) fn pause(answer: &Answer, now: SystemTime) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429 | 503) {
        return None;
    }
    if let Some(pause) = retry_after(&answer.headers) {
        return Some(pause.min(LONGEST));
    }
    if answer.status == 503 {
        return None;
    }
    if let Some(reset) = reset(answer) {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        // Clocks differ, and the answer was under way.
        let pause = Duration::from_secs(reset.saturating_sub(now).saturating_add(1));
        return Some(pause.min(LONGEST));
    }
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(4096)]);
    let is_secondary = body.contains("secondary rate limit") || body.contains("abuse detection");
    (answer.status == 429 || is_secondary).then_some(SECONDARY)
}

/// When requests are counted from zero again, in seconds since 1970, if none is left.
fn reset(answer: &Answer) -> Option<u64> {
    let number = |name: &str| answer.header(name)?.parse::<u64>().ok();
    [
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("ratelimit-remaining", "ratelimit-reset"),
    ]
    .into_iter()
    .find_map(|(remaining, reset)| {
        (number(remaining) == Some(0))
            .then(|| number(reset))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Answer {
            status,
            headers: map,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn limits_are_read_from_what_hosts_send() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let secondary = "{\"message\":\"You have exceeded a secondary rate limit. Please wait\"}";
        let spent = |reset| [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)];
        for (answer, seconds) in [
            (answer(403, &[("retry-after", "30")], ""), Some(30)),
            (answer(429, &[("retry-after", "99999999")], ""), Some(3600)),
            (answer(503, &[("retry-after", "5")], ""), Some(5)),
            (answer(503, &[], ""), None),
            (answer(403, &spent("1000090"), ""), Some(91)),
            (answer(403, &spent("99999999999999"), ""), Some(3600)),
            (answer(403, &spent("1"), ""), Some(1)),
            (
                answer(
                    429,
                    &[("ratelimit-remaining", "0"), ("ratelimit-reset", "1000009")],
                    "",
                ),
                Some(10),
            ),
            (
                answer(
                    403,
                    &[
                        ("x-ratelimit-remaining", "12"),
                        ("x-ratelimit-reset", "1000090"),
                    ],
                    "",
                ),
                None,
            ),
            (answer(403, &[], secondary), Some(60)),
            (
                answer(403, &[], "Resource not accessible by integration"),
                None,
            ),
            (answer(429, &[], ""), Some(60)),
            (answer(200, &spent("1000090"), ""), None),
        ] {
            assert_eq!(
                pause(&answer, now),
                seconds.map(Duration::from_secs),
                "{answer:?}"
            );
        }
    }
}
