//! One attempt to make a call in the builder's place.
//!
//! All that the builder says is copied first, then checked, and the call is made with the copy, on a duplicate of the socket.
//! So nothing that other threads of the builder do meanwhile makes a difference. An attempt never waits; a call that would
//! have to is attempted again later, from the beginning.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, socket_domain, socket_timeout, socket_type};
use rustix::net::{AddressFamily, SocketType};

use super::super::seccomp::network::refuse_socket;
use super::address::{Address, Encoded};
use super::call::{Call, Kind};
use super::caller::{Caller, OWN_DESCRIPTORS};
use super::kernel::{self, Listener, Notification};
use super::policy::FlowPolicy;

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(i64),
    Failed(Errno),
    /// It has to wait.
    Wait(Wait),
    /// The builder's thread has ended, or it has its answer.
    Gone,
}

/// What a call waits for.
#[derive(Debug)]
pub(super) struct Wait {
    /// That this can be written to.
    pub(super) socket: OwnedFd,
    /// For as long as that.
    pub(super) timeout: Option<Duration>,
    pub(super) timeout_error: Errno,
}

/// Why an attempt does not go on.
pub(super) enum Stop {
    Failed(Errno),
    /// The socket has to be waited for; the error is what that gives if it takes too long.
    Blocked(Errno),
    Gone,
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Failed(error)
    }
}

/// An attempt to make a call.
pub(super) struct Attempt<'a> {
    pub(super) listener: &'a Listener,
    pub(super) policy: &'a FlowPolicy,
    pub(super) notification: &'a Notification,
    pub(super) buffer: &'a mut Vec<u8>,
    /// How many bytes are sent, by earlier attempts and by this one.
    pub(super) done: u64,
    pub(super) is_first: bool,
    /// An address that the policy denied.
    pub(super) denied: Option<SocketAddr>,
}

/// A duplicate of a socket of a builder.
pub(super) struct Socket {
    pub(super) descriptor: OwnedFd,
    pub(super) family: AddressFamily,
    pub(super) kind: SocketType,
}

impl Socket {
    fn new(descriptor: OwnedFd) -> Result<Self, Errno> {
        Ok(Self {
            family: socket_domain(&descriptor)?,
            kind: socket_type(&descriptor)?,
            descriptor,
        })
    }

    pub(super) fn is_of_internet(&self) -> bool {
        [AddressFamily::INET, AddressFamily::INET6].contains(&self.family)
    }

    /// It is one whose packets go to the address that a call names. The filter lets no other be made.
    pub(super) fn is_usable_in_internet(&self) -> Result<bool, Errno> {
        if ![SocketType::STREAM, SocketType::DGRAM].contains(&self.kind) {
            return Err(Errno::PERM);
        }
        Ok(self.is_of_internet())
    }

    /// Calls do not wait for it.
    pub(super) fn is_nonblocking(&self) -> Result<bool, Errno> {
        Ok(fcntl_getfl(&self.descriptor)?.contains(OFlags::NONBLOCK))
    }
}

/// Where a call goes to.
#[derive(Default)]
pub(super) struct Target {
    pub(super) address: Encoded,
    /// What the address names by its number.
    _file: Option<OwnedFd>,
}

impl From<Encoded> for Target {
    fn from(address: Encoded) -> Self {
        Self {
            address,
            _file: None,
        }
    }
}

impl Attempt<'_> {
    pub(super) fn make(&mut self) -> Outcome {
        let mut socket = None;
        match (self.try_to_make(&mut socket), socket) {
            (Ok(value), _) => Outcome::Done(value),
            (Err(Stop::Gone), _) => Outcome::Gone,
            (Err(Stop::Blocked(timeout_error)), Some(socket)) => Outcome::Wait(Wait {
                timeout: socket_timeout(&socket.descriptor, Timeout::Send).unwrap_or_default(),
                socket: socket.descriptor,
                timeout_error,
            }),
            (Err(Stop::Failed(error) | Stop::Blocked(error)), _) => Outcome::Failed(error),
        }
    }

    /// Puts the socket that the call is for into `socket`.
    fn try_to_make(&mut self, socket: &mut Option<Socket>) -> Result<i64, Stop> {
        let caller = Caller::new(self.notification.thread)?;
        let call = Call::read(&self.notification.data, &caller)?;
        if call.kind == Kind::Socket {
            return self.open_socket(&call);
        }
        let socket = &*socket.insert(Socket::new(caller.descriptor(call.int(0))?)?);
        match call.kind {
            Kind::Connect => self.connect(&call, &caller, socket),
            Kind::SetOption => self.set_option(&call, &caller, socket),
            Kind::SendMessages => self.send_messages(&call, &caller, socket),
            Kind::Socket | Kind::SendTo | Kind::SendMessage => {
                self.send_one(&call, &caller, socket)
            }
        }
    }

    /// What was read of the builder is its thread's, which still waits.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.listener.is_valid(self.notification.id) {
            Ok(())
        } else {
            Err(Stop::Gone)
        }
    }

    /// The address as the kernel takes it, if the policy allows it.
    pub(super) fn allowed(&mut self, address: SocketAddr) -> Result<Target, Stop> {
        if self.policy.allows(address) {
            return Ok(Encoded::internet(address).into());
        }
        self.denied = Some(address);
        Err(Stop::Failed(Errno::ACCESS))
    }

    /// A Unix socket in the file system, as the builder sees that.
    pub(super) fn unix(caller: &Caller, address: &Address) -> Result<Target, Stop> {
        let path = match address {
            Address::Path(path) => path,
            Address::Abstract => return Err(Stop::Failed(Errno::PERM)),
            _ => return Err(Stop::Failed(Errno::INVAL)),
        };
        let file = caller.file(path)?;
        Ok(Target {
            address: Encoded::path(&format!("{OWN_DESCRIPTORS}/{}", file.as_raw_fd())),
            _file: Some(file),
        })
    }

    fn open_socket(&self, call: &Call) -> Result<i64, Stop> {
        let [family, kind, protocol] = [call.int(0), call.int(1), call.int(2)];
        if let Some(error) = refuse_socket(family, kind, protocol) {
            return Err(Stop::Failed(Errno::from_raw_os_error(error)));
        }
        self.check()?;
        let socket = kernel::open_socket(family, kind, protocol)?;
        self.listener
            .answer_with(self.notification.id, &socket, kind & libc::SOCK_CLOEXEC)?;
        Err(Stop::Gone)
    }
}
