//! Runs programs as the kernel does, with its checks.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET,
    BPF_W, seccomp_data, sock_filter,
};

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const AND: u32 = BPF_ALU | BPF_AND | BPF_K;
const ALWAYS: u32 = BPF_JMP | BPF_JA;
const EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const AT_LEAST: u32 = BPF_JMP | BPF_JGE | BPF_K;
const ANY_BIT: u32 = BPF_JMP | BPF_JSET | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

/// The answer to a call.
pub(super) fn run(code: &[sock_filter], data: &seccomp_data) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = code[at];
        let branch = |taken| usize::from(if taken { jt } else { jf });
        at += 1;
        match u32::from(code) {
            LOAD => accumulator = word(data, k),
            AND => accumulator &= k,
            ALWAYS => at += k as usize,
            EQUAL => at += branch(accumulator == k),
            AT_LEAST => at += branch(accumulator >= k),
            ANY_BIT => at += branch(accumulator & k != 0),
            RETURN => return k,
            other => panic!("unknown instruction {other:x}"),
        }
    }
}

fn word(data: &seccomp_data, offset: u32) -> u32 {
    match offset {
        0 => data.nr as u32,
        4 => data.arch,
        16..64 if offset.is_multiple_of(4) => {
            let argument = data.args[(offset as usize - 16) / 8];
            (argument >> (8 * (offset % 8))) as u32
        }
        other => panic!("no field at {other}"),
    }
}
