//! A controller for the conformance suite: it makes no volumes, but tells of one that the driver can publish, so that the
//! suite's cases that begin with a controller can be run too.
//!
//! `controller SOCKET NAME=VALUE...`: the socket to serve, and the volume's attributes.

use std::collections::HashMap;
use std::error::Error;

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use proto::controller_server::{Controller, ControllerServer};
use proto::controller_service_capability::{Rpc, Type, rpc};
use proto::{
    ControllerGetCapabilitiesRequest, ControllerGetCapabilitiesResponse,
    ControllerServiceCapability, CreateVolumeRequest, CreateVolumeResponse, DeleteVolumeRequest,
    DeleteVolumeResponse, Volume,
};

mod proto {
    #![expect(
        unreachable_pub,
        unused_qualifications,
        clippy::pedantic,
        reason = "generated from tests/proto"
    )]
    include!(concat!(env!("OUT_DIR"), "/controller/csi.v1.rs"));
}

struct Volumes {
    attributes: HashMap<String, String>,
}

#[tonic::async_trait]
impl Controller for Volumes {
    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        let volume = Volume {
            capacity_bytes: 0,
            volume_id: request.into_inner().name,
            volume_context: self.attributes.clone(),
        };
        Ok(Response::new(CreateVolumeResponse {
            volume: Some(volume),
        }))
    }

    async fn delete_volume(
        &self,
        _: Request<DeleteVolumeRequest>,
    ) -> Result<Response<DeleteVolumeResponse>, Status> {
        Ok(Response::new(DeleteVolumeResponse {}))
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<ControllerGetCapabilitiesResponse>, Status> {
        let rpc = Rpc {
            r#type: rpc::Type::CreateDeleteVolume.into(),
        };
        Ok(Response::new(ControllerGetCapabilitiesResponse {
            capabilities: vec![ControllerServiceCapability {
                r#type: Some(Type::Rpc(rpc)),
            }],
        }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let socket = arguments.next().ok_or("want a socket")?;
    let attributes = arguments
        .map(|argument| {
            let (name, value) = argument.split_once('=').ok_or("want NAME=VALUE")?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, &str>>()?;
    Server::builder()
        .add_service(ControllerServer::new(Volumes { attributes }))
        .serve_with_incoming(UnixListenerStream::new(UnixListener::bind(socket)?))
        .await?;
    Ok(())
}
