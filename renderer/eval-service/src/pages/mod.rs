//! The pages that people see: what the cluster says of sources, made into HTML.
//!
//! Every replica serves them, from what it watches. They are read only, hold no secret, and have an address of their own, so that what
//! hosts of the internet reach for webhooks is not what shows the sources of all namespaces.

mod builds;
mod logs;
mod view;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use niphas_api::source::NiphasSource;
use niphas_daemon::Bounds;
use niphas_pages::model::Failure;
use niphas_pages::{
    ASSETS, Asset, CONTENT_SECURITY_POLICY, Frame, message_page, run_page, source_page,
    sources_page,
};
use nix_formats::StorePath;
use tokio::sync::Semaphore;
use url::Url;

use crate::builds::{RunName, RunRecord, Shown};
use crate::cluster::Sources;
use crate::queue::Key;

/// What is known of builds, once this replica leads and builds.
pub(crate) type Builds = Arc<OnceLock<Shown>>;

/// Pages are small, but logs are long, and those that grow are followed.
pub(crate) const BOUNDS: Bounds = Bounds {
    connections: 256,
    of_peer: 128,
    lifetime: Some(Duration::from_mins(10)),
    ..Bounds::PAGES
};

/// Logs that are followed at one time.
const LIVE_LOGS: usize = 64;
/// Bytes of a log that are shown where its build failed.
const FAILURE_LOG: u64 = 16 << 10;

/// What pages are made of.
struct Pages {
    sources: Arc<Sources>,
    builds: Builds,
    live_logs: Arc<Semaphore>,
    /// The path of the address that people reach them by, which something in between takes off.
    base: String,
}

/// The pages; `url` is where people reach them.
pub(crate) fn pages(sources: Arc<Sources>, builds: Builds, url: Option<&Url>) -> Router {
    let base = url.map_or_else(String::new, |url| {
        url.path().trim_end_matches('/').to_owned()
    });
    let mut router = Router::new()
        .route("/", get(all))
        .route("/sources/{namespace}/{name}", get(source))
        .route("/sources/{namespace}/{name}/runs/{id}", get(run))
        .route("/logs/{derivation}", get(logs::page))
        .route("/logs/{derivation}/raw", get(logs::raw))
        .route("/logs/{derivation}/events", get(logs::events))
        .fallback(missing);
    for asset in &ASSETS {
        router = router.route(asset.path, get(|| async { self::asset(asset) }));
    }
    router.with_state(Arc::new(Pages {
        sources,
        builds,
        live_logs: Arc::new(Semaphore::new(LIVE_LOGS)),
        base,
    }))
}

impl Pages {
    fn frame(&self) -> Frame<'_> {
        Frame {
            base: &self.base,
            now: SystemTime::now(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn source(&self, namespace: String, name: String) -> Option<Arc<NiphasSource>> {
        self.sources.get(&Key { namespace, name })
    }

    /// What is remembered of the builds of a run.
    async fn record(&self, run: RunName) -> Option<Arc<RunRecord>> {
        let records = Arc::clone(&self.builds.get()?.records);
        let read = tokio::task::spawn_blocking(move || records.read(&run)).await;
        read.ok().flatten()
    }

    /// Adds the ends of logs.
    async fn add_logs(&self, failures: &mut [Failure]) {
        let Some(Shown { logs, .. }) = self.builds.get() else {
            return;
        };
        for failure in failures.iter_mut().filter(|failure| failure.log.is_empty()) {
            let Ok(path) = StorePath::from_base_name(failure.derivation.as_str()) else {
                continue;
            };
            // What has no log, or one that cannot be read, has none on this page.
            if let Ok(Some(log)) = logs.open(path).await
                && let Ok((text, _)) = log.last(FAILURE_LOG).await
            {
                failure.log = text;
            }
        }
    }

    fn not_found(&self) -> Response {
        let text = "There is no such page. A source, a run or a log that is gone has none.";
        let page = message_page(&self.frame(), "Not found", text);
        html(StatusCode::NOT_FOUND, page)
    }
}

async fn all(State(pages): State<Arc<Pages>>) -> Response {
    let Some(sources) = pages.sources.all() else {
        let text = "Sources are being listed. Try again in a moment.";
        let page = message_page(&pages.frame(), "Not yet", text);
        return html(StatusCode::SERVICE_UNAVAILABLE, page);
    };
    let page = sources_page(&pages.frame(), &view::sources(&sources));
    html(StatusCode::OK, page)
}

async fn source(
    State(pages): State<Arc<Pages>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let Some(source) = pages.source(namespace, name) else {
        return pages.not_found();
    };
    let frame = pages.frame();
    let runs = view::runs(&source, frame.now);
    let page = source_page(&frame, &view::source(&source), &runs);
    html(StatusCode::OK, page)
}

async fn run(
    State(pages): State<Arc<Pages>>,
    Path((namespace, name, id)): Path<(String, String, String)>,
) -> Response {
    let frame = pages.frame();
    let Some(source) = pages.source(namespace.clone(), name.clone()) else {
        return pages.not_found();
    };
    if !view::has_run(&source, &id) {
        return pages.not_found();
    }
    let of = Key { namespace, name };
    let name = RunName {
        source: of,
        id: id.clone(),
    };
    let record = pages.record(name).await;
    let Some(mut run) = view::run(&source, &id, record.as_deref(), frame.now) else {
        return pages.not_found();
    };
    pages.add_logs(&mut run.failures).await;
    html(StatusCode::OK, run_page(&frame, &run))
}

async fn missing(State(pages): State<Arc<Pages>>) -> Response {
    pages.not_found()
}

fn html(code: StatusCode, page: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (code, SAFE, headers, page).into_response()
}

fn asset(asset: &Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (SAFE, headers, asset.parts.concat()).into_response()
}

/// What goes with each answer.
const SAFE: [(header::HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
];
