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

use super::{BaseImage, Blob, this_architecture};
use crate::http::connect;
use crate::metrics::{Metrics, OutcomeLabels};
use crate::proto::content::content_client::ContentClient;
use crate::proto::content::{WriteAction, WriteContentRequest};
use crate::proto::images::images_client::ImagesClient;
use crate::proto::images::{
    CreateImageRequest, Descriptor, GetImageRequest, Image, UpdateImageRequest,
};
use crate::proto::leases::leases_client::LeasesClient;
use crate::proto::leases::{CreateRequest, DeleteRequest};

/// How often to look whether the image is still there.
const INTERVAL: Duration = Duration::from_secs(30);
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
        let count = |outcome| {
            let labels = OutcomeLabels { outcome };
            metrics.base_image_imports.get_or_create(&labels).inc();
        };
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
                count("ok");
                last_error.clear();
            }
            Err(error) => {
                count("failed");
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
    /// Somebody else's image has the name: pulled from a registry, as a rule.
    Foreign(String),
}

async fn put(socket: &Path, name: &str) -> Result<Put, ImportError> {
    let channel = connect(socket.to_owned())
        .await
        .map_err(|source| ImportError::Connect {
            path: socket.to_owned(),
            source,
        })?;
    let image = BaseImage::new(this_architecture())?;
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
        if digest == image.manifest.digest {
            return Ok(Put::WasThere);
        }
        if there.labels.get(OURS.0).map(String::as_str) != Some(OURS.1) {
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
    write(&channel, lease, &image.config, HashMap::new()).await?;
    // So containerd knows what the manifest needs, when it collects garbage.
    let references = labels([
        (
            "containerd.io/gc.ref.content.config",
            image.config.digest.clone(),
        ),
        (
            "containerd.io/gc.ref.content.l.0",
            image.layer.digest.clone(),
        ),
    ]);
    write(&channel, lease, &image.manifest, references).await?;

    let record = Image {
        name: name.to_owned(),
        labels: labels([
            // CRI shows it to kubelet, and kubelet does not delete it when the disk is full.
            ("io.cri-containerd.image", "managed".to_owned()),
            ("io.cri-containerd.pinned", "pinned".to_owned()),
            (OURS.0, OURS.1.to_owned()),
        ]),
        target: Some(Descriptor {
            media_type: image.manifest.media_type.to_owned(),
            digest: image.manifest.digest.clone(),
            size: image.manifest.bytes.len() as i64,
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
