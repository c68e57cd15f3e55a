//! The protocol's requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::Ingest;
use super::identity::Builds;
use super::refusal::Refusal;
use super::spec::BuildSpec;
use super::staged::{Encoding, Staged, What};
use super::staging::Key;
use super::upload::Target;
use crate::protocol::{BuildName, BuildResult, UPLOAD_OFFSET};

/// The largest result of a build.
const MAX_RESULT: usize = 1 << 20;

/// How long its bytes may take.
const RESULT_TIME: Duration = Duration::from_secs(30);

pub(super) fn router<B: Builds>(ingest: Ingest<B>) -> Router {
    Router::new()
        .route("/builds/{build}", any(build::<B>))
        .route("/builds/{build}/outputs/{output}", any(output::<B>))
        .route("/builds/{build}/log", any(log::<B>))
        .route("/builds/{build}/finish", any(finish::<B>))
        .with_state(ingest)
}

type Answer = Result<Response, Refusal>;

/// A request whose pod may make it.
struct Admitted {
    key: Key,
    spec: Arc<BuildSpec>,
}

impl<B: Builds> Ingest<B> {
    async fn admit(&self, build: &str, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let shared = &self.0;
        let bearer = shared.identities.bearer(&shared.builds, headers).await?;
        // Before the build is looked up: a pod does not learn which other builds there are.
        let name: BuildName = build.parse().map_err(|_| Refusal::NoSuchPage)?;
        if !bearer.builds.contains(&name) {
            return Err(Refusal::OtherBuild(name));
        }
        let spec = shared.builds.spec(&name).await?;
        let spec = spec.ok_or_else(|| Refusal::NoSuchBuild(name.clone()))?;
        let key = Key {
            build: name,
            pod: bearer.pod,
        };
        Ok(Admitted { key, spec })
    }

    async fn staged(&self, key: &Key) -> Result<Arc<Staged>, Refusal> {
        let (shared, key) = (Arc::clone(&self.0), key.clone());
        let staged = tokio::task::spawn_blocking(move || shared.staging.of(&key)).await;
        staged.unwrap_or(Err(Refusal::Internal("open uploads")))
    }

    /// One of the requests of an upload.
    async fn upload(&self, key: &Key, what: What, limit: u64, request: Request) -> Answer {
        let staged = self.staged(key).await?;
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::HEAD => {
                let progress = staged.progress(&what);
                let progress = progress.map_err(|_| Refusal::Internal("read an upload"))?;
                let (encoding, length) = progress.unwrap_or((Encoding::Identity, 0));
                let mut response = at(length);
                if encoding == Encoding::Zstd {
                    let zstd = HeaderValue::from_static("zstd");
                    response.headers_mut().insert(CONTENT_ENCODING, zstd);
                }
                Ok(response)
            }
            Method::PATCH => {
                let (offset, encoding) = (offset(&parts.headers)?, encoding(&parts.headers)?);
                if what == What::Log && encoding != Encoding::Identity {
                    return Err(Refusal::UnknownEncoding);
                }
                let target = Target {
                    staged,
                    what,
                    encoding,
                    limit,
                };
                let ingest = self.clone();
                let receive = async move { ingest.receive(target, offset, body).await };
                let received = tokio::spawn(receive).await;
                let length = received.unwrap_or(Err(Refusal::Internal("write an upload")))?;
                Ok(at(length))
            }
            Method::DELETE if what != What::Log => {
                self.discard(staged, what).await?;
                Ok(at(0))
            }
            _ => Err(Refusal::NoSuchPage),
        }
    }
}

async fn build<B: Builds>(
    State(ingest): State<Ingest<B>>,
    Path(build): Path<String>,
    request: Request,
) -> Answer {
    let Admitted { spec, .. } = ingest.admit(&build, request.headers()).await?;
    if request.method() != Method::GET {
        return Err(Refusal::NoSuchPage);
    }
    json(StatusCode::OK, &spec.request())
}

async fn output<B: Builds>(
    State(ingest): State<Ingest<B>>,
    Path((build, output)): Path<(String, String)>,
    request: Request,
) -> Answer {
    let Admitted { key, spec } = ingest.admit(&build, request.headers()).await?;
    if !spec.derivation().outputs.contains_key(&output) {
        return Err(Refusal::NoSuchOutput(output));
    }
    let limit = ingest.0.settings.limits.output_size;
    let what = What::Output(output);
    ingest.upload(&key, what, limit, request).await
}

async fn log<B: Builds>(
    State(ingest): State<Ingest<B>>,
    Path(build): Path<String>,
    request: Request,
) -> Answer {
    let Admitted { key, spec } = ingest.admit(&build, request.headers()).await?;
    let limit = spec.settings.max_log_size;
    ingest.upload(&key, What::Log, limit, request).await
}

async fn finish<B: Builds>(
    State(ingest): State<Ingest<B>>,
    Path(build): Path<String>,
    request: Request,
) -> Answer {
    let Admitted { key, spec } = ingest.admit(&build, request.headers()).await?;
    if request.method() != Method::POST {
        return Err(Refusal::NoSuchPage);
    }
    let read = tokio::time::timeout(RESULT_TIME, to_bytes(request.into_body(), MAX_RESULT)).await;
    let text = match read {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            return Err(Refusal::TooLarge {
                what: "the result of a build",
                limit: MAX_RESULT as u64,
            });
        }
        Err(_) => return Err(Refusal::Idle(RESULT_TIME.as_secs())),
    };
    let result: BuildResult = serde_json::from_slice(&text)
        .map_err(|error| Refusal::Malformed(format!("expected the result of a build: {error}")))?;
    let staged = ingest.staged(&key).await?;
    if let Some(outcome) = ingest.finish(&key, &staged, spec, result).await? {
        json(StatusCode::OK, &outcome)
    } else {
        let mut response = StatusCode::ACCEPTED.into_response();
        let second = HeaderValue::from_static("1");
        response.headers_mut().insert(RETRY_AFTER, second);
        Ok(response)
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(|_| Refusal::Internal("answer"))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// Where an upload ends.
fn at(length: u64) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let offset = HeaderValue::from(length);
    response.headers_mut().insert(UPLOAD_OFFSET, offset);
    response
}

fn offset(headers: &HeaderMap) -> Result<u64, Refusal> {
    let offset = headers.get(UPLOAD_OFFSET).map(HeaderValue::as_bytes);
    let offset = offset.filter(|text| text.iter().all(u8::is_ascii_digit));
    let offset = offset.and_then(|text| str::from_utf8(text).ok()?.parse().ok());
    offset.ok_or_else(|| Refusal::Malformed(format!("expected a number in {UPLOAD_OFFSET}")))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Encoding::Identity),
        Some(b"zstd") => Ok(Encoding::Zstd),
        Some(_) => Err(Refusal::UnknownEncoding),
    }
}
