//! The rules of Nix 2.34.

use super::abi::Abi;
use super::program::{Action, Assembler};

const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;

/// Answers every call of an interface.
pub(super) fn rules(program: &mut Assembler, abi: &Abi) {
    let denied = program.answering(Action::Errno(libc::EPERM as u16));
    let unsupported = program.answering(Action::Errno(libc::EOPNOTSUPP as u16));
    let [mode_second, mode_third] = [program.label(), program.label()];
    program.load_number();
    let bits = [Some(0), abi.second];
    for bit in bits.into_iter().flatten() {
        for (numbers, target) in [
            (&abi.attributes[..], unsupported),
            (abi.mode_second, mode_second),
            (abi.mode_third, mode_third),
        ] {
            for number in numbers {
                program.jump_if_equal(number | bit, target);
            }
        }
    }
    program.answer(Action::Allow);
    for (label, argument) in [(mode_second, 1), (mode_third, 2)] {
        program.bind(label);
        program.load_argument(argument);
        program.jump_if_any_bit(SET_ID, denied);
        program.answer(Action::Allow);
    }
}
