//! An assembler of the programs that seccomp runs: classic BPF over the number, the architecture and the arguments of a call.

use std::num::NonZeroU16;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET,
    BPF_W, sock_filter,
};

/// As many instructions as the kernel takes (`BPF_MAXINSNS`).
pub(super) const MAX_LENGTH: u16 = 4096;

/// A program that the kernel takes: not empty, not too long, every jump goes forward to an instruction.
#[derive(Debug, Clone)]
pub(super) struct Program {
    code: Vec<sock_filter>,
    length: NonZeroU16,
}

impl Program {
    pub(super) fn code(&self) -> &[sock_filter] {
        &self.code
    }

    pub(super) fn length(&self) -> NonZeroU16 {
        self.length
    }
}

/// What is done with a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    /// It is not done, and fails with this error.
    Errno(u16),
    /// The supervisor makes it in the caller's place, or gives it an error.
    Supervise,
    KillThread,
}

impl Action {
    pub(super) fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Errno(error) => libc::SECCOMP_RET_ERRNO | u32::from(error),
            Self::Supervise => libc::SECCOMP_RET_USER_NOTIF,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
        }
    }
}

/// A place in a program that is jumped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("expected 1 to {MAX_LENGTH} instructions, found {0}")]
    Length(usize),
    #[error("the jump at instruction {0} does not go forward to an instruction")]
    Jump(usize),
}

/// Makes a [`Program`].
///
/// BPF's conditional jumps reach 255 instructions and no more. So a conditional one here only steps over an unconditional one,
/// which reaches everywhere.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<sock_filter>,
    /// The unconditional jumps, and where they go.
    jumps: Vec<(usize, Label)>,
    labels: Vec<Option<usize>>,
    /// What is answered at the end of the program.
    answers: Vec<(Action, Label)>,
}

impl Assembler {
    /// A label that is not bound yet.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label means the next instruction.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Where a call gets this answer.
    pub(super) fn answering(&mut self, action: Action) -> Label {
        let known = self.answers.iter().find(|(answer, _)| *answer == action);
        if let Some((_, label)) = known {
            return *label;
        }
        let label = self.label();
        self.answers.push((action, label));
        label
    }

    /// Loads the number of the call.
    pub(super) fn load_number(&mut self) {
        self.load(0);
    }

    /// Loads the architecture of the call.
    pub(super) fn load_architecture(&mut self) {
        self.load(4);
    }

    /// Loads the lower half of an argument, counted from 0.
    pub(super) fn load_argument(&mut self, index: u8) {
        self.load(16 + 8 * u32::from(index));
    }

    /// Loads the upper half of an argument.
    pub(super) fn load_upper_half(&mut self, index: u8) {
        self.load(20 + 8 * u32::from(index));
    }

    /// Keeps some bits of what is loaded.
    pub(super) fn keep(&mut self, bits: u32) {
        self.push(BPF_ALU | BPF_AND | BPF_K, [0, 0], bits);
    }

    pub(super) fn jump(&mut self, target: Label) {
        self.jumps.push((self.code.len(), target));
        self.push(BPF_JMP | BPF_JA, [0, 0], 0);
    }

    pub(super) fn jump_if_equal(&mut self, value: u32, target: Label) {
        self.push(BPF_JMP | BPF_JEQ | BPF_K, [0, 1], value);
        self.jump(target);
    }

    pub(super) fn jump_unless_equal(&mut self, value: u32, target: Label) {
        self.push(BPF_JMP | BPF_JEQ | BPF_K, [1, 0], value);
        self.jump(target);
    }

    pub(super) fn jump_if_at_least(&mut self, value: u32, target: Label) {
        self.push(BPF_JMP | BPF_JGE | BPF_K, [0, 1], value);
        self.jump(target);
    }

    /// Jumps if one of the bits is set.
    pub(super) fn jump_if_any_bit(&mut self, bits: u32, target: Label) {
        self.push(BPF_JMP | BPF_JSET | BPF_K, [0, 1], bits);
        self.jump(target);
    }

    /// Ends the program here.
    pub(super) fn answer(&mut self, action: Action) {
        self.push(BPF_RET | BPF_K, [0, 0], action.value());
    }

    pub(super) fn finish(mut self) -> Result<Program, ProgramError> {
        for (action, label) in std::mem::take(&mut self.answers) {
            self.bind(label);
            self.answer(action);
        }
        let length = u16::try_from(self.code.len())
            .ok()
            .and_then(NonZeroU16::new)
            .filter(|length| length.get() <= MAX_LENGTH)
            .ok_or(ProgramError::Length(self.code.len()))?;
        for (at, label) in self.jumps {
            self.code[at].k = self.labels[label.0]
                .filter(|target| *target < self.code.len())
                .and_then(|target| target.checked_sub(at + 1))
                .ok_or(ProgramError::Jump(at))? as u32;
        }
        Ok(Program {
            code: self.code,
            length,
        })
    }

    fn load(&mut self, offset: u32) {
        self.push(BPF_LD | BPF_W | BPF_ABS, [0, 0], offset);
    }

    fn push(&mut self, code: u32, [jt, jf]: [u8; 2], k: u32) {
        let code = code as u16;
        self.code.push(sock_filter { code, jt, jf, k });
    }
}

#[cfg(target_endian = "big")]
compile_error!("the lower half of an argument comes second on this architecture");
