//! How supervision begins.

use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{
    Gid, Pid, PidfdFlags, PidfdGetfdFlags, Uid, fchdir, getpid, pidfd_getfd, pidfd_open,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::kernel::{self, Listener};
use super::policy::FlowPolicy;
use super::supervisor::Supervisor;

/// Why a builder cannot be supervised.
#[derive(Debug, thiserror::Error)]
#[error("failed to supervise the network of the builder: {action}")]
pub struct SuperviseError {
    /// What failed.
    pub action: &'static str,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

fn failed(action: &'static str) -> impl FnOnce(Errno) -> SuperviseError {
    move |error| SuperviseError {
        action,
        source: error.into(),
    }
}

/// The user and the group of a builder, as the supervisor's user namespace has them.
#[derive(Debug, Clone, Copy)]
pub struct BuildUser {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// Takes the listener of a builder's filter from the builder's process, by the number that it has there.
pub fn take_listener(builder: Pid, number: RawFd) -> Result<OwnedFd, SuperviseError> {
    let process = pidfd_open(builder, PidfdFlags::empty())
        .map_err(failed("open the process of the builder"))?;
    pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .map_err(failed("take the listener of its filter"))
}

/// Starts the thread that supervises a builder. It ends when all processes of the builder have, and need not be waited for:
/// it ends with this process, too.
///
/// The thread has the rights of `user` (of this process if None), and of this process the capability alone to look into the
/// builder (`CAP_SYS_PTRACE`): so what it does for the builder, the builder could do itself. `denied` is called with the first
/// addresses that the policy denied, each once.
pub fn supervise(
    listener: OwnedFd,
    policy: FlowPolicy,
    user: Option<BuildUser>,
    denied: impl FnMut(SocketAddr) + Send + 'static,
) -> Result<JoinHandle<()>, SuperviseError> {
    let proc = own_proc().map_err(failed("open /proc of its process namespace"))?;
    let (ready, is_ready) = sync_channel(1);
    let thread = Builder::new().name("flows".to_owned()).spawn(move || {
        let begun = begin(&proc, user);
        let goes_on = begun.is_ok();
        // It is waited for.
        let _ = ready.send(begun);
        if goes_on {
            // If it fails, the listener is closed, and all of the builder's calls fail.
            let _ = Supervisor::new(Listener::new(listener), policy, denied).run();
        }
    });
    let thread = thread.map_err(|source| SuperviseError {
        action: "start a thread",
        source,
    })?;
    match is_ready.recv() {
        Ok(begun) => begun.map(|()| thread),
        Err(_) => Err(failed("start a thread")(Errno::SRCH)),
    }
}

/// A `/proc` of this process's namespace: the one that is mounted may be another's.
fn own_proc() -> Result<OwnedFd, Errno> {
    match mount_proc() {
        Err(Errno::PERM | Errno::ACCESS) => {}
        other => return other,
    }
    let own = readlinkat(CWD, "/proc/self", Vec::new())?;
    if own.to_bytes() != getpid().to_string().as_bytes() {
        return Err(Errno::PERM);
    }
    let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, "/proc", place, Mode::empty())
}

fn mount_proc() -> Result<OwnedFd, Errno> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

/// Moves this thread into `/proc`, and gives it the builder's rights.
fn begin(proc: &OwnedFd, user: Option<BuildUser>) -> Result<(), SuperviseError> {
    let folder = "enter /proc";
    kernel::unshare_working_folder().map_err(failed(folder))?;
    fchdir(proc).map_err(failed(folder))?;
    let rights = "take the rights of the build user";
    if let Some(BuildUser { user, group }) = user {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        set_keep_capabilities(true).map_err(failed(rights))?;
        set_thread_groups(&[]).map_err(failed(rights))?;
        set_thread_res_gid(group, group, group).map_err(failed(rights))?;
        set_thread_res_uid(user, user, user).map_err(failed(rights))?;
    }
    let own = capabilities(None).map_err(failed(rights))?;
    let kept = own.permitted & CapabilitySet::SYS_PTRACE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(failed(rights))
}
