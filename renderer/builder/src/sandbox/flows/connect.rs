//! Connecting sockets, and setting their options.

use libc::{SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::AddressFamily;

use super::super::seccomp::network::REFUSED_OPTIONS;
use super::address::{Address, Encoded};
use super::attempt::{Attempt, Socket, Stop, Target};
use super::call::Call;
use super::caller::Caller;
use super::kernel;
use super::message::{read_address, word};

/// No option of a socket is longer.
const MAX_OPTION: usize = 256;

/// Options whose values name memory or file descriptors of the builder: `SO_ATTACH_FILTER`, `SO_ATTACH_BPF`,
/// `SO_ATTACH_REUSEPORT_CBPF`, `SO_ATTACH_REUSEPORT_EBPF`.
const POINTING_OPTIONS: [i32; 4] = [26, 50, 51, 52];

impl Attempt<'_> {
    pub(super) fn connect(
        &mut self,
        call: &Call,
        caller: &Caller,
        socket: &Socket,
    ) -> Result<i64, Stop> {
        let address = Address::read(&read_address(caller, call.args[1], call.int(2))?)?;
        let target = self.target_of_connect(caller, socket, &address)?;
        self.check()?;
        let is_nonblocking = socket.is_nonblocking()?;
        // Others who use the socket see that for a moment. It is not connected, so there is nothing else to do with it.
        if !is_nonblocking {
            ioctl_fionbio(&socket.descriptor, true)?;
        }
        let result = kernel::connect(&socket.descriptor, &target.address.0);
        if !is_nonblocking {
            ioctl_fionbio(&socket.descriptor, false)?;
        }
        match result {
            Ok(()) => Ok(0),
            Err(error) if is_nonblocking => Err(error.into()),
            Err(Errno::INPROGRESS | Errno::ALREADY) => Err(Stop::Blocked(Errno::INPROGRESS)),
            // The queue of a Unix socket is full.
            Err(Errno::AGAIN) => Err(Stop::Blocked(Errno::AGAIN)),
            // Another thread's attempt, or the one before this, has connected it.
            Err(Errno::ISCONN) if !self.is_first => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn target_of_connect(
        &mut self,
        caller: &Caller,
        socket: &Socket,
        address: &Address,
    ) -> Result<Target, Stop> {
        match (socket.family, address) {
            (_, Address::Unspecified) => Ok(Encoded::unspecified().into()),
            (AddressFamily::UNIX, address) => Self::unix(caller, address),
            (AddressFamily::NETLINK, Address::Kernel) => Ok(Encoded::kernel().into()),
            (AddressFamily::NETLINK, Address::Process) => Err(Stop::Failed(Errno::PERM)),
            (_, Address::Internet(address)) if socket.is_usable_in_internet()? => {
                self.allowed(*address)
            }
            _ => Err(Stop::Failed(Errno::AFNOSUPPORT)),
        }
    }

    /// `setsockopt` of `socketcall`, whose arguments the filter does not see.
    pub(super) fn set_option(
        &self,
        call: &Call,
        caller: &Caller,
        socket: &Socket,
    ) -> Result<i64, Stop> {
        let option @ [level, name] = [call.int(1), call.int(2)];
        let is_pointing = level == SOL_SOCKET && POINTING_OPTIONS.contains(&name);
        if is_pointing || REFUSED_OPTIONS.contains(&(level, name)) {
            return Err(Stop::Failed(Errno::PERM));
        }
        let length = usize::try_from(call.int(4))
            .ok()
            .filter(|length| *length <= MAX_OPTION)
            .ok_or(Errno::INVAL)?;
        let mut value = vec![0; length];
        caller.read(call.args[3], &mut value)?;
        self.check()?;
        if level == SOL_SOCKET && [SO_RCVTIMEO, SO_SNDTIMEO].contains(&name) && length >= 8 {
            value = wide_time(&value);
        }
        kernel::set_option(&socket.descriptor, option, &value)?;
        Ok(0)
    }
}

/// Seconds and microseconds of 32 bits each, as 64.
fn wide_time(value: &[u8]) -> Vec<u8> {
    let part = |index| i64::from((word(value, index, 4) as u32).cast_signed());
    [part(0).to_ne_bytes(), part(1).to_ne_bytes()].concat()
}
