//! How the agent of a build ends: the one word that Kubernetes itself understands of it. Pure.

/// How the agent of a build ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// All outputs were delivered.
    Built,
    /// The derivation cannot be built, on any machine: the exit code that `nix-build` has for it, from 100 on.
    Failed(BuildFault),
    /// The build ran out of the pod's memory.
    OutOfMemory,
    /// The machine cannot isolate builds as it must, and nothing was built.
    NoSandbox,
    /// Something else broke than the build: another machine may do better.
    Machine,
    /// The agent was told to stop.
    Stopped,
}

/// Why a derivation cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuildFault {
    /// What `nix-build` says with this exit code, from 100 to 111: 100 for a builder that failed, 101 for time that ran out, 102 for
    /// hashes that differ, 104 for outputs that differ each time.
    Nix(u8),
    /// Its outputs are refused, or its log is longer than it may be. `nix-build` has no code for it.
    Refused,
}

/// The first exit code that says that a derivation cannot be built.
pub const FIRST_FAULT: u8 = 100;
/// The last that `nix-build` has for it.
const LAST_OF_NIX: u8 = 111;
/// Ours, for what `nix-build` has none for.
const REFUSED: u8 = 120;
const OUT_OF_MEMORY: u8 = 12;
const NO_SANDBOX: u8 = 11;
const MACHINE: u8 = 10;
/// That of programs that end by SIGTERM, as shells have it.
const STOPPED: u8 = 143;
/// That of programs that end by SIGKILL: as a rule, the container had no memory left.
pub const KILLED: u8 = 137;

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Built => 0,
            Self::Failed(BuildFault::Nix(code)) => code.clamp(FIRST_FAULT, LAST_OF_NIX),
            Self::Failed(BuildFault::Refused) => REFUSED,
            Self::OutOfMemory => OUT_OF_MEMORY,
            Self::NoSandbox => NO_SANDBOX,
            Self::Machine => MACHINE,
            Self::Stopped => STOPPED,
        }
    }

    /// What an exit code says. None: the agent did not end by itself.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match u8::try_from(code).ok()? {
            0 => Self::Built,
            code @ FIRST_FAULT..=LAST_OF_NIX => Self::Failed(BuildFault::Nix(code)),
            REFUSED => Self::Failed(BuildFault::Refused),
            OUT_OF_MEMORY => Self::OutOfMemory,
            NO_SANDBOX => Self::NoSandbox,
            MACHINE => Self::Machine,
            STOPPED => Self::Stopped,
            _ => return None,
        })
    }

    /// The exit codes after which another pod of the same kind comes to the same end.
    pub fn final_codes() -> Vec<i32> {
        let faults = FIRST_FAULT..=LAST_OF_NIX;
        let mut codes: Vec<i32> = faults.map(i32::from).collect();
        codes.extend([REFUSED, OUT_OF_MEMORY, KILLED].map(i32::from));
        codes.sort_unstable();
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_they_were_made_of() {
        let mut all = vec![
            Exit::Built,
            Exit::Failed(BuildFault::Refused),
            Exit::OutOfMemory,
            Exit::NoSandbox,
            Exit::Machine,
            Exit::Stopped,
        ];
        all.extend((FIRST_FAULT..=LAST_OF_NIX).map(|code| Exit::Failed(BuildFault::Nix(code))));
        for exit in all {
            assert_eq!(Exit::from_code(exit.code().into()), Some(exit));
            let is_final = matches!(exit, Exit::Failed(_) | Exit::OutOfMemory);
            assert_eq!(Exit::final_codes().contains(&exit.code().into()), is_final);
        }
        for code in [1, 2, 99, 112, 127, 137, 139, 255, -1, 256] {
            assert_eq!(Exit::from_code(code), None);
        }
    }
}
