//! The assembler itself.

use super::super::program::{Action, Assembler, MAX_LENGTH, ProgramError};
use super::interpreter::run;
use super::{X86_64, call};

#[test]
fn jumps_reach_over_thousands_of_instructions() {
    let mut program = Assembler::default();
    let far = program.label();
    program.load_number();
    program.jump_if_equal(7, far);
    program.jump_if_any_bit(0x100, far);
    for _ in 0..4000 {
        program.load_number();
    }
    program.answer(Action::Allow);
    program.bind(far);
    program.answer(Action::Errno(38));
    let program = program.finish().unwrap();
    for (number, expected) in [
        (7, Action::Errno(38)),
        (0x1ff, Action::Errno(38)),
        (8, Action::Allow),
    ] {
        let answer = run(program.code(), &call(X86_64, number, [0; 6]));
        assert_eq!(answer, expected.value());
    }
}

#[test]
fn each_argument_is_loaded_by_its_index() {
    for index in 0..6 {
        let mut program = Assembler::default();
        let other = program.label();
        program.load_argument(index);
        program.jump_unless_equal(0x1234_5678, other);
        program.answer(Action::Allow);
        program.bind(other);
        program.answer(Action::KillThread);
        let program = program.finish().unwrap();
        let mut args = [0; 6];
        args[usize::from(index)] = 0xffff_ffff_1234_5678;
        let answer = |args| run(program.code(), &call(X86_64, 0, args));
        assert_eq!(answer(args), Action::Allow.value());
        assert_eq!(answer([0; 6]), Action::KillThread.value());
    }
}

#[test]
fn a_program_has_one_instruction_and_no_more_than_the_kernel_takes() {
    assert_eq!(
        Assembler::default().finish().unwrap_err(),
        ProgramError::Length(0)
    );
    let of_length = |length| {
        let mut program = Assembler::default();
        for _ in 0..length {
            program.answer(Action::Allow);
        }
        program.finish()
    };
    assert_eq!(of_length(MAX_LENGTH).unwrap().length().get(), MAX_LENGTH);
    assert_eq!(
        of_length(MAX_LENGTH + 1).unwrap_err(),
        ProgramError::Length(4097)
    );
}

#[test]
fn a_jump_goes_forward_to_an_instruction() {
    let backward = {
        let mut program = Assembler::default();
        let start = program.label();
        program.bind(start);
        program.jump_if_equal(0, start);
        program.answer(Action::Allow);
        program.finish()
    };
    let nowhere = {
        let mut program = Assembler::default();
        let unbound = program.label();
        program.jump_if_equal(0, unbound);
        program.answer(Action::Allow);
        program.finish()
    };
    let past_the_end = {
        let mut program = Assembler::default();
        let end = program.label();
        program.jump_if_equal(0, end);
        program.answer(Action::Allow);
        program.bind(end);
        program.finish()
    };
    for program in [backward, nowhere, past_the_end] {
        assert_eq!(program.unwrap_err(), ProgramError::Jump(1));
    }
}
