//! What the programs that stand in for others share: the protocols of the CSI driver, and a channel to its socket.
//!
//! None of them is part of niphas: the suites and benchmarks in `ci/` start them. Each says in its own first lines what it is.

pub mod proto;

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

/// A gRPC channel to a unix socket.
pub async fn connect(socket: PathBuf) -> Result<Channel, Error> {
    // The address is never looked at.
    Endpoint::from_static("http://socket")
        .connect_with_connector(service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
}
