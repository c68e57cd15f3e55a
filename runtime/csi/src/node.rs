//! The CSI Node service: what kubelet calls for each volume.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use niphas_api::{System, VolumeAttributes};
use nix_formats::{printable, shortened};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tracing::{Instrument, error, info, info_span, warn};

use crate::calls::Calls;
use crate::error::VolumeError;
use crate::events::{Events, Reason};
use crate::metrics::{Answer, Method, Metrics, Outcome, Start};
use crate::pod::Pod;
use crate::proto::csi::node_server::Node;
use crate::proto::csi::volume_capability::AccessType;
use crate::proto::csi::{
    NodeGetCapabilitiesRequest, NodeGetCapabilitiesResponse, NodeGetInfoRequest,
    NodeGetInfoResponse, NodePublishVolumeRequest, NodePublishVolumeResponse,
    NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse,
};
use crate::traces::{follow, trace_id};
use crate::volumes::{Volume, Volumes};

/// Answers this much before the caller stops waiting.
const MARGIN: Duration = Duration::from_secs(2);

/// Messages travel in a header, and stand in a line of the log.
const MAX_MESSAGE: usize = 4096;

/// Bytes of the longest volume id that CSI allows.
const MAX_ID: usize = 128;

/// Answers kubelet.
#[derive(Clone)]
pub(crate) struct NodeService {
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) node_id: String,
    pub(crate) system: System,
    pub(crate) limit: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) events: Events,
    /// Volumes that are being published.
    pub(crate) publishing: Calls,
    /// Calls that are being answered, also those whose caller has gone.
    pub(crate) calls: TaskTracker,
}

#[tonic::async_trait]
impl Node for NodeService {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let deadline = self.deadline(request.metadata());
        let request = request.into_inner();
        let pod = Pod::of(Path::new(&request.target_path), &request.volume_context);
        let span = info_span!(
            "publish",
            trace_id = trace_id(&request.volume_id),
            volume = request.volume_id,
            namespace = pod.namespace,
            pod = pod.name,
        );
        follow(&span, &request.volume_id);
        let this = self.clone();
        // What was begun comes to an end even if the caller goes away: half a mount would belong to no volume.
        let call = async move { this.publish(request, pod, deadline).await };
        let answered = self.calls.spawn(call.instrument(span)).await;
        answered
            .unwrap_or(Err(VolumeError::Panicked))
            .map(|()| Response::new(NodePublishVolumeResponse {}))
            .map_err(status)
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        let deadline = self.deadline(request.metadata());
        let request = request.into_inner();
        let span = info_span!(
            "unpublish",
            trace_id = trace_id(&request.volume_id),
            volume = request.volume_id,
        );
        follow(&span, &request.volume_id);
        let this = self.clone();
        let call = async move { this.unpublish(request, deadline).await };
        let answered = self.calls.spawn(call.instrument(span)).await;
        answered
            .unwrap_or(Err(VolumeError::Panicked))
            .map(|()| Response::new(NodeUnpublishVolumeResponse {}))
            .map_err(status)
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(NodeGetCapabilitiesResponse {}))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse {
            node_id: self.node_id.clone(),
        }))
    }
}

impl NodeService {
    async fn publish(
        &self,
        request: NodePublishVolumeRequest,
        pod: Pod,
        deadline: Instant,
    ) -> Result<(), VolumeError> {
        let _in_flight = self.metrics.in_flight(Method::Publish);
        let began = Instant::now();
        let id = request.volume_id.clone();
        // The volume first, for what is refused is not to hold a call.
        let begun = self
            .volume(request, pod.clone())
            .and_then(|volume| Ok((volume, self.publishing.begin(&pod.namespace)?)));
        let result = match begun {
            Ok((volume, _call)) => Arc::clone(&self.volumes).publish(volume, deadline).await,
            Err(error) => Err(error),
        };
        let took = began.elapsed();
        let (answer, start) = match &result {
            Ok(start) => (Answer::Published, *start),
            Err(error) if error.is_retryable() => (Answer::Retry, Start::Cold),
            Err(_) => (Answer::Refused, Start::Cold),
        };
        self.metrics.published(answer, start, took);
        let seconds = took.as_secs_f64();
        match &result {
            Ok(start) => info!(start = start.name(), seconds, "published"),
            Err(error) if error.is_retryable() => {
                let message = message(error);
                info!(error = message, seconds, "not published yet");
                self.events.tell(&id, &pod, Reason::Realising, &message);
            }
            Err(error) => {
                let message = message(error);
                warn!(error = message, seconds, "refused");
                self.events.tell(&id, &pod, Reason::Refused, &message);
            }
        }
        result.map(drop)
    }

    async fn unpublish(
        &self,
        request: NodeUnpublishVolumeRequest,
        deadline: Instant,
    ) -> Result<(), VolumeError> {
        let _in_flight = self.metrics.in_flight(Method::Unpublish);
        let began = Instant::now();
        let id = named(request.volume_id, "volume_id")?;
        let target = named(request.target_path, "target_path")?;
        let volumes = Arc::clone(&self.volumes);
        let result = volumes.unpublish(id, PathBuf::from(target), deadline).await;
        let took = began.elapsed();
        self.metrics.unpublished(Outcome::from(&result), took);
        match &result {
            Ok(()) => info!(seconds = took.as_secs_f64(), "unpublished"),
            Err(problem) => error!(error = %problem, "not unpublished"),
        }
        result
    }

    fn volume(&self, request: NodePublishVolumeRequest, pod: Pod) -> Result<Volume, VolumeError> {
        let id = named(request.volume_id, "volume_id")?;
        if id.len() > MAX_ID {
            return Err(VolumeError::LongId(id.len()));
        }
        let target = named(request.target_path, "target_path")?;
        let capability = request
            .volume_capability
            .ok_or(VolumeError::Missing("volume_capability"))?;
        match capability.access_type {
            Some(AccessType::Mount(_)) => {}
            Some(AccessType::Block(_)) => return Err(VolumeError::Block),
            None => return Err(VolumeError::Missing("volume_capability.access_type")),
        }
        let wanted = VolumeAttributes::parse(&request.volume_context, &self.system)?;
        Ok(Volume {
            id,
            target: PathBuf::from(target),
            wanted,
            pod,
        })
    }

    /// When to answer: after the driver's own limit, or shortly before the caller's.
    fn deadline(&self, metadata: &MetadataMap) -> Instant {
        let limit = metadata
            .get("grpc-timeout")
            .and_then(|value| timeout(value.to_str().ok()?))
            .map_or(self.limit, |theirs| {
                self.limit
                    .min(theirs.saturating_sub(MARGIN.min(theirs / 4)))
            });
        Instant::now() + limit
    }
}

fn named(text: String, name: &'static str) -> Result<String, VolumeError> {
    if text.is_empty() {
        Err(VolumeError::Missing(name))
    } else {
        Ok(text)
    }
}

/// gRPC's header: at most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(u64::from(number)),
        "M" => Duration::from_mins(u64::from(number)),
        "S" => Duration::from_secs(u64::from(number)),
        "m" => Duration::from_millis(u64::from(number)),
        "u" => Duration::from_micros(u64::from(number)),
        "n" => Duration::from_nanos(u64::from(number)),
        _ => return None,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "an error is turned into another"
)]
fn status(error: VolumeError) -> Status {
    Status::new(error.code(), message(&error))
}

fn message(error: &VolumeError) -> String {
    let text = error.to_string();
    // People read it in events, and it names what pods and caches said.
    let text = printable(text.as_bytes(), false);
    shortened(&String::from_utf8_lossy(&text), MAX_MESSAGE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(timeout("2M"), Some(Duration::from_mins(2)));
        assert_eq!(timeout("119999m"), Some(Duration::from_millis(119_999)));
        for bad in ["", "S", "5", "5x", "-1S", "é"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }
}
