//! Calls the driver as kubelet does, for the suites in `ci/`.
//!
//! `test-kubelet SOCKET` reads calls as lines of JSON, makes them all at once, and writes an answer for each when it comes:
//!
//! ```text
//! {"tag": 1, "call": "publish", "volume": "csi-1", "target": "/pods/1/mount", "attributes": {}, "timeout": 120}
//! {"tag": 1, "code": "Ok", "message": "", "seconds": 0.0013}
//! ```
//!
//! `register` and `refuse` connect to the registration socket at `target`, and say whether kubelet took the driver; the
//! answer's message is what the driver told of itself.
//!
//! Where the attribute `csi.storage.k8s.io/pod.uid` is `{uid}`, it becomes the UID in the target path, as kubelet writes it:
//! `…/pods/<UID>/volumes/kubernetes.io~csi/<volume>/mount`.
//!
//! A call with `count` is made for as many volumes, one after the other: `{n}` in `volume` and `target` is the number. Its
//! answer has the `seconds` of each, and the first code that is not `Ok`. Each volume is published, and unpublished as
//! well if the call is `cycle`.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use test_programs::connect;
use test_programs::proto::csi::node_client::NodeClient;
use test_programs::proto::csi::volume_capability::{AccessType, MountVolume};
use test_programs::proto::csi::{
    NodePublishVolumeRequest, NodeUnpublishVolumeRequest, VolumeCapability,
};
use test_programs::proto::registration::registration_client::RegistrationClient;
use test_programs::proto::registration::{InfoRequest, RegistrationStatus};
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::{Request, Status};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tag: u64,
    #[serde(rename = "call")]
    kind: Kind,
    volume: String,
    target: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
    /// In seconds, as kubelet's.
    #[serde(default = "two_minutes")]
    timeout: f64,
    count: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Publish,
    Unpublish,
    Cycle,
    Register,
    Refuse,
}

fn two_minutes() -> f64 {
    120.0
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Seconds {
    One(f64),
    Many(Vec<f64>),
}

#[derive(Debug, Serialize)]
struct Answer {
    tag: u64,
    code: String,
    message: String,
    seconds: Seconds,
}

impl Call {
    fn numbered(&self, number: usize) -> Self {
        let put = |text: &str| text.replace("{n}", &number.to_string());
        Self {
            volume: put(&self.volume),
            target: put(&self.target),
            ..self.clone()
        }
    }

    /// As kubelet does, with a connection for each call.
    async fn make(&self, socket: PathBuf) -> Result<String, Status> {
        if matches!(self.kind, Kind::Register | Kind::Refuse) {
            return self.register().await;
        }
        let channel = connect(socket).await.map_err(unavailable)?;
        let mut client = NodeClient::new(channel);
        if self.kind != Kind::Unpublish {
            let request = NodePublishVolumeRequest {
                volume_id: self.volume.clone(),
                target_path: self.target.clone(),
                volume_capability: Some(VolumeCapability {
                    access_type: Some(AccessType::Mount(MountVolume {})),
                }),
                volume_context: self.volume_context(),
            };
            client.node_publish_volume(self.timed(request)).await?;
        }
        if self.kind != Kind::Publish {
            let request = NodeUnpublishVolumeRequest {
                volume_id: self.volume.clone(),
                target_path: self.target.clone(),
            };
            client.node_unpublish_volume(self.timed(request)).await?;
        }
        Ok(String::new())
    }

    fn volume_context(&self) -> HashMap<String, String> {
        let mut attributes = self.attributes.clone();
        if let Some(uid) = attributes.get_mut("csi.storage.k8s.io/pod.uid")
            && uid == "{uid}"
        {
            let names = Path::new(&self.target).iter();
            let found = names.rev().nth(4).unwrap_or_default();
            *uid = found.to_string_lossy().into_owned();
        }
        attributes
    }

    async fn register(&self) -> Result<String, Status> {
        let channel = connect(self.target.clone().into())
            .await
            .map_err(unavailable)?;
        let mut client = RegistrationClient::new(channel);
        let info = client.get_info(InfoRequest {}).await?.into_inner();
        let status = RegistrationStatus {
            plugin_registered: self.kind == Kind::Register,
            error: String::new(),
        };
        client.notify_registration_status(status).await?;
        Ok(serde_json::json!({
            "type": info.r#type,
            "name": info.name,
            "endpoint": info.endpoint,
            "versions": info.supported_versions,
        })
        .to_string())
    }

    fn timed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs_f64(self.timeout));
        request
    }

    async fn answer(self, socket: PathBuf) -> Answer {
        let mut seconds = Vec::new();
        let (mut worst, mut message) = (Status::ok(""), String::new());
        for number in 0..self.count.unwrap_or(1) {
            let call = if self.count.is_some() {
                self.numbered(number)
            } else {
                self.clone()
            };
            let began = Instant::now();
            match call.make(socket.clone()).await {
                Ok(told) => message = told,
                Err(status) if worst.code() == tonic::Code::Ok => worst = status,
                Err(_) => {}
            }
            seconds.push(began.elapsed().as_secs_f64());
        }
        Answer {
            tag: self.tag,
            code: format!("{:?}", worst.code()),
            message: match worst.code() {
                tonic::Code::Ok => message,
                _ => worst.message().to_owned(),
            },
            seconds: match self.count {
                Some(_) => Seconds::Many(seconds),
                None => Seconds::One(seconds[0]),
            },
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: tonic::transport::Error) -> Status {
    Status::unavailable(format!("not connected: {error}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket: Arc<PathBuf> = Arc::new(
        std::env::args_os()
            .nth(1)
            .ok_or("expected a socket")?
            .into(),
    );
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut calls = tokio::task::JoinSet::new();
    while let Some(line) = lines.next_line().await? {
        let call: Call = serde_json::from_str(&line)?;
        let socket = PathBuf::clone(&socket);
        calls.spawn(async move {
            let answer = call.answer(socket).await;
            let text = serde_json::to_string(&answer).unwrap_or_default();
            let mut out = std::io::stdout().lock();
            // A suite that has ended reads no answers.
            let _ = writeln!(out, "{text}");
            let _ = out.flush();
        });
    }
    calls.join_all().await;
    Ok(())
}
