//! A cache in a folder, over HTTP.
//!
//! Only names that caches have are answered: `nix-cache-info`, `<hash>.narinfo`, `<hash>.ls`, `nar/…`, `log/…` and
//! `realisations/….doi`. There are no listings of folders, no symlink is followed, and nothing is written. To be served by
//! something that bounds connections and the size of request heads.

mod file;
mod name;
mod range;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use nix_formats::StoreDir;

use file::Opened;
use name::Name;
use range::{Part, is_unchanged, part};
pub use tokens::ReadTokens;

/// A cache that is served.
#[derive(Debug, Clone)]
pub struct ServedCache {
    /// Its folder.
    pub folder: PathBuf,
    /// The store folder of its paths.
    pub store_dir: StoreDir,
    /// What Nix sorts caches by: lower is asked sooner. cache.nixos.org has 40.
    pub priority: u32,
    /// Who may read it. None: everyone who reaches it.
    pub tokens: Option<ReadTokens>,
}

/// The pages of a cache.
pub fn router(cache: ServedCache) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(cache))
}

async fn answer(State(cache): State<Arc<ServedCache>>, request: Request) -> Response {
    if let Some(tokens) = &cache.tokens
        && !tokens.allow(request.headers())
    {
        return with_header(
            text(
                StatusCode::UNAUTHORIZED,
                "this cache needs a token, as a bearer token or as the password of a login in netrc",
            ),
            WWW_AUTHENTICATE,
            "Basic realm=\"binary cache\", charset=\"UTF-8\"",
        );
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let refused = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "this cache is only read here",
        );
        return with_header(refused, ALLOW, "GET, HEAD");
    }
    let Some(name) = Name::of(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, "no file of a cache has such a name");
    };
    let folder = cache.folder.clone();
    let opened = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || Opened::open(&folder, &name)).await
    };
    match opened {
        Ok(Ok(Some(file))) => file_answer(file, &name, &request),
        // A cache is one before something is in it.
        Ok(Ok(None)) if name == Name::CacheInfo => about(&cache, request.method()),
        Ok(Ok(None)) => text(StatusCode::NOT_FOUND, "the cache has no such file"),
        Ok(Err(error)) => {
            tracing::error!(file = %name, error = nix_formats::chain(&error), "failed to read a file of the cache");
            text(StatusCode::INTERNAL_SERVER_ERROR, "failed to read the file")
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "failed to read the file"),
    }
}

/// What the cache says of itself.
fn about(cache: &ServedCache, method: &Method) -> Response {
    let info = format!(
        "StoreDir: {}\nWantMassQuery: 1\nPriority: {}\n",
        cache.store_dir, cache.priority
    );
    let length = info.len();
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(info)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, Name::CacheInfo.content_type());
    response
}

fn file_answer(file: Opened, name: &Name, request: &Request) -> Response {
    let size = file.size();
    let mut headers = HeaderMap::new();
    let etag = file.etag();
    headers.insert(ETAG, etag.clone());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(name.caching()));
    if is_unchanged(request.headers(), &etag) {
        return response(StatusCode::NOT_MODIFIED, headers, Body::empty());
    }
    headers.insert(CONTENT_TYPE, name.content_type());
    let (status, start, length) = match part(request, &etag, size) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Some { start, length } => {
            let range = format!("bytes {start}-{}/{size}", start + length - 1);
            headers.extend(HeaderValue::try_from(range).map(|range| (CONTENT_RANGE, range)));
            (StatusCode::PARTIAL_CONTENT, start, length)
        }
        Part::None => {
            let range = HeaderValue::try_from(format!("bytes */{size}"));
            headers.extend(range.map(|range| (CONTENT_RANGE, range)));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return response(StatusCode::RANGE_NOT_SATISFIABLE, headers, Body::empty());
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(file.pieces(start, length))
    };
    response(status, headers, body)
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, content_type);
    response(status, headers, Body::from(format!("{text}\n")))
}

fn with_header(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}
