//! What the filters answer: in an interpreter, held against Nix's own filter, and in the kernel.

mod assembler;
mod interpreter;
mod kernel;
mod network;

use libc::{
    EOPNOTSUPP, EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_THREAD, seccomp_data,
    sock_filter,
};

use super::Filter;
use super::abi::{Machine, X32};
use interpreter::run;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM: u32 = 0x4000_0028;

fn call(arch: u32, number: u32, args: [u64; 6]) -> seccomp_data {
    seccomp_data {
        nr: number as i32,
        arch,
        instruction_pointer: 0,
        args,
    }
}

fn errno(error: i32) -> u32 {
    SECCOMP_RET_ERRNO | error as u32
}

/// The filter that was seen in a builder of Nix.
fn filter_of_nix() -> Vec<sock_filter> {
    let field = |text: &str| u32::from_str_radix(text, 16).unwrap();
    include_str!("../nix-2.34.8-x86_64.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<u32> = line.split(' ').map(field).collect();
            let [code, jt, jf, k] = fields[..] else {
                panic!("expected four fields, found {line}")
            };
            sock_filter {
                code: code as u16,
                jt: jt as u8,
                jf: jf as u8,
                k,
            }
        })
        .collect()
}

#[test]
fn every_call_gets_the_answer_of_nix() {
    let (oracle, filter) = (filter_of_nix(), Filter::of(Machine::X86_64, false));
    let modes = [
        0,
        0o644,
        0o1777,
        0o2755,
        0o4755,
        0o6777,
        u64::from(u32::MAX),
        0x0800_0000_0000,
        u64::MAX,
    ];
    let numbers = (0..=700).chain([0x3fff_ffff, u32::MAX]);
    let numbers = numbers.flat_map(|number| [number, number | X32]);
    let mut denied = 0;
    for number in numbers {
        for arch in [X86_64, I386, AARCH64, ARM, 0, u32::MAX] {
            for (index, mode) in (0..6).flat_map(|index| modes.map(|mode| (index, mode))) {
                let mut args = [0; 6];
                args[index] = mode;
                let data = call(arch, number, args);
                let expected = run(&oracle, &data);
                let found = run(filter.program.code(), &data);
                assert_eq!(expected, found, "{arch:x} {number:x} {args:x?}");
                denied += u32::from(expected == errno(EPERM));
            }
        }
    }
    // 4 calls, 3 interfaces, 5 modes that have a bit.
    assert_eq!(denied, 4 * 3 * 5);
}

#[test]
fn arm_machines_have_the_same_rules() {
    let filter = Filter::of(Machine::Aarch64, false);
    let answer = |arch, number, args| run(filter.program.code(), &call(arch, number, args));
    for (arch, number, index) in [
        (AARCH64, 52, 1),
        (AARCH64, 53, 2),
        (AARCH64, 452, 2),
        (ARM, 15, 1),
        (ARM, 94, 1),
        (ARM, 333, 2),
        (ARM, 452, 2),
    ] {
        for (mode, expected) in [
            (0o2755, errno(EPERM)),
            (0o4755, errno(EPERM)),
            (0o1755, SECCOMP_RET_ALLOW),
        ] {
            let mut args = [0; 6];
            args[index] = mode;
            assert_eq!(answer(arch, number, args), expected, "{arch:x} {number}");
        }
    }
    for (arch, numbers) in [(AARCH64, 5..=10), (ARM, 226..=231)] {
        for number in numbers {
            assert_eq!(answer(arch, number, [0; 6]), errno(EOPNOTSUPP));
        }
    }
    assert_eq!(answer(X86_64, 90, [0; 6]), SECCOMP_RET_KILL_THREAD);
    assert_eq!(answer(AARCH64, 90, [0o4755; 6]), SECCOMP_RET_ALLOW);
}
