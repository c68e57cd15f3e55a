//! The HTTP client of the S3 library. Its errors have neither the status of an answer nor its headers, so answers after which a
//! request may be sent again are errors of this client, which have both.

use futures::FutureExt;
use futures::future::BoxFuture;
use niphas_http::Failure;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use thiserror::Error;

#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(HttpClient);

impl HttpService for Service {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let answer = self.0.execute(request);
        answer.map(|answer| answer.and_then(checked)).boxed()
    }
}

/// The server refuses for the moment.
#[derive(Debug, Error)]
#[error("the server answered HTTP {status}")]
struct Refused {
    status: u16,
    failure: Failure,
}

fn checked(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let status = response.status().as_u16();
    let failure = Failure::Status {
        status,
        retry_after: niphas_http::retry_after(response.headers()),
    };
    if failure.is_passing() {
        return Err(HttpError::new(
            HttpErrorKind::Unknown,
            Refused { status, failure },
        ));
    }
    Ok(response)
}

/// How a request failed.
pub(crate) fn failure_of(error: &object_store::Error) -> Failure {
    let object_store::Error::Generic { source, .. } = error else {
        return Failure::Lasting;
    };
    let first: &(dyn std::error::Error + 'static) = &**source;
    let mut causes = std::iter::successors(Some(first), |&error| error.source());
    let refused = causes.find_map(|cause| cause.downcast_ref::<Refused>());
    refused.map_or(Failure::Broken, |refused| refused.failure)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use reqwest::StatusCode;
    use reqwest::header::{HeaderValue, RETRY_AFTER};

    use super::*;

    #[test]
    fn the_status_and_the_pause_asked_for_come_through_the_library_s_errors() {
        let mut response = HttpResponse::new(Bytes::new().into());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        let Err(error) = checked(response) else {
            panic!("an answer that passes is one of the library's");
        };
        let error = object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        };
        let expected = Failure::Status {
            status: 503,
            retry_after: Some(Duration::from_secs(2)),
        };
        assert_eq!(failure_of(&error), expected);
    }

    #[test]
    fn answers_for_the_library_go_to_it() {
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
            let mut response = HttpResponse::new(Bytes::new().into());
            *response.status_mut() = status;
            assert!(checked(response).is_ok(), "{status}");
        }
    }
}
