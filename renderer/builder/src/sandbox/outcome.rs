//! What came of a builder.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a builder came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// A signal killed it.
    Killed(i32),
    /// [`Limits::timeout`](super::Limits::timeout)
    TimedOut,
    /// [`Limits::max_silent_time`](super::Limits::max_silent_time)
    Silent,
    /// [`Limits::max_log_size`](super::Limits::max_log_size)
    LogLimit,
    /// [`Limits::memory`](super::Limits::memory), or the machine's.
    OutOfMemory,
    /// The embedding program ended it.
    Cancelled,
}

/// What came of a builder.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The folder with what it left in `/nix/store`, by base name. Mount points of the inputs are in it too: empty folders and
    /// files, and symlinks as the inputs have them.
    pub outputs: PathBuf,
    /// The folder that was [`BUILD_DIR`](crate::BUILD_DIR).
    pub build_dir: PathBuf,
    /// The user that owns what it made, as the file system has it.
    pub owner: u32,
    /// How long it ran.
    pub duration: Duration,
    /// What it used.
    pub usage: Usage,
}

/// What a builder and its processes used. Without a cgroup, processes that no other waited for are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Time of processors in its programs.
    pub user: Duration,
    /// Time of processors in the kernel.
    pub system: Duration,
    /// The most memory at a time, in bytes: of all together by cgroup, else of the largest process.
    pub memory: u64,
}
