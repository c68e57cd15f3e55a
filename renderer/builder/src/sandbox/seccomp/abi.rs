//! The interfaces by which programs make system calls on a machine, and the numbers of those that a filter names.

/// The kind of machine that builders run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Machine {
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
pub(in crate::sandbox) const NATIVE: Machine = Machine::X86_64;
#[cfg(target_arch = "aarch64")]
pub(in crate::sandbox) const NATIVE: Machine = Machine::Aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("builds have no filter of system calls for this architecture");

/// One interface of a machine's kernel.
#[derive(Debug)]
pub(in crate::sandbox) struct Abi {
    /// As seccomp tells it (`AUDIT_ARCH_*`).
    pub(in crate::sandbox) architecture: u32,
    /// Set in each number: a second interface with the same numbers.
    pub(in crate::sandbox) second: Option<u32>,
    /// Calls whose second argument is a file's mode.
    pub(in crate::sandbox) mode_second: &'static [u32],
    /// Calls whose third argument is a file's mode.
    pub(in crate::sandbox) mode_third: &'static [u32],
    /// The calls that read and set extended attributes, but not the `*xattrat` ones.
    pub(in crate::sandbox) attributes: [u32; 6],
    pub(in crate::sandbox) sockets: SocketCalls,
}

/// The calls that make sockets and use them with addresses.
#[derive(Debug)]
pub(in crate::sandbox) struct SocketCalls {
    pub(in crate::sandbox) socket: u32,
    pub(in crate::sandbox) connect: u32,
    pub(in crate::sandbox) send_to: u32,
    pub(in crate::sandbox) send_message: u32,
    pub(in crate::sandbox) send_messages: u32,
    pub(in crate::sandbox) set_option: u32,
    /// `socketcall`: which of them it makes stands in its first argument, theirs are in memory.
    pub(in crate::sandbox) multiplexer: Option<u32>,
}

/// What marks a call by the x32 interface of x86.
pub(in crate::sandbox) const X32: u32 = 0x4000_0000;

const X86_64: Abi = Abi {
    architecture: 0xc000_003e,
    second: Some(X32),
    mode_second: &[90, 91],
    mode_third: &[268, 452],
    attributes: [188, 189, 190, 191, 192, 193],
    sockets: SocketCalls {
        socket: 41,
        connect: 42,
        send_to: 44,
        send_message: 46,
        send_messages: 307,
        set_option: 54,
        multiplexer: None,
    },
};

const I386: Abi = Abi {
    architecture: 0x4000_0003,
    second: None,
    mode_second: &[15, 94],
    mode_third: &[306, 452],
    attributes: [226, 227, 228, 229, 230, 231],
    sockets: SocketCalls {
        socket: 359,
        connect: 362,
        send_to: 369,
        send_message: 370,
        send_messages: 345,
        set_option: 366,
        multiplexer: Some(102),
    },
};

const AARCH64: Abi = Abi {
    architecture: 0xc000_00b7,
    second: None,
    mode_second: &[52],
    mode_third: &[53, 452],
    attributes: [5, 6, 7, 8, 9, 10],
    sockets: SocketCalls {
        socket: 198,
        connect: 203,
        send_to: 206,
        send_message: 211,
        send_messages: 269,
        set_option: 208,
        multiplexer: None,
    },
};

const ARM: Abi = Abi {
    architecture: 0x4000_0028,
    second: None,
    mode_second: &[15, 94],
    mode_third: &[333, 452],
    attributes: [226, 227, 228, 229, 230, 231],
    sockets: SocketCalls {
        socket: 281,
        connect: 283,
        send_to: 290,
        send_message: 296,
        send_messages: 374,
        set_option: 294,
        multiplexer: None,
    },
};

impl Machine {
    /// Its interfaces: of 64 bits, of 32 bits.
    pub(in crate::sandbox) fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &[X86_64, I386],
            Self::Aarch64 => &[AARCH64, ARM],
        }
    }
}
