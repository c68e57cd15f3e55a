//! The pages that people see: what the cluster says of sources, made into HTML.
//!
//! Every replica serves them, from what it watches. They are read only, hold no secret, and have an address of their own, so that what
//! hosts of the internet reach for webhooks is not what shows the sources of all namespaces.

mod view;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use niphas_api::source::NiphasSource;
use niphas_pages::{
    ASSETS, Asset, CONTENT_SECURITY_POLICY, Frame, message_page, run_page, source_page,
    sources_page,
};
use url::Url;

use crate::cluster::Sources;
use crate::queue::Key;

/// What pages are made of.
struct Pages {
    sources: Arc<Sources>,
    /// The path of the address that people reach them by, which something in between takes off.
    base: String,
}

/// The pages; `url` is where people reach them.
pub(crate) fn pages(sources: Arc<Sources>, url: Option<&Url>) -> Router {
    let base = url.map_or_else(String::new, |url| {
        url.path().trim_end_matches('/').to_owned()
    });
    let mut router = Router::new()
        .route("/", get(all))
        .route("/sources/{namespace}/{name}", get(source))
        .route("/sources/{namespace}/{name}/runs/{id}", get(run))
        .fallback(missing);
    for asset in &ASSETS {
        router = router.route(asset.path, get(|| async { self::asset(asset) }));
    }
    router.with_state(Arc::new(Pages { sources, base }))
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

    fn not_found(&self) -> Response {
        let text = "There is no such page. A source or a run that is gone has none.";
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
    let source = pages.source(namespace, name);
    match source.and_then(|source| view::run(&source, &id, frame.now)) {
        Some(run) => html(StatusCode::OK, run_page(&frame, &run)),
        None => pages.not_found(),
    }
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
