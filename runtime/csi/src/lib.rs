//! The CSI driver of niphas: a pod names a closure by an inline ephemeral volume, and gets it at `/nix`.
//!
//! kubelet calls the `node` service over a unix socket. To publish a volume, its attributes are read, the closure is
//! realised by the node's store under the caches and keys that the pod's namespace is trusted with, its
//! `view` is mounted once on the node, and bound to the volume's target. What was published stands in a `record`, so that a
//! driver that was killed goes on where it was.

mod base_image;
mod calls;
mod config;
mod driver;
mod error;
mod events;
mod gc;
mod hints;
mod holdings;
mod http;
mod identity;
mod locks;
mod metrics;
mod node;
mod pod;
mod proto;
mod record;
mod registration;
mod socket;
mod status;
mod traces;
mod trust;
mod view;
mod volumes;

pub use base_image::archive as base_image_archive;
pub use driver::{DriverOptions, run, this_system};
pub use gc::GcPolicy;
pub use niphas_api::BASE_IMAGE;
pub use niphas_daemon::LogFormat;
pub use niphas_store::{KeepFree, Watermark, mount::View};
pub use status::{DriverInfo, NodeStatus, RootStatus, ViewStatus, VolumeStatus};
pub use traces::Traces;
