//! What the renderer and the runtime agree on.
//!
//! - [`NiphasWorkload`], what runs, and its definition ([`crd`]);
//! - [`source::NiphasSource`], a repository whose pushes become workloads, and its definition ([`source_crd`]);
//! - [`ClosureLines`] and [`ClosureDigest`], which pin every byte that a workload runs;
//! - [`children`], the plain Kubernetes objects that a workload consists of;
//! - [`volume_attributes`] and [`VolumeAttributes`], through which a pod names its closure to the CSI driver;
//! - [`to_yaml`], so that everybody writes the same bytes.
//!
//! The crate is pure: no client, no runtime, no file system.

mod children;
mod closure;
mod crd;
mod quantity;
mod roots;
#[expect(
    unreachable_pub,
    reason = "kube's derive repeats the types in a private scope"
)]
pub mod source;
mod status;
mod view_name;
mod volume;
#[expect(
    unreachable_pub,
    reason = "kube's derive repeats the types in a private scope"
)]
mod workload;
mod yaml;

pub use children::{
    BASE_IMAGE, ChildrenError, MAIN_CONTAINER, UnknownSystem, WORKLOAD_LABEL, architecture,
    children, headless_service, shared_claims,
};
pub use closure::{ClosureDigest, ClosureError, ClosureLine, ClosureLines, ClosureTextError};
pub use crd::{QUANTITY_PATTERN, crd, source_crd};
pub use quantity::{Amount, BadQuantity};
pub use roots::{BadRoot, NoRoots, Roots};
pub use status::{NiphasWorkloadStatus, RunningClosure};
pub use view_name::{BadViewName, ViewName};
pub use volume::{BadVolumeAttributes, VolumeAttributes, VolumeAttributesError, volume_attributes};
pub use workload::{
    AccessMode, Autoscaling, BadSystem, ClaimRetention, Closure, ClusterIp, CompletionMode,
    ConcurrencyPolicy, CronJob, DaemonSetFields, DeploymentFields, DisruptionBudget,
    EnvironmentVariable, FurtherContainer, GrpcRoute, HttpRoute, Ingress, IngressHost, IngressPath,
    IpFamily, IpFamilyPolicy, Job, NetworkPolicy, NiphasWorkload, NiphasWorkloadSpec,
    ParentReference, PathType, PodManagement, PodReplacement, Port, Probes, Protocol,
    RestartPolicy, Retention, Root, Service, ServiceAccount, ServiceType, SessionAffinity,
    StatefulSetFields, Strategy, StrategyType, System, TrafficPolicy, UnhealthyPods, VolumeClaim,
    VolumeMode, WorkloadFile, WorkloadKind,
};
pub use yaml::to_yaml;

/// Kubernetes' API types, in the version that [`NiphasWorkload`] is made of.
pub use k8s_openapi;

/// The annotation that marks a rendered object as niphas' own; its value is the environment's name.
/// What does not carry it is never pruned.
pub const ENVIRONMENT_ANNOTATION: &str = "niphas.io/environment";

/// The annotation that makes the operator leave a workload as it is, unless its value is `false`.
pub const SUSPEND_ANNOTATION: &str = "niphas.io/suspend";

/// The annotation that has a source's last push tried again: each new value once.
pub const RETRY_ANNOTATION: &str = "niphas.io/retry";

/// The annotation by which the receiver of webhooks tells that a source's branch was pushed.
pub const PUSHED_ANNOTATION: &str = "niphas.io/pushed";

/// The annotation by which the receiver of webhooks tells which pull requests of a source's repository changed.
pub const PULL_REQUESTS_ANNOTATION: &str = "niphas.io/pull-requests";

/// The CSI driver that mounts closures.
pub const CSI_DRIVER: &str = "csi.niphas.io";

/// The directory that a closure is mounted at: `store/` with its paths, `root`, and `roots/` if roots have names.
pub const VIEW: &str = "/nix";

/// The first root of a workload's closure, as its containers see it.
pub const VIEW_ROOT: &str = "/nix/root";

/// The folder of the roots that have names, as the containers see it.
pub const VIEW_ROOTS: &str = "/nix/roots";
