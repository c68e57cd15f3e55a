//! The client that all requests over HTTP go through.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;
use thiserror::Error;

use crate::within::Names;
use crate::{redirect, tls};

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
    #[error("no CA certificates were found, neither the system's nor those of SSL_CERT_FILE")]
    Certificates(#[source] rustls::Error),
}

/// A client that never waits without limit, and follows no redirect from https to http, nor one from a server on the
/// internet to an address that is not. With `needs_https` it is an error now, rather than at the first request, if no CA
/// certificates are found.
pub fn client(limits: &Limits, needs_https: bool) -> Result<Client, SetupError> {
    let names = Names::default();
    let redirects = redirect::policy(names.clone());
    let tls = tls::config(needs_https).map_err(SetupError::Certificates)?;
    let client = builder(limits, tls, redirects).dns_resolver(Arc::new(names));
    client.build().map_err(SetupError::Client)
}

/// The same without redirects, for requests with tokens in headers of any name: follow redirects with [`crate::next_hop`].
pub fn client_without_redirects(limits: &Limits) -> Result<Client, SetupError> {
    let tls = tls::config(false).map_err(SetupError::Certificates)?;
    let client = builder(limits, tls, Policy::none());
    client.build().map_err(SetupError::Client)
}

/// One that verifies servers by the certificates that are given, in PEM, and reads none of the machine's. It follows no
/// redirects.
pub fn client_of_certificates(limits: &Limits, certificates: &[u8]) -> Result<Client, SetupError> {
    let tls = tls::config_of(certificates).map_err(SetupError::Certificates)?;
    let client = builder(limits, tls, Policy::none());
    client.build().map_err(SetupError::Client)
}

fn builder(limits: &Limits, tls: ClientConfig, redirects: Policy) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("niphas/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.read_timeout)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(redirects)
        .tls_backend_preconfigured(tls)
}
