//! The supervisor: prepares a builder, starts it, and sees to its end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, fchmod, fchown};
use rustix::process::{
    Gid, Pid, PidfdFlags, Signal, Uid, chdir, getegid, geteuid, pidfd_open, pidfd_send_signal,
};
use rustix::stdio::stdout;
use rustix::thread::set_thread_groups;

use super::access::Access;
use super::cgroup::Cgroup;
use super::child::{let_go_of_standard_streams, null};
use super::files::{self, Owner};
use super::flows::{self, SuperviseError, take_listener};
use super::message::{Channel, Fault, GoOn, Job, Part, Report, Word, fault, fault_at};
use super::mounts::{self, Bind};
use super::outcome::Usage;
use super::system::{self, Forked};
use super::users::BuildUser;
use super::{inside, scratch};

/// The user and the group of a builder, as it sees them.
pub(super) const USER: u32 = 1000;
pub(super) const GROUP: u32 = 100;

/// A builder that runs.
struct Running {
    pid: Pid,
    owner: u32,
    cgroup: Option<Cgroup>,
    /// Held while it runs.
    _user: Option<BuildUser>,
    _scratch: File,
}

/// Runs a builder to its end, and tells of it.
pub(super) fn supervise(job: &Job, mut program: Channel, access: Access) -> io::Result<()> {
    match start(job, &program, access) {
        Ok(running) => {
            let_go_of_standard_streams()?;
            program.send(&Report::Started {
                owner: running.owner,
            })?;
            let (status, waited) = watch(running.pid, &program)?;
            let cgroup = running.cgroup.as_ref();
            program.send(&Report::Ended {
                status,
                usage: cgroup.map_or(waited, Cgroup::usage),
                is_out_of_memory: cgroup.is_some_and(Cgroup::is_out_of_memory),
            })
        }
        Err(fault) => program.send(&Report::Failed(fault)),
    }
}

fn start(job: &Job, program: &Channel, access: Access) -> Result<Running, Fault> {
    let user = match access {
        Access::BuildUsers => Some(BuildUser::take()?),
        Access::Own => None,
    };
    let owner = user.as_ref().map(|user| Owner { id: user.id });
    if let Some(owner) = owner {
        become_alone(owner)?;
    }
    // From here on all is named from this folder: the builder's process may have no right to come here.
    chdir(&job.scratch).map_err(fault_at(Part::Other, "enter", &job.scratch))?;
    let lock =
        scratch::lock(Path::new(".")).map_err(fault_at(Part::Other, "lock", &job.scratch))?;
    files::prepare(job, owner)?;
    let binds = mounts::prepare(job)?;
    let cgroup = if job.has_cgroup() {
        Some(Cgroup::new(job)?)
    } else {
        None
    };
    let pid = start_builder(job, &binds, cgroup.as_ref(), owner, program)?;
    let owner = owner.map_or_else(|| geteuid().as_raw(), |owner| owner.id);
    Ok(Running {
        pid,
        owner,
        cgroup,
        _user: user,
        _scratch: lock,
    })
}

/// Gives up groups that only this program is a member of, and the terminal to the builder's user.
fn become_alone(owner: Owner) -> Result<(), Fault> {
    set_thread_groups(&[]).map_err(fault(Part::Users, "give up supplementary groups"))?;
    let give = "give the terminal to the build user";
    fchmod(stdout(), Mode::RUSR | Mode::WUSR).map_err(fault(Part::Users, give))?;
    fchown(stdout(), Some(Uid::from_raw(owner.id)), Some(Gid::ROOT))
        .map_err(fault(Part::Users, give))
}

fn start_builder(
    job: &Job,
    binds: &[Bind],
    cgroup: Option<&Cgroup>,
    owner: Option<Owner>,
    program: &Channel,
) -> Result<Pid, Fault> {
    let (mut ours, theirs) =
        Channel::pair().map_err(fault(Part::Other, "make a pair of sockets"))?;
    let mut flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    if job.network.is_none() {
        flags |= libc::CLONE_NEWNET;
    }
    // Opened here: its path is then one of the supervisor's mounts, as it is one of Nix's, which the builder can read.
    let null = null().map_err(fault(Part::Devices, "open '/dev/null'"))?;
    let forked = system::clone(flags, cgroup.map(|cgroup| cgroup.folder().as_fd()))
        .map_err(fault(Part::Namespaces, "make the namespaces of a builder"))?;
    let Forked::Parent(pid) = forked else {
        drop(ours);
        inside::become_builder(job, binds, theirs, &null);
    };
    drop(theirs);
    set_up(&mut ours, pid, job, owner, program).inspect_err(|_| {
        // It ends by itself, having lost the connection; what it says of that is not heard.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    })?;
    Ok(pid)
}

/// Sees the builder's process to where it becomes the builder.
fn set_up(
    inside: &mut Channel,
    builder: Pid,
    job: &Job,
    owner: Option<Owner>,
    program: &Channel,
) -> Result<(), Fault> {
    let lost = || fault(Part::Other, "talk to the process that becomes the builder");
    loop {
        match inside.receive().map_err(lost())? {
            Word::Here { pid } => {
                map_users(pid, owner)?;
                inside.send(&GoOn).map_err(lost())?;
            }
            Word::Listener { number } => {
                keep_to_policy(builder, number, job, owner, program)?;
                inside.send(&GoOn).map_err(lost())?;
            }
            Word::Ready => return Ok(()),
            Word::Failed(fault) => return Err(fault),
        }
    }
}

/// Starts the thread that keeps a builder with network to the policy.
fn keep_to_policy(
    builder: Pid,
    number: i32,
    job: &Job,
    owner: Option<Owner>,
    program: &Channel,
) -> Result<(), Fault> {
    let failed = |error: SuperviseError| {
        let action = format!("supervise the network of the builder: {}", error.action);
        Fault::new(Part::Filter, action, error.source)
    };
    let mut program = program
        .duplicate()
        .map_err(fault(Part::Other, "duplicate a socket"))?;
    let listener = take_listener(builder, number).map_err(failed)?;
    let policy = job.network.as_ref().map(|network| network.policy.clone());
    let user = owner.map(|Owner { id }| flows::BuildUser {
        user: id,
        group: id,
    });
    let denied = move |address| {
        // If the program has gone, all ends.
        let _ = program.send(&Report::Denied { address });
    };
    flows::supervise(listener, policy.unwrap_or_default(), user, denied)
        .map(drop)
        .map_err(failed)
}

fn map_users(pid: u32, owner: Option<Owner>) -> Result<(), Fault> {
    let (user, group) = owner.map_or_else(
        || (geteuid().as_raw(), getegid().as_raw()),
        |owner| (owner.id, owner.id),
    );
    let folder = Path::new("/proc").join(pid.to_string());
    let write = |file: &str, text: String| {
        let path = folder.join(file);
        fs::write(&path, text).map_err(fault_at(
            Part::Users,
            "map the user of the builder: write",
            &path,
        ))
    };
    write("uid_map", format!("{USER} {user} 1"))?;
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("{GROUP} {group} 1"))
}

/// Waits for the end of a builder, and brings it about when the program is no longer there or asks for it.
fn watch(builder: Pid, program: &Channel) -> io::Result<(i32, Usage)> {
    let process = pidfd_open(builder, PidfdFlags::empty())?;
    let mut is_asked = false;
    loop {
        let mut sources = vec![PollFd::new(&process, PollFlags::IN)];
        if !is_asked {
            sources.push(PollFd::new(program, PollFlags::IN));
        }
        match poll(&mut sources, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The program says nothing more but that it has gone, or that the builder shall.
        if sources
            .get(1)
            .is_some_and(|source| !source.revents().is_empty())
        {
            is_asked = true;
            // Fails only if it has ended meanwhile.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
        if !sources[0].revents().is_empty() {
            // All processes of its namespace have ended before it.
            return system::wait_for(builder);
        }
    }
}
