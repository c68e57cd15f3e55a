//! Why a pod fails to deliver.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use binary_cache::SourceError;
use http::StatusCode;
use niphas_http::Failure;
use thiserror::Error;

/// Why a pod fails to deliver.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The service refuses it, for good.
    #[error("the service refused to {doing}: {message}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The status.
        status: StatusCode,
        /// What the service says.
        message: String,
    },
    /// The service cannot be asked, or does not answer as it should.
    #[error("failed to {doing}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It takes too long.
    #[error("failed to {doing} within {} seconds", time.as_secs())]
    Slow {
        /// What was tried.
        doing: &'static str,
        /// How long it may take.
        time: Duration,
    },
    /// The store cannot give an output.
    #[error("failed to read output '{output}'")]
    Source {
        /// The output.
        output: String,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// The log cannot be read.
    #[error("failed to read the log \"{}\"", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// The status with which the service refused it, if it did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Why a request failed.
#[derive(Debug, Error)]
pub(super) enum Sent {
    #[error("failed to reach the service")]
    Http(#[source] reqwest::Error),
    #[error("{message}")]
    Refused {
        status: StatusCode,
        failure: Failure,
        /// Where the upload ends, if it says so.
        offset: Option<u64>,
        message: String,
    },
    #[error("failed to read the token \"{}\"", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the service's URL cannot have a path")]
    Url,
    #[error("the answer does not say how far the upload is")]
    Offset,
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    #[error("the answer is not what it should be")]
    Malformed(#[source] serde_json::Error),
}

impl From<reqwest::Error> for Sent {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Sent {
    /// Whether another attempt may succeed.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Http(error) => Failure::of(error),
            Self::Refused { failure, .. } => *failure,
            // kubelet replaces the file.
            Self::Token { .. } => Failure::Broken,
            Self::Url | Self::Offset | Self::TooLarge(_) | Self::Malformed(_) => Failure::Lasting,
        }
    }

    pub(super) fn doing(self, doing: &'static str) -> ClientError {
        match self {
            Self::Refused {
                status, message, ..
            } => ClientError::Refused {
                doing,
                status,
                message,
            },
            error => ClientError::Failed {
                doing,
                source: Box::new(error),
            },
        }
    }
}
