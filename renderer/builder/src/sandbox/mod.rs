//! The sandbox: runs one builder with its inputs mounted, and nothing else of the machine in sight.

pub mod seccomp;

use std::path::PathBuf;
use std::time::Duration;

use nix_formats::StorePath;

use crate::Process;

/// A builder to run.
#[derive(Debug)]
pub struct Request {
    /// The builder.
    pub process: Process,
    /// Its input closure.
    pub inputs: Inputs,
    /// The paths that it is to make.
    pub outputs: Vec<StorePath>,
    /// `/bin/sh` of the sandbox: a static program on this machine. None: there is no `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// What of the network it may use: nothing if None.
    pub network: Option<FlowPolicy>,
    /// `/dev/kvm` is there.
    pub kvm: bool,
    /// When it is ended.
    pub limits: Limits,
    /// An empty folder of this build alone, on a file system that has room for the outputs and for what the builder writes.
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

/// What a builder with network may reach. Only derivations whose outputs are fixed get one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowPolicy {}

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
    /// Processes and threads, by cgroup.
    pub processes: Option<u64>,
}

/// How a builder came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// A signal killed it.
    Killed(i32),
    /// [`Limits::timeout`]
    TimedOut,
    /// [`Limits::max_silent_time`]
    Silent,
    /// [`Limits::max_log_size`]
    LogLimit,
    /// [`Limits::memory`], or the machine's.
    OutOfMemory,
    /// The embedding program ended it.
    Cancelled,
}

/// What came of a builder.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The folder with what it left in `/nix/store`, by base name.
    pub outputs: PathBuf,
    /// The folder that was [`BUILD_DIR`](crate::BUILD_DIR).
    pub build_dir: PathBuf,
    /// The user that owns what it made, as the file system has it.
    pub owner: u32,
    /// How long it ran.
    pub duration: Duration,
}
