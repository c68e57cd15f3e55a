//! The trace that requests to caches are part of, to follow one through several programs.

use std::sync::OnceLock;

use reqwest::header::HeaderValue;

/// The header's name, in the W3C's Trace Context.
pub(crate) const HEADER: &str = "traceparent";

static SOURCE: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// Has every request to a cache over HTTP carry the header `traceparent` with what `source` gives, if it gives something. It is
/// called where the request is made, in the `tracing` span of the caller. Only the first call counts.
pub fn set_traceparent(source: fn() -> Option<String>) {
    let _ = SOURCE.set(source);
}

/// The header's value for a request that is about to be made.
pub(crate) fn traceparent() -> Option<HeaderValue> {
    let source = SOURCE.get()?;
    HeaderValue::from_str(&source()?).ok()
}
