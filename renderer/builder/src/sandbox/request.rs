//! What [`run`](super::run) is asked for.

use std::path::PathBuf;
use std::time::Duration;

use niphas_store::mount::View;
use nix_formats::StorePath;
use serde::{Deserialize, Serialize};

use super::flows::FlowPolicy;
use crate::Process;

/// A builder to run.
#[derive(Debug)]
pub struct Request {
    /// The builder.
    pub process: Process,
    /// Its input closure.
    pub inputs: Inputs,
    /// `/bin/sh` of the sandbox: a static program on this machine. None: there is no `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// What of the network it may use: nothing if None, a network namespace of its own.
    pub network: Option<Network>,
    /// `/dev/kvm` is there.
    pub kvm: bool,
    /// When it is ended.
    pub limits: Limits,
    /// An empty folder of this build alone, on a file system that has room for the outputs and for what the builder writes.
    /// Its permissions become those of a private folder.
    pub scratch: PathBuf,
}

/// Where the paths of an input closure are. In the sandbox each of them is bound into `/nix/store`, read-only.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// A closure image with its packs, which is mounted for this build alone; needs root.
    pub image: Option<Image>,
    /// Paths that lie in folders, by their base names: exported ones, those of a volume, those of the machine's Nix store.
    pub folders: Vec<Folder>,
}

/// A closure image of `niphas_store`.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image.
    pub file: PathBuf,
    /// Its packs.
    pub devices: Vec<PathBuf>,
    /// How they are mounted. Without `direct_io`, what one build read of a pack is in memory for the next.
    pub view: View,
    /// The paths in it that are bound.
    pub paths: Vec<StorePath>,
}

/// Paths in a folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder.
    pub folder: PathBuf,
    /// Those that are bound.
    pub paths: Vec<StorePath>,
}

/// The network of a builder whose outputs are fixed: the machine's, as far as the policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Network {
    /// What it may reach.
    pub policy: FlowPolicy,
    /// The certificates of authorities that it trusts: a file, shown as `/etc/ssl/certs/ca-certificates.crt`.
    pub certificates: Option<PathBuf>,
}

/// When a builder is ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// After this time.
    pub timeout: Option<Duration>,
    /// After this time without a byte of output.
    pub max_silent_time: Option<Duration>,
    /// After as many bytes of output.
    pub max_log_size: Option<u64>,
    /// Bytes of memory, by cgroup.
    pub memory: Option<u64>,
    /// Processes and threads, as `RLIMIT_NPROC` of the builder. Its user is alone in its user namespace, so no others count.
    pub processes: Option<u64>,
}
