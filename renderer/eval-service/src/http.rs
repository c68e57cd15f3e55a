//! What the service answers: webhooks, requests of scripts, metrics and health.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use niphas_api::source::NiphasSource;
use niphas_api::{PUSHED_ANNOTATION, RETRY_ANNOTATION};
use niphas_webhooks::{Event, Hook, MAX_BODY, PullRequest, Replay, Replays, WebhookError};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::cluster::{ClusterError, Sources, annotate, patiently};
use crate::hook::{self, HookIndex};
use crate::metrics::Metrics;
use crate::pull_requests;
use crate::queue::Key;

/// Whom tokens of requests must be for: one that is for the API server alone would let this service act as its owner there.
const AUDIENCE: &str = "niphas-eval";
/// Tokens that the API server is asked of at the same time: everybody may send some.
const MOST_REVIEWS: usize = 8;

/// What all answers need.
pub(crate) struct Service {
    client: Client,
    sources: Arc<Sources>,
    metrics: Metrics,
    registry: Registry,
    replays: Mutex<Replays>,
    hooks: tokio::sync::Mutex<HookIndex>,
    reviews: Semaphore,
}

impl Service {
    pub(crate) fn new(client: Client, sources: Arc<Sources>, metrics: Metrics) -> Self {
        Self {
            client,
            sources,
            registry: metrics.registry(),
            metrics,
            replays: Mutex::default(),
            hooks: tokio::sync::Mutex::default(),
            reviews: Semaphore::new(MOST_REVIEWS),
        }
    }
}

/// The pages.
pub(crate) fn pages(service: Arc<Service>) -> Router {
    let metrics = |State(service): State<Arc<Service>>| async move {
        niphas_daemon::metrics_page(&service.registry)
    };
    Router::new()
        .route("/hooks/{id}", post(webhook))
        .route("/evaluate", post(evaluate))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(service)
}

/// Ready once all sources were listed: before that, no webhook finds its source.
async fn ready(State(service): State<Arc<Service>>) -> Response {
    match service.sources.all() {
        Some(_) => "ok\n".into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "sources are being listed\n",
        )
            .into_response(),
    }
}

fn json_response(code: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (code, kind, format!("{body}\n")).into_response()
}

/// What is answered, and the name of it for metrics.
type Answer = (&'static str, StatusCode, Value);

#[expect(
    clippy::needless_pass_by_value,
    reason = "errors and texts that end here"
)]
fn refuse(result: &'static str, code: StatusCode, error: impl ToString) -> Answer {
    (result, code, json!({ "error": error.to_string() }))
}

fn unavailable(error: &ClusterError) -> Answer {
    warn!(
        error = nix_formats::chain(error),
        "failed to answer a request"
    );
    // Why is not a stranger's concern.
    refuse(
        "unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "the cluster did not answer; try again",
    )
}

async fn webhook(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = receive(&service, &id, &headers, &body).await;
    let (result, code, body) = answer.unwrap_or_else(|error| unavailable(&error));
    service.metrics.webhook(result);
    json_response(code, &body)
}

async fn receive(
    service: &Service,
    id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, ClusterError> {
    let client = &service.client;
    let found = service
        .hooks
        .lock()
        .await
        .find(client, &service.sources, id)
        .await?;
    let source = found.as_ref().and_then(|key| service.sources.get(key));
    let (Some(key), Some(source)) = (found, source) else {
        return Ok(refuse(
            "unknown",
            StatusCode::NOT_FOUND,
            "no source has this address",
        ));
    };
    let Some(webhook) = &source.spec.webhook else {
        return Ok(refuse(
            "unknown",
            StatusCode::NOT_FOUND,
            "no source has this address",
        ));
    };
    let secrets = hook::secrets(client, &source).await?;
    let secrets: Vec<&[u8]> = secrets.iter().map(|secret| &secret.0[..]).collect();
    let hook = Hook {
        provider: hook::provider(webhook),
        secrets: &secrets,
    };
    let now = Timestamp::now().as_second();
    let delivery = match hook.read(headers, body, now) {
        Ok(delivery) => delivery,
        Err(error) => {
            let code = match &error {
                WebhookError::Signature(_) => StatusCode::UNAUTHORIZED,
                WebhookError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                WebhookError::MissingHeader(_) | WebhookError::Body { .. } => {
                    StatusCode::BAD_REQUEST
                }
            };
            return Ok(refuse("refused", code, error));
        }
    };
    let replays = || {
        service
            .replays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if !matches!(delivery.event, Event::Ping) && replays().note(id, body, now) == Replay::Again {
        let said = json!({ "source": key.to_string(), "queued": [], "skipped": ["this request arrived before"] });
        return Ok(("replayed", StatusCode::OK, said));
    }
    let answer = act(service, &key, &source, &delivery.event).await;
    if answer.is_err() {
        replays().forget_last();
    }
    answer
}

/// Does what an event asks for.
async fn act(
    service: &Service,
    key: &Key,
    source: &NiphasSource,
    event: &Event,
) -> Result<Answer, ClusterError> {
    let (mut queued, mut skipped) = (Vec::new(), Vec::new());
    match event {
        Event::Ping => skipped.push("the host tries whether it is heard: it is".to_owned()),
        Event::PullRequest(of) => {
            return act_on_pull_request(service, key, source, of).await;
        }
        Event::Other(name) => skipped.push(format!("'{name}' is nothing that changes a branch")),
        Event::Push(pushes) => {
            for push in pushes {
                match hook::why_skipped(source, push) {
                    Some(why) => skipped.push(format!("branch '{}': {why}", push.branch)),
                    None => {
                        queued.push(json!({ "branch": push.branch, "revision": push.revision }));
                    }
                }
            }
        }
    }
    let code = if queued.is_empty() {
        StatusCode::OK
    } else {
        let now = Timestamp::now();
        annotate(&service.client, key, PUSHED_ANNOTATION, &now.to_string()).await?;
        info!(source = %key, "a push was announced");
        StatusCode::ACCEPTED
    };
    let result = if queued.is_empty() {
        "skipped"
    } else {
        "queued"
    };
    let said = json!({ "source": key.to_string(), "queued": queued, "skipped": skipped });
    Ok((result, code, said))
}

/// Does what an event of a pull request asks for.
async fn act_on_pull_request(
    service: &Service,
    key: &Key,
    source: &NiphasSource,
    event: &PullRequest,
) -> Result<Answer, ClusterError> {
    let number = event.number;
    let answer = |queued: Vec<Value>, skipped: Vec<String>| json!({ "source": key.to_string(), "queued": queued, "skipped": skipped });
    if let Some(why) = pull_requests::why_skipped(source, event) {
        let said = answer(vec![], vec![format!("pull request {number}: {why}")]);
        return Ok(("skipped", StatusCode::OK, said));
    }
    pull_requests::announce(&service.client, key, event).await?;
    info!(source = %key, number, "a change of a pull request was announced");
    let said = answer(
        vec![json!({ "pullRequest": number, "revision": event.revision })],
        vec![],
    );
    Ok(("queued", StatusCode::ACCEPTED, said))
}

/// What a script asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EvaluateRequest {
    namespace: String,
    name: String,
    /// Whether the last push is tried again, if it failed.
    #[serde(default)]
    retry: bool,
}

async fn evaluate(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = ask(&service, &headers, &body).await;
    let (_, code, body) = answer.unwrap_or_else(|error| unavailable(&error));
    json_response(code, &body)
}

async fn ask(service: &Service, headers: &HeaderMap, body: &[u8]) -> Result<Answer, ClusterError> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        let said = format!(
            "expected the header 'Authorization: Bearer TOKEN', with a token of a ServiceAccount for the audience '{AUDIENCE}'"
        );
        return Ok(refuse("refused", StatusCode::UNAUTHORIZED, said));
    };
    let request: EvaluateRequest = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return Ok(refuse("refused", StatusCode::BAD_REQUEST, error)),
    };
    let key = Key {
        namespace: request.namespace,
        name: request.name,
    };
    let Ok(_turn) = service.reviews.try_acquire() else {
        let said = "too many requests at this time; try again";
        return Ok(refuse("refused", StatusCode::TOO_MANY_REQUESTS, said));
    };
    let Some(user) = authenticate(&service.client, token).await? else {
        let said = format!("the token is not valid for the audience '{AUDIENCE}'");
        return Ok(refuse("refused", StatusCode::UNAUTHORIZED, said));
    };
    if !may_evaluate(&service.client, user, &key).await? {
        let said = "the token may not 'create' 'niphassources/evaluate' there";
        return Ok(refuse("refused", StatusCode::FORBIDDEN, said));
    }
    if service.sources.get(&key).is_none() {
        return Ok(refuse(
            "unknown",
            StatusCode::NOT_FOUND,
            format!("there is no source {key}"),
        ));
    }
    let annotation = if request.retry {
        RETRY_ANNOTATION
    } else {
        PUSHED_ANNOTATION
    };
    annotate(
        &service.client,
        &key,
        annotation,
        &Timestamp::now().to_string(),
    )
    .await?;
    let said = json!({ "source": key.to_string(), "queued": [{}], "skipped": [] });
    Ok(("queued", StatusCode::ACCEPTED, said))
}

/// The owner of a token that is for this service.
async fn authenticate(client: &Client, token: &str) -> Result<Option<UserInfo>, ClusterError> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: Some(token.to_owned()),
            audiences: Some(vec![AUDIENCE.to_owned()]),
        },
        ..TokenReview::default()
    };
    let api: Api<TokenReview> = Api::all(client.clone());
    let review = patiently(api.create(&PostParams::default(), &review)).await?;
    let status = review.status.unwrap_or_default();
    // An API server that knows nothing of audiences does not say which of them it found.
    let audiences = status.audiences.unwrap_or_default();
    let is_ours = audiences.iter().any(|audience| audience == AUDIENCE);
    let is_valid = status.authenticated == Some(true) && is_ours;
    Ok(status.user.filter(|_| is_valid))
}

/// Whether a user may have a source evaluated.
async fn may_evaluate(client: &Client, user: UserInfo, key: &Key) -> Result<bool, ClusterError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some("niphas.io".to_owned()),
                resource: Some("niphassources".to_owned()),
                subresource: Some("evaluate".to_owned()),
                verb: Some("create".to_owned()),
                namespace: Some(key.namespace.clone()),
                name: Some(key.name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = patiently(api.create(&PostParams::default(), &review)).await?;
    Ok(review.status.is_some_and(|status| status.allowed))
}
