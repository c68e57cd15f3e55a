//! What the supervised filter answers, in the interpreter.

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK, EAFNOSUPPORT, ENOSYS, EPERM,
    EPROTONOSUPPORT, ESOCKTNOSUPPORT, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, SOCK_CLOEXEC,
    SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

use super::super::Filter;
use super::super::abi::{Abi, Machine, X32};
use super::super::network::{REFUSED_OPTIONS, refuse_socket};
use super::interpreter::run;
use super::{AARCH64, I386, X86_64, call, errno};

const MACHINES: [Machine; 2] = [Machine::X86_64, Machine::Aarch64];

/// The answers to calls by one interface.
struct Answers<'a> {
    filter: &'a Filter,
    abi: &'a Abi,
}

impl Answers<'_> {
    fn to(&self, number: u32, args: [u64; 6]) -> u32 {
        let data = call(self.abi.architecture, number, args);
        run(self.filter.program.code(), &data)
    }
}

fn each_interface(mut test: impl FnMut(&Answers)) {
    for machine in MACHINES {
        let filter = &Filter::of(machine, true);
        for abi in machine.abis() {
            test(&Answers { filter, abi });
        }
    }
}

#[test]
fn calls_that_name_addresses_are_supervised() {
    each_interface(|answers| {
        let calls = &answers.abi.sockets;
        for number in [calls.connect, calls.send_message, calls.send_messages] {
            assert_eq!(answers.to(number, [0; 6]), SECCOMP_RET_USER_NOTIF);
        }
        for address in [1, 1 << 31, 1 << 32, 1 << 63] {
            let answer = answers.to(calls.send_to, [0, 0, 0, 0, address, 0]);
            assert_eq!(answer, SECCOMP_RET_USER_NOTIF);
        }
        let without_address = answers.to(calls.send_to, [u64::MAX, 1, 1, 1, 0, 16]);
        assert_eq!(without_address, SECCOMP_RET_ALLOW);
    });
}

#[test]
fn the_multiplexer_is_supervised_for_the_calls_that_matter() {
    let filter = &Filter::of(Machine::X86_64, true);
    let abi = &Machine::X86_64.abis()[1];
    let answers = Answers { filter, abi };
    let supervised: Vec<u64> = (0..=30)
        .filter(|call| answers.to(102, [*call, 0, 0, 0, 0, 0]) == SECCOMP_RET_USER_NOTIF)
        .collect();
    assert_eq!(supervised, [1, 3, 11, 14, 16, 20]);
}

#[test]
fn there_are_sockets_whose_addresses_the_supervisor_knows_and_no_others() {
    let (tcp, udp, sctp, mptcp) = (6, 17, 132, 262);
    let flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    let cases = [
        (AF_UNIX, SOCK_STREAM, 0, None),
        (AF_UNIX, SOCK_SEQPACKET, 0, None),
        (AF_INET, SOCK_STREAM | flags, tcp, None),
        (AF_INET6, SOCK_DGRAM | flags, udp, None),
        (AF_INET, SOCK_DGRAM, 1, None),
        (AF_INET6, SOCK_DGRAM, 58, None),
        (AF_INET, SOCK_RAW, 255, Some(EPERM)),
        (AF_INET, SOCK_SEQPACKET, 0, Some(ESOCKTNOSUPPORT)),
        (AF_INET, 6, 33, Some(ESOCKTNOSUPPORT)),
        (AF_INET, 10, 0, Some(ESOCKTNOSUPPORT)),
        (AF_INET, SOCK_STREAM, sctp, Some(EPROTONOSUPPORT)),
        (AF_INET6, SOCK_STREAM, mptcp, Some(EPROTONOSUPPORT)),
        (AF_NETLINK, SOCK_RAW, 0, None),
        (AF_NETLINK, SOCK_RAW, 16, Some(EPROTONOSUPPORT)),
        (AF_PACKET, SOCK_RAW, 0, Some(EAFNOSUPPORT)),
        (AF_VSOCK, SOCK_STREAM, 0, Some(EAFNOSUPPORT)),
        (43, SOCK_STREAM, 0, Some(EAFNOSUPPORT)),
        (-1, SOCK_STREAM, 0, Some(EAFNOSUPPORT)),
    ];
    each_interface(|answers| {
        for (family, kind, protocol, expected) in cases {
            let args = [family, kind, protocol, 0, 0, 0].map(|arg| u64::from(arg.cast_unsigned()));
            let answer = answers.to(answers.abi.sockets.socket, args);
            let expected_answer = expected.map_or(SECCOMP_RET_ALLOW, errno);
            assert_eq!(answer, expected_answer, "{family} {kind} {protocol}");
            assert_eq!(refuse_socket(family, kind, protocol), expected);
        }
    });
}

#[test]
fn options_that_route_packets_elsewhere_are_refused() {
    each_interface(|answers| {
        let set = |level: i32, name: i32| {
            let args = [3, level as u64, name as u64, 0, 0, 0];
            answers.to(answers.abi.sockets.set_option, args)
        };
        for (level, name) in REFUSED_OPTIONS {
            assert_eq!(set(level, name), errno(EPERM));
        }
        for (level, name) in [(1, 2), (0, 1), (6, 4), (41, 26), (6, 5), (17, 57)] {
            assert_eq!(set(level, name), SECCOMP_RET_ALLOW);
        }
    });
}

#[test]
fn no_interface_goes_around_the_supervisor() {
    each_interface(|answers| {
        for number in 425..=427 {
            assert_eq!(answers.to(number, [0; 6]), errno(ENOSYS));
        }
    });
    let filter = &Filter::of(Machine::X86_64, true);
    let abi = &Machine::X86_64.abis()[0];
    let answers = Answers { filter, abi };
    for number in (0..=600).map(|number| number | X32).chain(512..548) {
        assert_eq!(answers.to(number, [0; 6]), errno(ENOSYS));
    }
    assert_eq!(answers.to(511, [0; 6]), SECCOMP_RET_ALLOW);
    assert_eq!(answers.to(548, [0; 6]), SECCOMP_RET_ALLOW);
}

#[test]
fn the_rules_of_nix_hold_for_supervised_builders() {
    for (machine, architectures) in [
        (Machine::X86_64, [X86_64, I386]),
        (Machine::Aarch64, [AARCH64, super::ARM]),
    ] {
        let (nix, supervised) = (Filter::of(machine, false), Filter::of(machine, true));
        for arch in architectures.into_iter().chain([0, u32::MAX]) {
            for number in 0..=600 {
                let data = call(arch, number, [0o4755; 6]);
                let expected = run(nix.program.code(), &data);
                let found = run(supervised.program.code(), &data);
                assert!(
                    found == expected || expected == SECCOMP_RET_ALLOW,
                    "{arch:x} {number}"
                );
            }
        }
    }
}
