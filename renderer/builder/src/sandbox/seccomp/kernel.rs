//! How a filter comes into the kernel.

#![expect(unsafe_code, reason = "a system call that rustix has no function for")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::program::Program;

/// Installs a filter for this thread and what it starts; with a listener if it is supervised.
pub(super) fn install(program: &Program, is_supervised: bool) -> io::Result<Option<OwnedFd>> {
    let program = libc::sock_fprog {
        len: program.length().get(),
        filter: program.code().as_ptr().cast_mut(),
    };
    // A call that the supervisor has begun to make is not interrupted and made a second time: data would be sent twice.
    let flags = if is_supervised {
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    } else {
        0
    };
    // SAFETY: the kernel reads the structure and as many instructions as it says, which live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel opened the descriptor for this caller.
        listener if is_supervised => Ok(Some(unsafe { OwnedFd::from_raw_fd(listener as i32) })),
        _ => Ok(None),
    }
}
