//! The filter of system calls that a builder runs under: Nix's, and what keeps it to a flow policy.
//!
//! The filter is installed in the builder's own process, last before it executes its program. It holds for all that the
//! builder starts, and cannot be taken off.

pub(super) mod abi;
mod kernel;
pub(super) mod network;
mod nix;
mod program;

use std::os::fd::OwnedFd;

use abi::{Machine, NATIVE};
use program::{Action, Program};

/// A filter, made before the builder's process is, so that nothing is left to do in it but to install the filter.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Program,
    is_supervised: bool,
}

/// Why a filter was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The kernel refused it.
    #[error(
        "failed to install the filter of system calls; a kernel with CONFIG_SECCOMP_FILTER is needed, Linux 5.19 or later for \
         builds with network, and a container must allow seccomp()"
    )]
    Filter(#[source] std::io::Error),
}

impl Filter {
    /// The filter of Nix 2.34, with the same answers to every system call:
    ///
    /// - EPERM to `chmod`, `fchmod`, `fchmodat` and `fchmodat2` with a set-user-ID or set-group-ID bit
    /// - ENOTSUP to reading and setting extended attributes (`getxattr`, `setxattr` and their `l` and `f` forms). Listing and
    ///   removing them, and `getxattrat` and `setxattrat` of Linux 6.13, are let through, as Nix lets them
    /// - a call by an interface of another architecture (not of the machine's 64 bits, nor its 32 bits) kills the thread
    ///
    /// A file can be created with those mode bits (`open` with `O_CREAT`), as in Nix: what keeps users of the machine from
    /// running it is that they cannot reach the folder, and that outputs get canonical modes.
    pub fn nix() -> Self {
        Self::of(NATIVE, false)
    }

    /// Nix's filter, and what a supervisor ([`flows`](super::flows)) needs to keep the builder to a flow policy:
    ///
    /// - calls that name an address (`connect`, `sendto` with one, `sendmsg`, `sendmmsg`) are made by the supervisor
    /// - there are sockets of TCP, UDP and ping, Unix sockets, and `NETLINK_ROUTE`, and no others
    /// - options that send packets elsewhere (source routes) get EPERM
    /// - there is no `io_uring` (ENOSYS), and on `x86_64` no x32 interface
    pub fn supervised() -> Self {
        Self::of(NATIVE, true)
    }

    fn of(machine: Machine, is_supervised: bool) -> Self {
        let mut program = program::Assembler::default();
        for abi in machine.abis() {
            let next = program.label();
            program.load_architecture();
            program.jump_unless_equal(abi.architecture, next);
            if is_supervised {
                network::rules(&mut program, abi);
            }
            nix::rules(&mut program, abi);
            program.bind(next);
        }
        program.answer(Action::KillThread);
        let program = program
            .finish()
            .expect("the rules are constants, and tests assemble all of them");
        Self {
            program,
            is_supervised,
        }
    }

    /// Installs the filter for this thread and all that it starts from now on. One that is
    /// [supervised](Self::supervised) gives the listener that its supervisor needs; until that has it, the calls that it
    /// makes wait.
    ///
    /// The process must have `no_new_privs` set, or be privileged in its user namespace.
    pub fn install(&self) -> Result<Option<OwnedFd>, InstallError> {
        kernel::install(&self.program, self.is_supervised).map_err(InstallError::Filter)
    }
}

#[cfg(test)]
mod tests;
