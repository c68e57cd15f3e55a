//! Sending messages.

use std::os::fd::OwnedFd;

use libc::{MSG_DONTWAIT, MSG_FASTOPEN, MSG_NOSIGNAL, MSG_ZEROCOPY};
use rustix::io::{Errno, pwrite};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::Signal;

use super::address::{Address, read_v4};
use super::attempt::{Attempt, Socket, Stop, Target};
use super::call::{Call, Kind};
use super::caller::Caller;
use super::control::Control;
use super::kernel::{self, Outgoing};
use super::message::{Message, in_list};

/// As much of a message is copied at a time. A datagram is no larger.
const MAX_PART: u64 = 256 * 1024;

/// As many parts of a message are sent before others get their turn.
const MAX_PARTS: usize = 16;

/// As many messages are sent in one call, as the kernel has it.
const MAX_MESSAGES: u64 = 1024;

/// A thread that sends, and how it does.
struct Sender<'a> {
    call: &'a Call,
    caller: &'a Caller,
    socket: &'a Socket,
    flags: i32,
    waits: bool,
}

impl<'a> Sender<'a> {
    fn new(
        call: &'a Call,
        caller: &'a Caller,
        socket: &'a Socket,
        flags: i32,
    ) -> Result<Self, Stop> {
        Ok(Self {
            call,
            caller,
            socket,
            flags,
            waits: flags & MSG_DONTWAIT == 0 && !socket.is_nonblocking()?,
        })
    }

    fn is_stream(&self) -> bool {
        self.socket.kind == SocketType::STREAM
    }
}

impl Attempt<'_> {
    /// `sendto` and `sendmsg`.
    pub(super) fn send_one(
        &mut self,
        call: &Call,
        caller: &Caller,
        socket: &Socket,
    ) -> Result<i64, Stop> {
        let (message, flags) = if call.kind == Kind::SendTo {
            (Message::of_send_to(call, caller)?, call.int(3))
        } else {
            (
                Message::read(caller, call.layout, call.args[1])?,
                call.int(2),
            )
        };
        let sender = Sender::new(call, caller, socket, flags)?;
        self.send(&sender, &message)
    }

    /// `sendmmsg`. As the kernel, it sends fewer messages than asked for if one fails, and gives the error only if that is
    /// the first. It also does if one would have to wait.
    pub(super) fn send_messages(
        &mut self,
        call: &Call,
        caller: &Caller,
        socket: &Socket,
    ) -> Result<i64, Stop> {
        let count = u64::from(call.int(2).cast_unsigned()).min(MAX_MESSAGES);
        let memory = caller.memory()?;
        let sender = Sender::new(call, caller, socket, call.int(3))?;
        let mut sent = 0;
        while sent < count {
            match self.send_in_list(&sender, &memory, sent) {
                Ok(()) => sent += 1,
                Err(Stop::Failed(_) | Stop::Blocked(_)) if sent > 0 => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(sent as i64)
    }

    fn send_in_list(&mut self, sender: &Sender, memory: &OwnedFd, index: u64) -> Result<(), Stop> {
        let layout = sender.call.layout;
        let (place, place_of_count) = in_list(layout, sender.call.args[1], index);
        let message = Message::read(sender.caller, layout, place)?;
        let count = match self.send(sender, &message) {
            // The rest of a part of a stream is the builder's to send, as if it had not asked to wait.
            Err(Stop::Blocked(_)) if self.done > 0 => self.done as i64,
            other => other?,
        };
        self.done = 0;
        let count = (count as u32).to_ne_bytes();
        // The memory is that of the thread: it was opened before the last check.
        match pwrite(memory, &count, place_of_count) {
            Ok(4) => Ok(()),
            _ => Err(Stop::Failed(Errno::FAULT)),
        }
    }

    /// Sends a message, or what is left of it, and gives how many bytes of it are sent.
    fn send(&mut self, sender: &Sender, message: &Message) -> Result<i64, Stop> {
        let target = self.target_of_send(sender, &message.address)?;
        let length = message.length();
        if !sender.is_stream() && length > MAX_PART {
            return Err(Stop::Failed(Errno::MSGSIZE));
        }
        let mut control = match (message.control, self.done) {
            ((_, 0), _) | (_, 1..) => Control::default(),
            (place, 0) => Control::read(
                sender.caller,
                sender.call.layout,
                sender.socket.family,
                place,
            )?,
        };
        for _ in 0..MAX_PARTS {
            match self.send_part(sender, message, &target, &control) {
                Ok(()) if self.done < length => control = Control::default(),
                Ok(()) => return Ok(self.done as i64),
                // What comes next fails again, if the builder tries.
                Err(Stop::Failed(_)) if self.done > 0 => return Ok(self.done as i64),
                Err(stop) => return Err(stop),
            }
        }
        Err(Stop::Blocked(Errno::AGAIN))
    }

    fn send_part(
        &mut self,
        sender: &Sender,
        message: &Message,
        target: &Target,
        control: &Control,
    ) -> Result<(), Stop> {
        let length = message.length().saturating_sub(self.done).min(MAX_PART);
        self.buffer.resize(length as usize, 0);
        let pieces = message.part(self.done, length);
        sender.caller.read_pieces(&pieces, self.buffer)?;
        self.check()?;
        let outgoing = Outgoing {
            address: &target.address.0,
            data: self.buffer,
            control: &control.words,
            flags: sender.flags & !MSG_ZEROCOPY,
        };
        match kernel::send(&sender.socket.descriptor, &outgoing) {
            Ok(sent) => {
                self.done += sent as u64;
                Ok(())
            }
            Err(Errno::AGAIN) if sender.waits => Err(Stop::Blocked(Errno::AGAIN)),
            Err(error) => {
                let is_silent = sender.flags & MSG_NOSIGNAL != 0;
                if error == Errno::PIPE && sender.is_stream() && !is_silent && self.done == 0 {
                    sender.caller.signal(Signal::PIPE);
                }
                Err(error.into())
            }
        }
    }

    /// Where a message goes to: without an address, where the socket is connected to.
    fn target_of_send(&mut self, sender: &Sender, address: &[u8]) -> Result<Target, Stop> {
        let socket = sender.socket;
        if sender.is_stream() && socket.is_of_internet() {
            // Connecting by sending is an option of the kernel, which programs can do without. Otherwise the kernel does not
            // look at the address.
            return match sender.flags & MSG_FASTOPEN {
                0 => Ok(Target::default()),
                _ => Err(Stop::Failed(Errno::OPNOTSUPP)),
            };
        }
        if address.is_empty() || socket.kind == SocketType::SEQPACKET {
            return Ok(Target::default());
        }
        let read = Address::read(address)?;
        match (socket.family, read) {
            (AddressFamily::UNIX, _) if sender.is_stream() => Err(Stop::Failed(Errno::ISCONN)),
            (AddressFamily::UNIX, address) => Self::unix(sender.caller, &address),
            (AddressFamily::NETLINK, Address::Process) => Err(Stop::Failed(Errno::PERM)),
            (_, Address::Internet(address)) if socket.is_usable_in_internet()? => {
                self.allowed(address)
            }
            // The kernel takes it for an IPv4 address, or for none.
            (AddressFamily::INET, Address::Unspecified) if socket.is_usable_in_internet()? => {
                self.allowed(read_v4(address).ok_or(Errno::INVAL)?)
            }
            (AddressFamily::INET6, Address::Unspecified)
            | (AddressFamily::NETLINK, Address::Kernel) => Ok(Target::default()),
            _ => Err(Stop::Failed(Errno::AFNOSUPPORT)),
        }
    }
}
