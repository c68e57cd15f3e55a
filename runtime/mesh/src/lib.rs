//! The mesh: nodes of a cluster give each other the files of binary caches, while these are still arriving.
//!
//! On its node the mesh is an HTTP binary cache for each cache that it is configured with, which `niphas-csi` asks before the
//! cache itself. It carries bytes and no trust: who reads them checks signatures and NAR hashes as those of any cache. Which node
//! asks which is decided in `niphas-mesh-policy`; here are the sockets, the disk and the clock.

mod arrival;
mod cluster;
mod directory;
mod fetch;
mod file_name;
mod files;
mod metrics;
mod node;
mod origin;
mod parts;
mod peers;
mod run;
mod serve;
mod status;
mod tokens;

pub use cluster::{ServiceName, ServiceNameError};
pub use directory::{Directory, DirectoryError, Peer};
pub use metrics::{From as ReceivedFrom, Metrics};
pub use node::{Node, NodeError, NodeOptions};
pub use parts::Kept;
pub use run::{Members, MeshOptions, run};
pub use serve::router;
pub use status::{CacheStatus, MemberStatus, MeshStatus, ReceivedBytes, StatusError, UploadStatus};
/// Bytes of the parts that files are cut into.
pub const PART: usize = niphas_mesh_policy::PART_SIZE as usize;

pub use tokens::{Accounts, Gate, Keys, KeysError, Refused};
