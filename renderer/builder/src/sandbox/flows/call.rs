//! The calls that a supervised builder makes, whichever way it makes them.

use libc::seccomp_data;
use rustix::io::Errno;

use super::super::seccomp::abi::{Abi, NATIVE};
use super::super::seccomp::network::multiplexed;
use super::caller::Caller;

/// How structures of a call lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// With pointers and lengths of 64 bits.
    Wide,
    /// With pointers and lengths of 32 bits.
    Narrow,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Socket,
    Connect,
    SendTo,
    SendMessage,
    SendMessages,
    SetOption,
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    pub(super) args: [u64; 6],
}

impl Call {
    /// Reads a call that the filter sent to the supervisor.
    pub(super) fn read(data: &seccomp_data, caller: &Caller) -> Result<Self, Errno> {
        let abis = NATIVE.abis().iter().zip([Layout::Wide, Layout::Narrow]);
        let (abi, layout) = abis
            .into_iter()
            .find(|(abi, _)| abi.architecture == data.arch)
            .ok_or(Errno::NOSYS)?;
        let number = data.nr.cast_unsigned();
        if abi.sockets.multiplexer == Some(number) {
            return multiplexed(data, caller);
        }
        let args = match layout {
            Layout::Wide => data.args,
            Layout::Narrow => data.args.map(|arg| arg & u64::from(u32::MAX)),
        };
        Ok(Self {
            kind: kind(abi, number).ok_or(Errno::NOSYS)?,
            layout,
            args,
        })
    }

    /// An argument that is a number of 32 bits: the kernel ignores the rest.
    pub(super) fn int(&self, index: usize) -> i32 {
        self.args[index] as i32
    }
}

fn kind(abi: &Abi, number: u32) -> Option<Kind> {
    let calls = &abi.sockets;
    let kinds = [
        (calls.socket, Kind::Socket),
        (calls.connect, Kind::Connect),
        (calls.send_to, Kind::SendTo),
        (calls.send_message, Kind::SendMessage),
        (calls.send_messages, Kind::SendMessages),
        (calls.set_option, Kind::SetOption),
    ];
    let found = kinds.into_iter().find(|(own, _)| *own == number);
    found.map(|(_, kind)| kind)
}

/// `socketcall`: the arguments are in memory.
fn multiplexed(data: &seccomp_data, caller: &Caller) -> Result<Call, Errno> {
    let (kind, count) = match data.args[0] as u32 {
        multiplexed::SOCKET => (Kind::Socket, 3),
        multiplexed::CONNECT => (Kind::Connect, 3),
        multiplexed::SEND_TO => (Kind::SendTo, 6),
        multiplexed::SET_OPTION => (Kind::SetOption, 5),
        multiplexed::SEND_MESSAGE => (Kind::SendMessage, 3),
        multiplexed::SEND_MESSAGES => (Kind::SendMessages, 4),
        _ => return Err(Errno::INVAL),
    };
    let mut bytes = [0; 24];
    let bytes = &mut bytes[..4 * count];
    caller.read(data.args[1] & u64::from(u32::MAX), bytes)?;
    let mut args = [0; 6];
    for (arg, bytes) in args.iter_mut().zip(bytes.chunks_exact(4)) {
        *arg = u64::from(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    }
    Ok(Call {
        kind,
        layout: Layout::Narrow,
        args,
    })
}
