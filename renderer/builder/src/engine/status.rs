//! The exit status that comes of failures.

use super::{Failure, Reason};
use crate::outputs::OutputFailure;

/// Which kinds of failures there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitStatus(u8);

const PERMANENT: u8 = 0b0100;
const TIMED_OUT: u8 = 0b0101;
const HASH_MISMATCH: u8 = 0b0110;
const NOT_DETERMINISTIC: u8 = 0b1000;

impl ExitStatus {
    /// That of some failures.
    pub fn of<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> Self {
        let mut bits = 0;
        for failure in failures {
            bits |= match &failure.reason {
                Reason::Builder {
                    is_transient: false,
                    ..
                }
                | Reason::Refused(_)
                | Reason::Environment(_)
                | Reason::Disabled => PERMANENT,
                Reason::TimedOut(_) => TIMED_OUT,
                Reason::Outputs(error) => match error.failure() {
                    OutputFailure::HashMismatch => HASH_MISMATCH,
                    OutputFailure::NotDeterministic => NOT_DETERMINISTIC,
                    OutputFailure::OutputRejected | OutputFailure::Misc => 0,
                },
                _ => 0,
            };
        }
        Self(bits)
    }

    /// The exit code of `nix-build`: 100 for builders that failed, 101 with time that ran out, 102 with hashes that differ, 103
    /// with both; 104 for builds that are not deterministic, or by bits with the others; 1 for anything else.
    pub fn code(self) -> u8 {
        match self.0 {
            0 => 1,
            bits => 0b110_0000 | bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::StorePath;

    use super::*;
    use crate::engine::BuilderStatus;
    use crate::outputs::OutputError;

    #[test]
    fn exit_codes_are_combined_as_nix_does() {
        let mismatch = || {
            Reason::from(OutputError::HashMismatch {
                derivation: String::new(),
                specified: String::new(),
                got: String::new(),
            })
        };
        let not_deterministic = || {
            Reason::from(OutputError::NotDeterministic {
                derivation: String::new(),
                output: String::new(),
                kept: None,
                differences: Vec::new(),
            })
        };
        let failed = |is_transient| Reason::Builder {
            status: BuilderStatus::Code(1),
            is_transient,
            is_disk_full: false,
        };
        let path = "44r15qp3hx522xqaf9szcv8j812p14b7-x.drv";
        let code = |reasons: Vec<Reason>| {
            let failures = reasons.into_iter().map(|reason| Failure {
                derivation: StorePath::from_base_name(path).unwrap(),
                reason,
                outputs: Vec::new(),
                log_tail: Vec::new(),
            });
            ExitStatus::of(&failures.collect::<Vec<_>>()).code()
        };
        let dependencies = || Reason::Dependencies { count: 1 };
        assert_eq!(code(vec![]), 1);
        assert_eq!(code(vec![failed(false), dependencies()]), 100);
        assert_eq!(code(vec![failed(true), dependencies()]), 1);
        assert_eq!(code(vec![Reason::TimedOut(1)]), 101);
        assert_eq!(code(vec![mismatch()]), 102);
        assert_eq!(
            code(vec![mismatch(), Reason::TimedOut(1), failed(false)]),
            103
        );
        assert_eq!(code(vec![not_deterministic()]), 104);
        assert_eq!(code(vec![not_deterministic(), failed(false)]), 108);
        assert_eq!(code(vec![Reason::Cancelled, Reason::LogLimit(1)]), 1);
    }
}
