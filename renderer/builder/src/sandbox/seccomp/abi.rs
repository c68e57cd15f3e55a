//! The interfaces by which programs make system calls on a machine, and the numbers of those that a filter names.

/// The kind of machine that builders run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "its filter is tested on every machine")
    )]
    X86_64,
    #[cfg_attr(
        not(target_arch = "aarch64"),
        allow(dead_code, reason = "its filter is tested on every machine")
    )]
    Aarch64,
}

/// The machine that this program is compiled for.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: Machine = Machine::X86_64;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: Machine = Machine::Aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("builds have no filter of system calls for this architecture");

/// One interface of a machine's kernel.
#[derive(Debug)]
pub(super) struct Abi {
    /// As seccomp tells it (`AUDIT_ARCH_*`).
    pub(super) architecture: u32,
    /// Added to each number: a second interface with the same numbers.
    pub(super) second: Option<u32>,
    /// Calls whose second argument is a file's mode.
    pub(super) mode_second: &'static [u32],
    /// Calls whose third argument is a file's mode.
    pub(super) mode_third: &'static [u32],
    /// The calls that read and set extended attributes, but not the `*xattrat` ones.
    pub(super) attributes: [u32; 6],
}

/// What marks a call by the x32 interface of x86.
pub(super) const X32: u32 = 0x4000_0000;

const X86_64: Abi = Abi {
    architecture: 0xc000_003e,
    second: Some(X32),
    mode_second: &[90, 91],
    mode_third: &[268, 452],
    attributes: [188, 189, 190, 191, 192, 193],
};

const I386: Abi = Abi {
    architecture: 0x4000_0003,
    second: None,
    mode_second: &[15, 94],
    mode_third: &[306, 452],
    attributes: [226, 227, 228, 229, 230, 231],
};

const AARCH64: Abi = Abi {
    architecture: 0xc000_00b7,
    second: None,
    mode_second: &[52],
    mode_third: &[53, 452],
    attributes: [5, 6, 7, 8, 9, 10],
};

const ARM: Abi = Abi {
    architecture: 0x4000_0028,
    second: None,
    mode_second: &[15, 94],
    mode_third: &[333, 452],
    attributes: [226, 227, 228, 229, 230, 231],
};

impl Machine {
    /// Its interfaces: of 64 bits, of 32 bits.
    pub(super) fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &[X86_64, I386],
            Self::Aarch64 => &[AARCH64, ARM],
        }
    }
}
