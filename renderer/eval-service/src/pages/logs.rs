//! The pages of logs: with their lines, as plain text, and what one gains.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use niphas_pages::model::{self, SourceName};
use niphas_pages::{LogText, log_page};
use nix_formats::StorePath;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;
use url::form_urlencoded;

use super::{Pages, SAFE, html, view};
use crate::builds::Log;
use crate::queue::Key;

/// Bytes of a log that its page has.
const LAST: u64 = 1 << 20;
/// How soon a browser asks again that lost its connection.
const RETRY: Duration = Duration::from_secs(2);

impl Pages {
    /// A log, by the base name of its derivation.
    async fn log(&self, derivation: &str) -> Option<Log> {
        let path = StorePath::from_base_name(derivation).ok()?;
        derivation.strip_suffix(".drv")?;
        let logs = &self.builds.get()?.logs;
        match logs.open(path).await {
            Ok(log) => log,
            Err(error) => {
                warn!(derivation, %error, "failed to open a log");
                None
            }
        }
    }

    /// The run that a page of a log was reached from, if there is such a run.
    fn run_of(&self, uri: &Uri) -> Option<(SourceName, String)> {
        let run = parameter(uri, "run")?;
        let [namespace, name, id] = run.split('/').collect::<Vec<_>>()[..] else {
            return None;
        };
        let key = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let source = self.sources.get(&key)?;
        view::has_run(&source, id).then(|| {
            let Key { namespace, name } = key;
            (SourceName { namespace, name }, id.to_owned())
        })
    }
}

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    Path(derivation): Path<String>,
    uri: Uri,
) -> Response {
    let Some(log) = pages.log(&derivation).await else {
        return pages.not_found();
    };
    let (text, begin) = match log.last(LAST).await {
        Ok(last) => last,
        Err(error) => return failed(&derivation, &error),
    };
    let shown = model::Log {
        state: log.state.map(super::builds::state),
        is_live: log.is_live,
        run: pages.run_of(&uri),
        is_cut: begin > 0,
        end: begin + text.len() as u64,
        derivation,
        text,
    };
    html(StatusCode::OK, log_page(&pages.frame(), &shown))
}

/// The whole log, as far as it is.
pub(super) async fn raw(
    State(pages): State<Arc<Pages>>,
    Path(derivation): Path<String>,
) -> Response {
    let Some(log) = pages.log(&derivation).await else {
        return pages.not_found();
    };
    let pieces = stream::unfold((log, 0), |(log, from)| async move {
        let piece = log.piece(from).await;
        let length = piece.as_ref().map_or(0, Bytes::len) as u64;
        let is_end = length == 0 && piece.is_ok();
        (!is_end).then_some((piece, (log, from + length)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (SAFE, headers, Body::from_stream(pieces)).into_response()
}

/// What a log gains, as long as its build goes on.
pub(super) async fn events(
    State(pages): State<Arc<Pages>>,
    Path(derivation): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let number = |text: &str| text.parse::<u64>().ok();
    // A browser that connects again says where it was.
    let last = headers.get("last-event-id").map(HeaderValue::to_str);
    let last = last.and_then(Result::ok).and_then(number);
    let from = last.or_else(|| number(&parameter(&uri, "from")?));
    let Ok(turn) = Arc::clone(&pages.live_logs).try_acquire_owned() else {
        let text = "Too many logs are followed. Load the page again.";
        return (StatusCode::SERVICE_UNAVAILABLE, SAFE, text).into_response();
    };
    let Some(log) = pages.log(&derivation).await else {
        return pages.not_found();
    };
    let from = from.unwrap_or_default();
    let following = Following {
        log,
        text: LogText::new(from),
        at: from,
        _turn: turn,
    };
    let begin = Bytes::from(format!("retry: {}\n\n", RETRY.as_millis()));
    let begin = stream::once(async move { Ok::<_, Infallible>(begin) });
    let rest = stream::unfold(Some(following), |following| async move {
        let (event, following) = following?.next().await;
        Some((Ok(Bytes::from(event)), following))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let events = futures::StreamExt::chain(begin, rest);
    (SAFE, headers, Body::from_stream(events)).into_response()
}

/// A log that a browser follows.
struct Following {
    log: Log,
    text: LogText,
    at: u64,
    _turn: OwnedSemaphorePermit,
}

impl Following {
    /// The next event, and what follows it.
    async fn next(mut self) -> (String, Option<Self>) {
        loop {
            match self.log.piece(self.at).await {
                Ok(piece) if !piece.is_empty() => {
                    self.at += piece.len() as u64;
                    if let Some(event) = self.text.event(&piece) {
                        return (event, Some(self));
                    }
                }
                // Its uploads may have been removed meanwhile; the page that is loaded again has the stored one.
                _ if !self.log.grows(self.at).await => return (self.text.end(), None),
                _ if self.log.length().await.is_ok_and(|length| length > self.at) => {}
                // A comment, so that what is in between does not think it dead.
                _ => return (": \n\n".to_owned(), Some(self)),
            }
        }
    }
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

fn failed(derivation: &str, error: &std::io::Error) -> Response {
    warn!(derivation, %error, "failed to read a log");
    let text = "The log cannot be read; the service's own log says why.";
    (StatusCode::INTERNAL_SERVER_ERROR, SAFE, text).into_response()
}
