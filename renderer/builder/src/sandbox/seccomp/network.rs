//! The rules for builders whose network has a policy: every call that names an address of the network goes to the supervisor.

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_FLOWLABEL_MGR,
    IPV6_RTHDR, NETLINK_ROUTE, SO_ZEROCOPY, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_IP, SOL_IPV6,
    SOL_SOCKET,
};

use super::abi::{Abi, X32};
use super::program::{Action, Assembler, Label};

/// `io_uring_setup`, `io_uring_enter` and `io_uring_register`: it makes calls that no filter sees. The numbers are the same
/// everywhere.
const IO_URING: std::ops::RangeInclusive<u32> = 425..=427;

/// The calls of x32 that have numbers of their own. Older kernels take them without the mark, too.
const OWN_NUMBERS_OF_X32: std::ops::Range<u32> = 512..548;

const IP_OPTIONS: i32 = 4;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_2292PKTOPTIONS: i32 = 6;

/// Options of sockets that are refused, by level and name: by the first ones packets go to another address than the one that
/// the program names (source routes); by the last one the kernel takes data after the call.
pub(in crate::sandbox) const REFUSED_OPTIONS: [(i32, i32); 6] = [
    (SOL_IP, IP_OPTIONS),
    (SOL_IPV6, IPV6_RTHDR),
    (SOL_IPV6, IPV6_2292RTHDR),
    (SOL_IPV6, IPV6_2292PKTOPTIONS),
    (SOL_IPV6, IPV6_FLOWLABEL_MGR),
    (SOL_SOCKET, SO_ZEROCOPY),
];

/// The numbers by which `socketcall` names the calls that are supervised.
pub(in crate::sandbox) mod multiplexed {
    pub(in crate::sandbox) const SOCKET: u32 = 1;
    pub(in crate::sandbox) const CONNECT: u32 = 3;
    pub(in crate::sandbox) const SEND_TO: u32 = 11;
    pub(in crate::sandbox) const SET_OPTION: u32 = 14;
    pub(in crate::sandbox) const SEND_MESSAGE: u32 = 16;
    pub(in crate::sandbox) const SEND_MESSAGES: u32 = 20;
    pub(super) const ALL: [u32; 6] = [
        SOCKET,
        CONNECT,
        SEND_TO,
        SET_OPTION,
        SEND_MESSAGE,
        SEND_MESSAGES,
    ];
}

/// The rules for one call; those that are let through go to the label.
type Rules = fn(&mut Assembler, Label);

/// Answers the calls of an interface that have to do with the network. The others go on behind.
pub(super) fn rules(program: &mut Assembler, abi: &Abi) {
    let missing = program.answering(Action::Errno(ENOSYS as u16));
    let supervised = program.answering(Action::Supervise);
    let rest = program.label();
    let calls = &abi.sockets;
    program.load_number();
    if abi.second.is_some() {
        program.jump_if_any_bit(X32, missing);
        let other = program.label();
        program.jump_if_at_least(OWN_NUMBERS_OF_X32.end, other);
        program.jump_if_at_least(OWN_NUMBERS_OF_X32.start, missing);
        program.bind(other);
    }
    for number in IO_URING {
        program.jump_if_equal(number, missing);
    }
    for number in [calls.connect, calls.send_message, calls.send_messages] {
        program.jump_if_equal(number, supervised);
    }
    let others: [(Option<u32>, Rules); 4] = [
        (Some(calls.socket), socket),
        (Some(calls.send_to), send_to),
        (Some(calls.set_option), set_option),
        (calls.multiplexer, multiplexer),
    ];
    for (number, rules) in others {
        let Some(number) = number else { continue };
        let next = program.label();
        program.jump_unless_equal(number, next);
        rules(program, rest);
        program.bind(next);
    }
    program.bind(rest);
}

/// Sockets of TCP, UDP and ping, Unix sockets, and what asks the kernel for its addresses and routes. Others have ways to
/// name an address that the supervisor does not know.
fn socket(program: &mut Assembler, rest: Label) {
    let [internet, netlink] = [program.label(), program.label()];
    let wrong_protocol = program.answering(Action::Errno(EPROTONOSUPPORT as u16));
    program.load_argument(0);
    program.jump_if_equal(AF_UNIX as u32, rest);
    program.jump_if_equal(AF_INET as u32, internet);
    program.jump_if_equal(AF_INET6 as u32, internet);
    program.jump_if_equal(AF_NETLINK as u32, netlink);
    program.answer(Action::Errno(EAFNOSUPPORT as u16));

    program.bind(internet);
    let protocol = program.label();
    let raw = program.answering(Action::Errno(EPERM as u16));
    program.load_argument(1);
    program.keep(SOCKET_TYPE);
    program.jump_if_equal(SOCK_STREAM as u32, protocol);
    program.jump_if_equal(SOCK_DGRAM as u32, protocol);
    program.jump_if_equal(SOCK_RAW as u32, raw);
    program.answer(Action::Errno(ESOCKTNOSUPPORT as u16));
    program.bind(protocol);
    program.load_argument(2);
    for protocol in PROTOCOLS {
        program.jump_if_equal(protocol as u32, rest);
    }
    program.jump(wrong_protocol);

    program.bind(netlink);
    program.load_argument(2);
    program.jump_if_equal(NETLINK_ROUTE as u32, rest);
    program.jump(wrong_protocol);
}

/// What of the second argument of `socket` is the type; the rest are flags.
const SOCKET_TYPE: u32 = 0xf;

const PROTOCOLS: [i32; 5] = [0, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6];

/// The error that the filter gives to `socket`, for where the filter does not see its arguments.
pub(in crate::sandbox) fn refuse_socket(family: i32, kind: i32, protocol: i32) -> Option<i32> {
    match (family, kind & SOCKET_TYPE as i32) {
        (AF_UNIX, _) => None,
        (AF_INET | AF_INET6, SOCK_STREAM | SOCK_DGRAM) => {
            (!PROTOCOLS.contains(&protocol)).then_some(EPROTONOSUPPORT)
        }
        (AF_INET | AF_INET6, SOCK_RAW) => Some(EPERM),
        (AF_INET | AF_INET6, _) => Some(ESOCKTNOSUPPORT),
        (AF_NETLINK, _) => (protocol != NETLINK_ROUTE).then_some(EPROTONOSUPPORT),
        _ => Some(EAFNOSUPPORT),
    }
}

/// Without an address, what is sent goes where the socket is connected to.
fn send_to(program: &mut Assembler, rest: Label) {
    const ADDRESS: u8 = 4;
    let supervised = program.answering(Action::Supervise);
    program.load_argument(ADDRESS);
    program.jump_unless_equal(0, supervised);
    program.load_upper_half(ADDRESS);
    program.jump_unless_equal(0, supervised);
    program.jump(rest);
}

fn set_option(program: &mut Assembler, rest: Label) {
    let refused = program.answering(Action::Errno(EPERM as u16));
    for (level, name) in REFUSED_OPTIONS {
        let next = program.label();
        program.load_argument(1);
        program.jump_unless_equal(level as u32, next);
        program.load_argument(2);
        program.jump_if_equal(name as u32, refused);
        program.bind(next);
    }
    program.jump(rest);
}

fn multiplexer(program: &mut Assembler, rest: Label) {
    let supervised = program.answering(Action::Supervise);
    program.load_argument(0);
    for call in multiplexed::ALL {
        program.jump_if_equal(call, supervised);
    }
    program.jump(rest);
}
