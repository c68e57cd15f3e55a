//! The process that becomes the builder: the first in its process namespace.

use std::ffi::{CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process;

use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, stdout};
use rustix::system::{setdomainname, sethostname};
use rustix::thread::{UnshareFlags, set_no_new_privs, set_thread_gid, set_thread_uid};

use super::message::{Channel, Fault, GoOn, Job, Part, Word, fault};
use super::mounts::{self, Bind};
use super::seccomp::{Filter, InstallError};
use super::supervisor::{GROUP, USER};
use super::system;
use crate::builtin::{self, description};

/// Sets up all of the isolation from within, and becomes the builder, whose standard input is `null`.
pub(super) fn become_builder(
    job: &Job,
    binds: &[Bind],
    mut supervisor: Channel,
    null: &OwnedFd,
) -> ! {
    let told = match set_up(job, binds, null, &mut supervisor) {
        Ok(()) => supervisor.send(&Word::Ready),
        Err(fault) => {
            // If the supervisor has gone, so will this process.
            let _ = supervisor.send(&Word::Failed(fault));
            process::exit(1);
        }
    };
    if job.is_trial && told.is_ok() {
        process::exit(0);
    }
    let said = match (told, &job.process.builtin) {
        (Err(error), _) => description(&error),
        (Ok(()), Some(builtin)) => match builtin::run(builtin) {
            Ok(()) => process::exit(0),
            Err(said) => format!("{said}\n"),
        },
        (Ok(()), None) => {
            let error = description(&execute(job));
            let program = OsStr::from_bytes(&job.process.program).display();
            // As Nix has it in the log.
            format!(
                "\x1b[31;1merror:\x1b[0m executing '\x1b[35;1m{program}\x1b[0m': \x1b[35;1m{error}\x1b[0m"
            )
        }
    };
    let _ = io::stderr().write_all(said.as_bytes());
    process::exit(1);
}

fn set_up(
    job: &Job,
    binds: &[Bind],
    null: &OwnedFd,
    supervisor: &mut Channel,
) -> Result<(), Fault> {
    system::reset_signals().map_err(fault(Part::Other, "reset signals"))?;
    setsid().map_err(fault(Part::Other, "make a session"))?;
    let lost = || fault(Part::Other, "talk to the supervisor");
    let link = std::fs::read_link("/proc/self").map_err(fault(Part::Proc, "read '/proc/self'"))?;
    let pid = link.to_str().and_then(|pid| pid.parse().ok());
    let pid = pid.ok_or_else(|| {
        Fault::new(
            Part::Proc,
            "read '/proc/self': it is not that of Linux",
            rustix::io::Errno::INVAL,
        )
    })?;
    supervisor.send(&Word::Here { pid }).map_err(lost())?;
    let GoOn = supervisor.receive().map_err(lost())?;

    let streams = "set up the standard streams";
    dup2_stdin(null).map_err(fault(Part::Other, streams))?;
    dup2_stderr(stdout()).map_err(fault(Part::Other, streams))?;

    if job.network.is_none() {
        system::loopback_up()
            .map_err(fault(Part::Namespaces, "switch the loopback interface on"))?;
    }
    sethostname(b"localhost").map_err(fault(Part::Namespaces, "set the host name"))?;
    setdomainname(b"(none)").map_err(fault(Part::Namespaces, "set the domain name"))?;
    if job.has_cgroup() {
        system::unshare(UnshareFlags::NEWCGROUP)
            .map_err(fault(Part::Cgroups, "make a cgroup namespace"))?;
    }
    mounts::enter(binds)?;
    if let Some(listener) = give_up(job)? {
        // From here on this process makes no call that is supervised: reading and writing is not.
        let number = listener.as_raw_fd();
        supervisor
            .send(&Word::Listener { number })
            .map_err(lost())?;
        let GoOn = supervisor.receive().map_err(lost())?;
    }
    Ok(())
}

/// Gives up what a builder must not have. The last of it, the filter of system calls, is the last of all.
fn give_up(job: &Job) -> Result<Option<OwnedFd>, Fault> {
    // Where there are no keyrings, or a container refuses them, there is nothing to share.
    match system::own_session_keyring() {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EPERM | libc::EACCES)
            ) =>
        {
            return Err(fault(Part::Other, "make a session keyring")(error));
        }
        _ => {}
    }
    set_no_new_privs(true).map_err(fault(Part::Other, "give up new privileges"))?;
    system::scope_abstract_sockets()
        .map_err(fault(Part::Other, "keep abstract Unix sockets apart"))?;
    system::set_personality(job.process.is_32_bit)
        .map_err(fault(Part::Other, "set the personality"))?;
    system::keep_only_standard_streams().map_err(fault(Part::Other, "close file descriptors"))?;
    let core = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    setrlimit(Resource::Core, core).map_err(fault(Part::Other, "limit core files"))?;
    if job.processes.is_some() {
        let processes = Rlimit {
            current: job.processes,
            maximum: job.processes,
        };
        setrlimit(Resource::Nproc, processes)
            .map_err(fault(Part::Other, "limit the processes of the builder"))?;
    }
    set_thread_gid(Gid::from_raw(GROUP))
        .map_err(fault(Part::Users, "become the group of the builder"))?;
    set_thread_uid(Uid::from_raw(USER))
        .map_err(fault(Part::Users, "become the user of the builder"))?;
    let is_supervised = job
        .network
        .as_ref()
        .is_some_and(|network| !network.policy.allows_all());
    let filter = if is_supervised {
        Filter::supervised()
    } else {
        Filter::nix()
    };
    filter.install().map_err(|InstallError::Filter(error)| {
        fault(Part::Filter, "install the filter of system calls")(error)
    })
}

/// Becomes the builder. Comes back only with an error.
fn execute(job: &Job) -> io::Error {
    let process = &job.process;
    let name = Path::new(OsStr::from_bytes(&process.program))
        .file_name()
        .unwrap_or_default();
    let args = [name.to_owned().into_vec()]
        .into_iter()
        .chain(process.args.iter().cloned());
    let env = process
        .env
        .iter()
        .map(|(name, value)| [name, b"=".as_slice(), value].concat());
    let strings = || -> Result<_, std::ffi::NulError> {
        let args = args.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let env = env.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        Ok((CString::new(process.program.clone())?, args, env))
    };
    match strings() {
        Ok((program, args, env)) => system::execute(&program, &args, &env),
        Err(error) => io::Error::from(error),
    }
}
