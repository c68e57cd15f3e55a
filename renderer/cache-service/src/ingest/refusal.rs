//! Why requests of pods are refused.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use thiserror::Error;

use crate::protocol::{BuildName, Problem, UPLOAD_OFFSET};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It shows no token that is good.
    #[error("expected a bearer token of a build's pod")]
    Unauthenticated,
    /// Its pod has another build.
    #[error("the token's pod does not build '{0}'")]
    OtherBuild(BuildName),
    /// There is no such build, or no more.
    #[error("there is no build '{0}'")]
    NoSuchBuild(BuildName),
    /// The derivation has no such output.
    #[error("the derivation has no output '{0}'")]
    NoSuchOutput(String),
    /// No page has this name, or it has no such method.
    #[error("expected one of the protocol's requests")]
    NoSuchPage,
    /// The upload ends elsewhere.
    #[error("the upload ends at byte {0}")]
    Offset(u64),
    /// Another request took its place.
    #[error("another request goes on with this upload")]
    Superseded,
    /// The upload began in another encoding.
    #[error("the upload began with another Content-Encoding; delete it to begin again")]
    OtherEncoding,
    /// An encoding that is not known.
    #[error("expected the Content-Encoding zstd or identity")]
    UnknownEncoding,
    /// The build has its outcome.
    #[error("the build is finished")]
    Finished,
    /// More bytes than there may be.
    #[error("{what} may have {limit} bytes at most")]
    TooLarge {
        /// What there may not be more of.
        what: &'static str,
        /// The most that it may have.
        limit: u64,
    },
    /// The disk is full, or what uploads may take of it.
    #[error("there is no room for uploads on the service's disk")]
    NoRoom,
    /// Too much goes on.
    #[error("the service is busy with other builds")]
    Busy,
    /// Nothing came.
    #[error("nothing came for {0} seconds")]
    Idle(u64),
    /// The connection broke, or what came is no HTTP.
    #[error("the request broke off")]
    BrokeOff,
    /// It is not as it must be.
    #[error("{0}")]
    Malformed(String),
    /// What arrived is not what was sent.
    #[error("{0}; upload it again")]
    Damaged(String),
    /// A cache, or who knows the builds, does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The service's own fault. Its log says more.
    #[error("the service failed to {0}")]
    Internal(&'static str),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::OtherBuild(_) => StatusCode::FORBIDDEN,
            Self::NoSuchBuild(_) | Self::NoSuchOutput(_) | Self::NoSuchPage => {
                StatusCode::NOT_FOUND
            }
            Self::Offset(_) | Self::Superseded | Self::OtherEncoding | Self::Damaged(_) => {
                StatusCode::CONFLICT
            }
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Finished => StatusCode::GONE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Idle(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BrokeOff | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = self.to_string();
        let body = serde_json::to_vec(&Problem { message }).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Offset(offset) => {
                headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
            }
            Self::Busy | Self::NoRoom | Self::Unavailable(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
