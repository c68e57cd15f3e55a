//! The hidden mode of the program in which it is the sandbox's process.

use std::os::fd::{AsFd, OwnedFd};
use std::{fs, io, process};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal, umask};
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin};
use rustix::thread::UnshareFlags;

use super::access::Access;
use super::message::{Channel, Fault, Job, Part, Report, fault};
use super::supervisor::supervise;
use super::system::{self, Forked};

/// The argument that asks for the hidden mode.
pub(super) const ARGUMENT: &str = "--sandbox-of-a-build";

/// Does the work of a sandbox's process, and does not come back, if that is what this program was started for by
/// [`run`](super::run). Else it does nothing.
///
/// A program that calls [`run`](super::run) calls it first of all in `main`, while it has one thread.
pub fn child_main() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == ARGUMENT) && args.next().is_none() {
        let code = i32::from(child().is_err());
        process::exit(code);
    }
}

/// An error here is one of the connection, so it could not be told.
fn child() -> io::Result<()> {
    let mut program = Channel::from(fcntl_dupfd_cloexec(stdin(), 3)?);
    let job: Job = program.receive()?;
    umask(Mode::WGRP | Mode::WOTH);
    match begin() {
        Ok((access, Forked::Child)) => supervise(&job, program, access),
        Ok((_, Forked::Parent(supervisor))) => {
            drop(program);
            let_go_of_standard_streams()?;
            system::wait_for(supervisor).map(drop)
        }
        Err(fault) => program.send(&Report::Failed(fault)),
    }
}

/// Makes the process that is the first of a process namespace, with mounts of its own.
fn begin() -> Result<(Access, Forked), Fault> {
    let access = Access::of_this_process()?;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    if access == Access::Own {
        let own = "make a user namespace";
        system::unshare(UnshareFlags::NEWUSER).map_err(fault(Part::Users, own))?;
        let write = |file: &str, text: String| {
            fs::write(format!("/proc/self/{file}"), text)
                .map_err(fault(Part::Users, "map the user into a user namespace"))
        };
        write("uid_map", format!("{user} {user} 1"))?;
        write("setgroups", "deny".to_owned())?;
        write("gid_map", format!("{group} {group} 1"))?;
    }
    system::unshare(UnshareFlags::NEWPID | UnshareFlags::NEWNS).map_err(fault(
        Part::Namespaces,
        "make a process and a mount namespace",
    ))?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(fault(Part::Mounts, "keep mounts from spreading"))?;
    let forked = system::fork().map_err(fault(Part::Namespaces, "start the supervisor"))?;
    if matches!(forked, Forked::Child) {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(fault(Part::Other, "follow the program to its end"))?;
    }
    Ok((access, forked))
}

/// Puts `/dev/null` in the place of the socket and of the terminal, so that who waits for their end sees it.
pub(super) fn let_go_of_standard_streams() -> io::Result<()> {
    let null = null()?;
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    Ok(())
}

pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
