//! What the processes of a sandbox tell each other: the program and its supervisor over one socket, the supervisor and the
//! process that becomes the builder over another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use niphas_store::mount::View;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::outcome::Usage;
use super::request::Network;
use crate::Process;

/// No message is larger: the environment and the files of a builder are in one.
const MAX_MESSAGE: usize = 1 << 30;

/// What the supervisor has to know of a [`Request`](super::Request).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) process: Process,
    pub(super) scratch: PathBuf,
    pub(super) image: Option<ImageSource>,
    pub(super) folders: Vec<Source>,
    pub(super) shell: Option<PathBuf>,
    pub(super) network: Option<Network>,
    pub(super) kvm: bool,
    pub(super) memory: Option<u64>,
    pub(super) processes: Option<u64>,
    /// All is set up, and then it ends: no builder is started.
    pub(super) is_trial: bool,
}

impl Job {
    /// Whether the builder gets a cgroup of its own: only if its memory is limited.
    pub(super) fn has_cgroup(&self) -> bool {
        self.memory.is_some()
    }
}

/// A folder with paths that are bound into the store, by their base names.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) folder: PathBuf,
    pub(super) names: Vec<String>,
}

/// A closure image, mounted for one builder, with the paths that are bound from it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageSource {
    pub(super) file: PathBuf,
    pub(super) devices: Vec<PathBuf>,
    pub(super) view: View,
    pub(super) names: Vec<String>,
}

/// What the supervisor tells of the builder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It runs.
    Started { owner: u32 },
    /// The policy keeps it from this address.
    Denied { address: SocketAddr },
    /// It ended.
    Ended {
        /// The status of `wait`.
        status: i32,
        /// What it used.
        usage: Usage,
        /// The kernel killed some of its processes, since it used all of its memory.
        is_out_of_memory: bool,
    },
    /// It could not be started.
    Failed(Fault),
}

/// What the process that becomes the builder tells the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Its process ID as `/proc` has it; it waits for an answer.
    Here { pid: u32 },
    /// The filter of system calls has this descriptor as its listener; it waits for an answer.
    Listener { number: i32 },
    /// All is set up.
    Ready,
    /// Something could not be set up.
    Failed(Fault),
}

/// The answer to [`Word::Here`] and [`Word::Listener`]: what was asked for is done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GoOn;

/// A step that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fault {
    /// The part of the isolation.
    pub(super) part: Part,
    /// What failed: a verb with its object.
    pub(super) action: String,
    /// The error of the system.
    pub(super) errno: Option<i32>,
}

/// A part of the isolation that a machine may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// User namespaces.
    Users,
    /// The other namespaces.
    Namespaces,
    /// A `/proc` of its own.
    Proc,
    /// Other mounts.
    Mounts,
    /// Limits by cgroup.
    Cgroups,
    /// Closure images.
    Images,
    /// Device nodes.
    Devices,
    /// The filter of system calls.
    Filter,
    /// All that any machine has.
    Other,
}

impl Fault {
    pub(super) fn new(part: Part, action: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self {
            part,
            action: action.into(),
            errno: error.into().raw_os_error(),
        }
    }
}

/// Makes a [`Fault`] of an error of the system: for `map_err`.
pub(super) fn fault<E: Into<io::Error>>(part: Part, action: &str) -> impl FnOnce(E) -> Fault {
    move |error| Fault::new(part, action, error)
}

/// As [`fault`], of something done with a path.
pub(super) fn fault_at<E: Into<io::Error>>(
    part: Part,
    action: &str,
    path: &Path,
) -> impl FnOnce(E) -> Fault {
    move |error| Fault::new(part, format!("{action} '{}'", path.display()), error)
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Channel {
    socket: File,
}

impl Channel {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self::from(one), Self::from(other)))
    }

    /// The same end once more. Messages of a few bytes do not mix.
    pub(super) fn duplicate(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { socket })
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
        if body.len() > MAX_MESSAGE {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut framed = Vec::with_capacity(body.len() + 4);
        framed.extend_from_slice(&(body.len() as u32).to_ne_bytes());
        framed.extend_from_slice(&body);
        self.socket.write_all(&framed)
    }

    /// Waits for a message. The other end is closed: an error of the kind `UnexpectedEof`.
    pub(super) fn receive<M: DeserializeOwned>(&mut self) -> io::Result<M> {
        let mut size = [0; 4];
        self.socket.read_exact(&mut size)?;
        let size = u32::from_ne_bytes(size) as usize;
        if size > MAX_MESSAGE {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut body = Vec::new();
        (&self.socket).take(size as u64).read_to_end(&mut body)?;
        if body.len() < size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        postcard::from_bytes(&body).map_err(io::Error::other)
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self {
            socket: File::from(socket),
        }
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        Self::from(channel.socket)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
