//! The control messages that go with what a builder sends.

use std::os::fd::{AsRawFd, OwnedFd};

use libc::{
    IP_PKTINFO, IP_TOS, IP_TTL, IPV6_DONTFRAG, IPV6_HOPLIMIT, IPV6_PKTINFO, IPV6_TCLASS,
    SCM_RIGHTS, SO_PRIORITY, SO_TIMESTAMPING, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP, UDP_SEGMENT,
};
use rustix::io::Errno;
use rustix::net::AddressFamily;

use super::call::Layout;
use super::caller::Caller;
use super::message::word;

/// No more bytes are taken than that: 253 file descriptors take 1028.
const MAX_LENGTH: u64 = 8192;

/// As many file descriptors as the kernel takes in a message.
const MAX_FILES: usize = 253;

/// `SCM_TXTIME`, and what kernel TLS takes for the type of a record.
const SCM_TXTIME: i32 = 61;
const SOL_TLS: i32 = 282;
const TLS_SET_RECORD_TYPE: i32 = 1;

/// What may go to the network, by level and type. None of it names an address that packets go to.
const INTERNET: [(i32, i32); 12] = [
    (SOL_SOCKET, SO_PRIORITY),
    (SOL_SOCKET, SO_TIMESTAMPING),
    (SOL_SOCKET, SCM_TXTIME),
    (SOL_IP, IP_PKTINFO),
    (SOL_IP, IP_TTL),
    (SOL_IP, IP_TOS),
    (SOL_IPV6, IPV6_PKTINFO),
    (SOL_IPV6, IPV6_HOPLIMIT),
    (SOL_IPV6, IPV6_TCLASS),
    (SOL_IPV6, IPV6_DONTFRAG),
    (SOL_UDP, UDP_SEGMENT),
    (SOL_TLS, TLS_SET_RECORD_TYPE),
];

/// The size of the kernel's header of a control message, for a program of 64 bits.
const HEADER: usize = 16;

/// Control messages as the supervisor sends them.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Aligned as they have to be.
    pub(super) words: Vec<u64>,
    /// What the numbers in them mean: open until they are sent.
    files: Vec<OwnedFd>,
}

impl Control {
    /// Takes over the control messages of a builder. Files that it passes to another process are carried.
    pub(super) fn read(
        caller: &Caller,
        layout: Layout,
        family: AddressFamily,
        (at, length): (u64, u64),
    ) -> Result<Self, Errno> {
        if length > MAX_LENGTH {
            return Err(Errno::NOBUFS);
        }
        let mut bytes = vec![0; length as usize];
        caller.read(at, &mut bytes)?;
        let mut control = Self::default();
        for message in split(&bytes, layout)? {
            let kind = (message.level, message.kind);
            match family {
                AddressFamily::UNIX if kind == (SOL_SOCKET, SCM_RIGHTS) => {
                    let numbers = control.takefiles(caller, message.data)?;
                    control.push(kind, &numbers);
                }
                AddressFamily::INET | AddressFamily::INET6 if INTERNET.contains(&kind) => {
                    control.push(kind, message.data);
                }
                _ => return Err(Errno::PERM),
            }
        }
        Ok(control)
    }

    /// Takes the files that a message passes on, and gives their numbers here.
    fn takefiles(&mut self, caller: &Caller, data: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut numbers = Vec::new();
        for number in data.chunks_exact(4) {
            if self.files.len() == MAX_FILES {
                return Err(Errno::INVAL);
            }
            let number = i32::from_ne_bytes([number[0], number[1], number[2], number[3]]);
            let file = caller.descriptor(number)?;
            numbers.extend(file.as_raw_fd().to_ne_bytes());
            self.files.push(file);
        }
        Ok(numbers)
    }

    fn push(&mut self, (level, kind): (i32, i32), data: &[u8]) {
        self.words.push((HEADER + data.len()) as u64);
        let kinds = [level.to_ne_bytes(), kind.to_ne_bytes()].concat();
        for chunk in kinds.chunks(8).chain(data.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words.push(u64::from_ne_bytes(word));
        }
    }
}

struct ControlMessage<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// The control messages in a row of them.
fn split(mut bytes: &[u8], layout: Layout) -> Result<Vec<ControlMessage<'_>>, Errno> {
    let size = match layout {
        Layout::Wide => 8,
        Layout::Narrow => 4,
    };
    let header = size + 8;
    let mut messages = Vec::new();
    // As the kernel: what is too short for a header is none.
    while bytes.len() >= header {
        let length = usize::try_from(word(bytes, 0, size))
            .ok()
            .filter(|length| (header..=bytes.len()).contains(length))
            .ok_or(Errno::INVAL)?;
        let number = |at: usize| word(&bytes[at..], 0, 4) as u32;
        messages.push(ControlMessage {
            level: number(size).cast_signed(),
            kind: number(size + 4).cast_signed(),
            data: &bytes[header..length],
        });
        let next = length.next_multiple_of(size).min(bytes.len());
        bytes = &bytes[next..];
    }
    Ok(messages)
}
