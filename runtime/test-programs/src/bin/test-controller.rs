//! A controller for the conformance suite: it makes no volumes, but names one that the driver can publish, so that the
//! suite's cases that begin with a controller can be run too. The calls of Node it hands on to the driver.
//!
//! `test-controller SOCKET DRIVER NAME=VALUE...`: the socket to serve, the driver's, and the volume's attributes.

use std::collections::HashMap;
use std::error::Error;

use test_programs::connect;
use test_programs::proto::controller::controller_server::{Controller, ControllerServer};
use test_programs::proto::controller::controller_service_capability::{Rpc, Type, rpc};
use test_programs::proto::controller::identity_server::{Identity, IdentityServer};
use test_programs::proto::controller::plugin_capability::{self, Service, service};
use test_programs::proto::controller::{
    ControllerGetCapabilitiesRequest, ControllerGetCapabilitiesResponse,
    ControllerServiceCapability, CreateVolumeRequest, CreateVolumeResponse, DeleteVolumeRequest,
    DeleteVolumeResponse, GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse,
    GetPluginInfoRequest, GetPluginInfoResponse, PluginCapability, Volume,
};
use test_programs::proto::csi::node_client::NodeClient;
use test_programs::proto::csi::node_server::{Node, NodeServer};
use test_programs::proto::csi::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest,
    NodeGetInfoResponse, NodePublishVolumeRequest, NodePublishVolumeResponse,
    NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

struct Front;

#[tonic::async_trait]
impl Identity for Front {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        Ok(Response::new(GetPluginInfoResponse {
            name: niphas_api::CSI_DRIVER.to_owned(),
            vendor_version: "test".to_owned(),
        }))
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        let service = Service {
            r#type: service::Type::ControllerService.into(),
        };
        Ok(Response::new(GetPluginCapabilitiesResponse {
            capabilities: vec![PluginCapability {
                r#type: Some(plugin_capability::Type::Service(service)),
            }],
        }))
    }
}

struct Forward(NodeClient<Channel>);

#[tonic::async_trait]
impl Node for Forward {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        self.0.clone().node_publish_volume(request).await
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        self.0.clone().node_unpublish_volume(request).await
    }

    async fn node_get_capabilities(
        &self,
        request: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        self.0.clone().node_get_capabilities(request).await
    }

    async fn node_get_info(
        &self,
        request: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        self.0.clone().node_get_info(request).await
    }
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
    let socket = arguments.next().ok_or("expected a socket")?;
    let driver = arguments.next().ok_or("expected the driver's socket")?;
    let driver = NodeClient::new(connect(driver.into()).await?);
    let attributes = arguments
        .map(|argument| {
            let (name, value) = argument.split_once('=').ok_or("expected NAME=VALUE")?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, &str>>()?;
    Server::builder()
        .add_service(IdentityServer::new(Front))
        .add_service(NodeServer::new(Forward(driver)))
        .add_service(ControllerServer::new(Volumes { attributes }))
        .serve_with_incoming(UnixListenerStream::new(UnixListener::bind(socket)?))
        .await?;
    Ok(())
}
