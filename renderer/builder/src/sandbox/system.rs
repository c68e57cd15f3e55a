//! The system calls that no crate wraps safely.

#![expect(unsafe_code, reason = "system calls that rustix has no functions for")]

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::outcome::Usage;

/// Which of two processes goes on.
pub(super) enum Forked {
    /// The one that was there.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Makes a second process of this one, which has no other threads.
pub(super) fn fork() -> io::Result<Forked> {
    clone(0, None)
}

/// As [`fork`], with the new process in new namespaces: `flags` are those of `clone`. It begins in `cgroup`, if that is given.
pub(super) fn clone(flags: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let result = match cgroup {
        // SAFETY: without CLONE_VM the new process has a copy of all memory, and without a stack it goes on on the copy of
        // this one's; no pointer is passed. This process has one thread, so no lock is held by a thread that the copy lacks.
        None => unsafe {
            libc::syscall(
                libc::SYS_clone,
                i64::from(flags | libc::SIGCHLD),
                0_i64,
                0_i64,
                0_i64,
                0_i64,
            )
        },
        Some(cgroup) => {
            let args = libc::clone_args {
                flags: flags as u64 | CLONE_INTO_CGROUP,
                pidfd: 0,
                child_tid: 0,
                parent_tid: 0,
                exit_signal: libc::SIGCHLD as u64,
                stack: 0,
                stack_size: 0,
                tls: 0,
                set_tid: 0,
                set_tid_size: 0,
                cgroup: cgroup.as_raw_fd() as u64,
            };
            // SAFETY: as above; the structure is the one that the call reads, of the size given.
            unsafe {
                libc::syscall(
                    libc::SYS_clone3,
                    &raw const args,
                    size_of::<libc::clone_args>(),
                )
            }
        }
    };
    match result {
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid as i32)
            .filter(|_| pid > 0)
            .map(Forked::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}

/// Takes this process out of namespaces that it shares with others.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the table of file descriptors stays shared, which is what the function asks for.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Waits until a child ended, and gives its status of `wait`, and what it used.
pub(super) fn wait_for(child: Pid) -> io::Result<(i32, Usage)> {
    let mut status = 0;
    // SAFETY: all of its fields may be zero.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    loop {
        let pid = child.as_raw_nonzero().get();
        // SAFETY: `status` and `usage` are written, and no more is.
        let result = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if result >= 0 {
            let time = |time: libc::timeval| {
                Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
            };
            let usage = Usage {
                user: time(usage.ru_utime),
                system: time(usage.ru_stime),
                memory: usage.ru_maxrss as u64 * 1024,
            };
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Becomes another program. Comes back only with an error.
pub(super) fn execute(program: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: all strings end with a zero byte, both lists with a null pointer, and they outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let strings = strings.iter().map(|string| string.as_ptr());
    strings.chain([std::ptr::null()]).collect()
}

/// Lets the next program have no file descriptors but the first three.
pub(super) fn keep_only_standard_streams() -> io::Result<()> {
    // SAFETY: the descriptors stay open in this process; they are marked only.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3_u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    checked(result).map(drop)
}

/// Sets all signals to what they do without a handler, and blocks none.
pub(super) fn reset_signals() -> io::Result<()> {
    // As the kernel has it: the handler, flags, and a set of 64 signals. Zero is the default action, on any architecture. The
    // C library's function refuses the signals that it has for itself, and starts programs with these ignored.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is as large as the kernel's. A signal that may not be changed is refused, and has the default.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    let result = unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    checked(result.into()).map(drop)
}

/// Gives the process the same addresses at each run, and that of a machine of 32 bits if so told.
pub(super) fn set_personality(is_32_bit: bool) -> io::Result<()> {
    // PER_LINUX32 and PER_LINUX of <sys/personality.h>.
    let base = if is_32_bit { 8 } else { 0 };
    // SAFETY: the call takes a number and changes only what later programs get.
    checked(unsafe { libc::personality((base | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong) }.into())
        .map(drop)
}

/// Switches the loopback interface of this network namespace on.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: all of its fields may be zero.
    let mut request = unsafe { std::mem::zeroed::<libc::ifreq>() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = *from as c_char;
    }
    request.ifr_ifru.ifru_flags =
        (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request reads this structure.
    checked(
        unsafe {
            libc::ioctl(
                socket.as_raw_fd(),
                libc::SIOCSIFFLAGS as _,
                &raw const request,
            )
        }
        .into(),
    )
    .map(drop)
}

/// Makes the mounts below `tree` read-only, without set-user-ID programs and device files.
pub(super) fn restrict_mount(tree: impl AsFd) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a string that ends with a zero byte; the structure is the one that the call reads, of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(result).map(drop)
}

/// Gives this process a session keyring of its own.
pub(super) fn own_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for a new keyring without one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<c_char>(),
        )
    };
    checked(result).map(drop)
}

/// Keeps abstract Unix sockets of this process and of all that it starts apart from others. Kernels before 6.12 cannot, as
/// those without Landlock: that is no error, as in Nix.
pub(super) fn scope_abstract_sockets() -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        handled_access_fs: u64,
        handled_access_net: u64,
        scoped: u64,
    }
    const VERSION: u32 = 1;
    const ABSTRACT_UNIX_SOCKET: u64 = 1;
    // SAFETY: no structure and its size, zero, ask for the version.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<Attributes>(),
            0_usize,
            VERSION,
        )
    };
    if version < 6 {
        return Ok(());
    }
    let attributes = Attributes {
        handled_access_fs: 0,
        handled_access_net: 0,
        scoped: ABSTRACT_UNIX_SOCKET,
    };
    // SAFETY: the structure is the one that the call reads, of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<Attributes>(),
            0_u32,
        )
    };
    let descriptor = checked(result)? as i32;
    // SAFETY: the call made this descriptor, and it has no other owner.
    let rules = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: a descriptor and flags; no memory is passed.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) })
        .map(drop)
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
