//! Puts the base image into containerd. CRI cannot import images, so this speaks containerd's own interface.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tracing::{info, warn};

use super::{BaseImage, Blob};
use crate::http::connect;
use crate::metrics::{Metrics, Outcome};
use crate::proto::content::content_client::ContentClient;
use crate::proto::content::{WriteAction, WriteContentRequest};
use crate::proto::images::images_client::ImagesClient;
use crate::proto::images::{
    CreateImageRequest, Descriptor, GetImageRequest, Image, UpdateImageRequest,
};
use crate::proto::leases::leases_client::LeasesClient;
use crate::proto::leases::{CreateRequest, DeleteRequest};

/// How often to look whether the image is still there. Pods that need it start no sooner.
const INTERVAL: Duration = Duration::from_secs(5);
/// No call takes longer, or containerd is not well.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What kubelet's images belong to.
const NAMESPACE: &str = "k8s.io";
/// Marks the image as ours to replace.
const OURS: (&str, &str) = ("niphas.io/made-by", "niphas-csi");

/// The image cannot be put into containerd.
#[derive(Debug, Error)]
enum ImportError {
    #[error("cannot connect to containerd at '{path}'")]
    Connect {
        path: PathBuf,
        source: tonic::transport::Error,
    },
    #[error("containerd does not {what}")]
    Call { what: &'static str, source: Status },
    #[error("the base image cannot be made")]
    Make(#[from] std::io::Error),
    #[error("containerd did not answer in {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// Puts the image into containerd, and again whenever it is gone, until `stop`.
pub(crate) async fn keep_present(
    socket: PathBuf,
    name: String,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut last_error = String::new();
    while !stop.is_cancelled() {
        let result = tokio::time::timeout(TIMEOUT, put(&socket, &name))
            .await
            .unwrap_or(Err(ImportError::Timeout));
        match result {
            Ok(Put::WasThere) => last_error.clear(),
            Ok(Put::Foreign(digest)) => {
                let text = format!("an image of that name is there, {digest}: it is left alone");
                if text != last_error {
                    info!(image = name, "{text}");
                    last_error = text;
                }
            }
            Ok(Put::Made) => {
                info!(image = name, "put the base image into containerd");
                metrics.base_image_imported(Outcome::Ok);
                last_error.clear();
            }
            Err(error) => {
                metrics.base_image_imported(Outcome::Failed);
                let text = nix_formats::chain(&error);
                if text != last_error {
                    warn!(
                        image = name,
                        error = text,
                        "cannot put the base image into containerd"
                    );
                    last_error = text;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

enum Put {
    Made,
    WasThere,
    /// An image that the driver has not made has a name that is not the driver's own: pulled from a registry, as a rule.
    Foreign(String),
}

async fn put(socket: &Path, name: &str) -> Result<Put, ImportError> {
    let channel = connect(socket.to_owned())
        .await
        .map_err(|source| ImportError::Connect {
            path: socket.to_owned(),
            source,
        })?;
    let image = BaseImage::new()?;
    let mut images = ImagesClient::new(channel.clone());

    let get = GetImageRequest {
        name: name.to_owned(),
    };
    let there = match images.get(namespaced(get, None)).await {
        Ok(answer) => answer.into_inner().image,
        Err(status) if status.code() == Code::NotFound => None,
        Err(source) => return Err(call("say whether it has the image", source)),
    };
    if let Some(there) = &there {
        let digest = there
            .target
            .as_ref()
            .map_or("", |target| target.digest.as_str());
        if digest == image.index.digest {
            return Ok(Put::WasThere);
        }
        // No registry serves the default name, so what has it and is another image is not what pods are to get.
        let is_ours = there.labels.get(OURS.0).map(String::as_str) == Some(OURS.1);
        if name != niphas_api::BASE_IMAGE && !is_ours {
            return Ok(Put::Foreign(digest.to_owned()));
        }
    }

    // Until the image names the blobs, the lease keeps them from being collected.
    let lease = format!("niphas-base-{}", std::process::id());
    let mut leases = LeasesClient::new(channel.clone());
    let expires = Timestamp::now() + SignedDuration::from_mins(10);
    let create = CreateRequest {
        id: lease.clone(),
        labels: labels([("containerd.io/gc.expire", expires.to_string())]),
    };
    match leases.create(namespaced(create, None)).await {
        Err(status) if status.code() != Code::AlreadyExists => {
            return Err(call("give a lease", status));
        }
        _ => {}
    }
    let written = write_all(channel, &lease, name, &image, there.is_some()).await;
    let delete = DeleteRequest { id: lease };
    // It expires anyhow.
    let _ = leases.delete(namespaced(delete, None)).await;
    written.map(|()| Put::Made)
}

async fn write_all(
    channel: Channel,
    lease: &str,
    name: &str,
    image: &BaseImage,
    replace: bool,
) -> Result<(), ImportError> {
    write(&channel, lease, &image.layer, HashMap::new()).await?;
    for platform in &image.images {
        write(&channel, lease, &platform.config, HashMap::new()).await?;
        let needed = [
            ("config".to_owned(), &platform.config),
            ("l.0".to_owned(), &image.layer),
        ];
        write(&channel, lease, &platform.manifest, references(needed)).await?;
    }
    let manifests = image.images.iter().enumerate();
    let needed = manifests.map(|(number, platform)| (format!("m.{number}"), &platform.manifest));
    write(&channel, lease, &image.index, references(needed)).await?;

    let record = Image {
        name: name.to_owned(),
        labels: labels([
            // CRI shows it to kubelet, and kubelet does not delete it when the disk is full.
            ("io.cri-containerd.image", "managed".to_owned()),
            ("io.cri-containerd.pinned", "pinned".to_owned()),
            (OURS.0, OURS.1.to_owned()),
        ]),
        target: Some(Descriptor {
            media_type: image.index.media_type.to_owned(),
            digest: image.index.digest.clone(),
            size: image.index.bytes.len() as i64,
        }),
    };
    let mut images = ImagesClient::new(channel);
    let lease = Some(lease);
    if replace {
        let update = UpdateImageRequest {
            image: Some(record),
        };
        let updated = images.update(namespaced(update, lease)).await;
        updated
            .map(drop)
            .map_err(|source| call("take the image", source))
    } else {
        let create = CreateImageRequest {
            image: Some(record),
        };
        match images.create(namespaced(create, lease)).await {
            Err(status) if status.code() != Code::AlreadyExists => {
                Err(call("take the image", status))
            }
            _ => Ok(()),
        }
    }
}

/// Labels by which containerd knows, when it collects garbage, what a blob needs.
fn references<'a>(needed: impl IntoIterator<Item = (String, &'a Blob)>) -> HashMap<String, String> {
    let label = |(name, blob): (String, &Blob)| {
        let name = format!("containerd.io/gc.ref.content.{name}");
        (name, blob.digest.clone())
    };
    needed.into_iter().map(label).collect()
}

async fn write(
    channel: &Channel,
    lease: &str,
    blob: &Blob,
    labels: HashMap<String, String>,
) -> Result<(), ImportError> {
    let message = WriteContentRequest {
        action: WriteAction::Commit.into(),
        r#ref: format!("niphas-base-{}", blob.digest),
        total: blob.bytes.len() as i64,
        expected: blob.digest.clone(),
        offset: 0,
        data: blob.bytes.clone(),
        labels,
    };
    let mut content = ContentClient::new(channel.clone());
    let request = namespaced(tokio_stream::once(message), Some(lease));
    let answered = async {
        let mut answers = content.write(request).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    };
    match answered.await {
        Err(status) if Status::code(&status) != Code::AlreadyExists => {
            Err(call("take the image's content", status))
        }
        _ => Ok(()),
    }
}

fn call(what: &'static str, source: Status) -> ImportError {
    ImportError::Call { what, source }
}

fn namespaced<T>(message: T, lease: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(
        "containerd-namespace",
        MetadataValue::from_static(NAMESPACE),
    );
    if let Some(Ok(lease)) = lease.map(MetadataValue::try_from) {
        metadata.insert("containerd-lease", lease);
    }
    request
}

fn labels<const N: usize>(labels: [(&str, String); N]) -> HashMap<String, String> {
    labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
