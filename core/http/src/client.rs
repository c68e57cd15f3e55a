//! The client that all requests over HTTP go through.

use crate::{redirect, tls};
use reqwest::{Client, redirect::Policy};
use std::time::Duration;
use thiserror::Error;

/// How long to wait for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Longest silence, before the answer and within it.
    pub read_timeout: Duration,
}

/// The client can't be made.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The client itself.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// There is nothing to verify a server by.
    #[error("https:// needs the system's CA certificates, or SSL_CERT_FILE")]
    Certificates(#[source] rustls::Error),
}

/// A client that never waits without limit and never follows a redirect from https to http. With `needs_https` it is an
/// error now, rather than at the first request, if no CA certificates are found.
pub fn client(limits: &Limits, needs_https: bool) -> Result<Client, SetupError> {
    build(limits, needs_https, redirect::policy())
}

/// The same without redirects, for requests with tokens in headers of any name: follow redirects with [`crate::next_hop`].
pub fn client_without_redirects(limits: &Limits) -> Result<Client, SetupError> {
    build(limits, false, Policy::none())
}

fn build(limits: &Limits, needs_https: bool, redirects: Policy) -> Result<Client, SetupError> {
    Client::builder()
        .user_agent(concat!("niphas/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.read_timeout)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(redirects)
        .tls_backend_preconfigured(tls::config(needs_https).map_err(SetupError::Certificates)?)
        .build()
        .map_err(SetupError::Client)
}
