//! What the mesh answers: parts to peers, and files to readers of its own node.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use niphas_mesh_policy::{Name, Need, Part, Place, Role};

use crate::arrival::{Arrival, End};
use crate::file_name::FileName;
use crate::files::Reading;
use crate::metrics::{Answered, Fallback};
use crate::node::{Node, Upload};
use crate::peers::{ASKER, AVOIDING, BUSY, FILE_SIZE, FROM, NOT_HERE, PEER, ROLE, ROLES, number};

/// How long a peer waits at most for the size of a file.
const SIZE_TIME: Duration = Duration::from_secs(15);

/// Bytes of the longest name of a node.
const LONGEST_NAME: usize = 253;

/// Names that a peer may be avoiding.
const MOST_AVOIDED: usize = 8;

/// Everything that the mesh answers.
///
/// - `GET /part/<cache>/<index>/<file>`: a part of a file, for peers.
/// - `GET /cache/<cache>/<file>`: a file, for readers of this node.
///
/// `<cache>` is the cache's URL, percent-encoded.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/part/{cache}/{index}/{*name}", get(part))
        .route("/cache/{cache}/{*name}", get(file))
        .with_state(node)
}

fn with_query(name: String, query: Option<String>) -> String {
    match query {
        Some(query) => format!("{name}?{query}"),
        None => name,
    }
}

// For peers.

/// What a peer asks for.
struct Asked {
    peer: Name,
    role: Role,
    avoiding: Vec<Name>,
    from: u64,
}

impl Asked {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
        let is_name = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME;
        let peer = text(&ASKER).filter(|name| is_name(name))?.into();
        let role = text(&ROLE)?;
        let (_, role) = *ROLES.iter().find(|(name, _)| *name == role)?;
        let avoiding = text(&AVOIDING).unwrap_or_default().split(',');
        let avoiding = avoiding.filter(|name| is_name(name)).take(MOST_AVOIDED);
        Some(Self {
            peer,
            role,
            avoiding: avoiding.map(Name::from).collect(),
            from: number(headers, &FROM)?,
        })
    }
}

async fn part(
    State(node): State<Arc<Node>>,
    Path((cache, index, name)): Path<(String, u32, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = node.gate.peer(&headers) {
        return refused.status().into_response();
    }
    let Some(asked) = Asked::read(&headers) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = match node.file_name(&cache, with_query(name, query)) {
        Some(file) => answer(&node, &file, index, &asked).await,
        // A cache that only the peer is configured with.
        None => Err((Answered::NotHere, NOT_HERE.into_response())),
    };
    match answer {
        Ok(response) => {
            node.metrics.answered(Answered::Served);
            response
        }
        Err((answered, response)) => {
            node.metrics.answered(answered);
            response
        }
    }
}

async fn answer(
    node: &Arc<Node>,
    file: &FileName,
    index: u32,
    asked: &Asked,
) -> Result<Response, (Answered, Response)> {
    let not_here = || (Answered::NotHere, NOT_HERE.into_response());
    let part = Part {
        file: file.id,
        index,
    };
    let as_home = |need| {
        let arrival = node.part(file, index, need);
        arrival.asked_as_home(need, asked.from);
        arrival
    };
    let arrival = match asked.role {
        Role::Holder => node.parts.get(part).ok_or_else(not_here)?,
        Role::Keeper => {
            let kept = node.parts.get(part);
            let kept = kept.filter(|kept| kept.state().end == Some(End::Whole));
            kept.ok_or_else(not_here)?
        }
        Role::ZoneHome => as_home(Need::OfZone),
        Role::Home => as_home(Need::OfAll),
    };
    let size = tokio::time::timeout(SIZE_TIME, arrival.file_size()).await;
    let file_size = match size {
        Ok(Ok(size)) => size,
        Ok(Err(End::Missing)) => {
            return Err((Answered::Missing, StatusCode::NOT_FOUND.into_response()));
        }
        _ => return Err(not_here()),
    };
    let rest = arrival.size().and_then(|size| size.checked_sub(asked.from));
    let rest = rest.ok_or_else(not_here)?;
    match arrival.place(asked.role, &asked.peer, &asked.avoiding, node.now()) {
        Place::Here => {}
        Place::At(peer) => return Err((Answered::Elsewhere, elsewhere(&peer))),
    }
    let Some(upload) = node.upload(&asked.peer) else {
        let instead = arrival.instead(asked.role, &asked.peer, &asked.avoiding);
        let answer = instead.map_or_else(|| BUSY.into_response(), |peer| elsewhere(&peer));
        return Err((Answered::Busy, answer));
    };
    let upload = Sending {
        node: Arc::clone(node),
        arrival,
        at: asked.from,
        _upload: upload,
    };
    let mut response = Response::new(upload.into_body());
    response.headers_mut().insert(FILE_SIZE, file_size.into());
    response.headers_mut().insert(CONTENT_LENGTH, rest.into());
    Ok(response)
}

fn elsewhere(peer: &Name) -> Response {
    match HeaderValue::from_str(peer) {
        Ok(peer) => (BUSY, [(PEER, peer)]).into_response(),
        Err(_) => BUSY.into_response(),
    }
}

/// A part on its way to a peer.
struct Sending {
    node: Arc<Node>,
    arrival: Arc<Arrival>,
    at: u64,
    _upload: Upload,
}

impl Sending {
    fn into_body(self) -> Body {
        let pieces = futures::stream::try_unfold(self, |mut sending| async move {
            let piece = sending.arrival.read(sending.at).await?;
            sending.at += piece.len() as u64;
            sending.node.pace(piece.len() as u64).await;
            sending.node.metrics.sent(piece.len() as u64);
            std::io::Result::Ok((!piece.is_empty()).then_some((piece, sending)))
        });
        Body::from_stream(pieces)
    }
}

// For readers of this node.

async fn file(
    State(node): State<Arc<Node>>,
    Path((cache, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = node.gate.reader(&headers) {
        return refused.status().into_response();
    }
    // What the mesh cannot give is not here, so that the reader asks the cache itself at once.
    let not_here = || StatusCode::NOT_FOUND.into_response();
    let Some(file) = node.file_name(&cache, with_query(name, query)) else {
        return not_here();
    };
    let mut reading = match Reading::open(&node, file.clone()).await {
        Ok(reading) => reading,
        Err(End::Missing) => return not_here(),
        Err(_) => {
            node.metrics.fell_back(Fallback::Reader);
            return not_here();
        }
    };
    if file.is_narinfo() {
        return reading.narinfo().await.map_or_else(
            |_| not_here(),
            |text| {
                node.note_narinfo(&file, &text);
                text.into_response()
            },
        );
    }
    let size = reading.size;
    let start = headers
        .get(RANGE)
        .and_then(|range| open_range(range.to_str().ok()?));
    if let Some(start) = start.filter(|start| *start >= size) {
        tracing::debug!(
            file = file.name,
            start,
            size,
            "a reader asks for what comes after the end"
        );
        let range = format!("bytes */{size}");
        return (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response();
    }
    let at = start.unwrap_or(0);
    reading.seek(at);
    let mut response = Response::new(Body::from_stream(reading.into_stream()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, (size - at).into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if start.is_some()
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {at}-{}/{size}", size - 1))
    {
        headers.insert(CONTENT_RANGE, range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// The start of a range without an end, `bytes=5-`: what readers that resume ask for. Others get the whole file, as they may.
fn open_range(text: &str) -> Option<u64> {
    text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
