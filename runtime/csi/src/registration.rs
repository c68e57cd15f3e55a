//! Makes the driver known to kubelet, without a sidecar.
//!
//! kubelet watches its `plugins_registry` folder. It connects to each socket that appears there, asks who serves it and
//! where the driver's own socket is, and tells whether it took the driver. A socket that goes away is a driver that left.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tracing::{error, info, warn};

use crate::identity::DRIVER;
use crate::proto::registration::registration_server::{Registration, RegistrationServer};
use crate::proto::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use crate::socket::SocketFile;

/// How long to wait before kubelet is asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// The name of the registration socket.
///
/// kubelet sends the socket's path as the request's authority, with `%2F` for each `/`. Before an `@` that is a user's name,
/// and allowed; in the name of a host it is not (RFC 3986, 3.2), and our HTTP/2 library refuses the request.
const SOCKET: &str = "niphas@csi.niphas.io-reg.sock";

struct RegistrationService {
    endpoint: String,
    registered: watch::Sender<bool>,
    refused: Arc<Notify>,
}

#[tonic::async_trait]
impl Registration for RegistrationService {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: DRIVER.to_owned(),
            endpoint: self.endpoint.clone(),
            supported_versions: vec!["1.0.0".to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = request.into_inner();
        self.registered.send_replace(status.plugin_registered);
        if status.plugin_registered {
            info!("kubelet registered the driver");
        } else {
            error!(error = status.error, "kubelet refused the driver");
            self.refused.notify_one();
        }
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

/// Keeps the driver registered until `stop`. `registered` tells what kubelet said last.
///
/// kubelet does not ask a driver again that it refused: it gets a new socket. So it does if the socket was removed.
pub(crate) async fn keep_registered(
    folder: PathBuf,
    endpoint: String,
    registered: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let path = folder.join(SOCKET);
    while !stop.is_cancelled() {
        match SocketFile::listen(&path) {
            Ok((socket, listener)) => {
                let refused = Arc::new(Notify::new());
                let service = RegistrationService {
                    endpoint: endpoint.clone(),
                    registered: registered.clone(),
                    refused: Arc::clone(&refused),
                };
                let gone = async {
                    while socket.is_ours() {
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                let over = async {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        // The answer is still to be sent.
                        () = refused.notified() => tokio::time::sleep(PAUSE).await,
                        () = gone => warn!(path = %path.display(), "the registration socket was removed: making a new one"),
                    }
                };
                let served = Server::builder()
                    .add_service(RegistrationServer::new(service))
                    .serve_with_incoming(UnixListenerStream::new(listener));
                tokio::select! {
                    () = over => {}
                    served = served => if let Err(error) = served {
                        error!(%error, "the registration socket failed");
                    },
                }
            }
            Err(error) => {
                error!(
                    error = nix_formats::chain(&error),
                    "cannot register with kubelet"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    registered.send_replace(false);
}
