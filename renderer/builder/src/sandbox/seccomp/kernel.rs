//! How a filter comes into the kernel.

#![expect(unsafe_code, reason = "a system call that rustix has no function for")]

use std::io;

use super::program::Program;

/// Installs a filter for this thread and what it starts.
pub(super) fn install(program: &Program) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: program.length().get(),
        filter: program.code().as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads the structure and as many instructions as it says, which live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
