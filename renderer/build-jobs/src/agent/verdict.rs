//! Whose fault a failure is, for the service and for Kubernetes. Pure.

use niphas_cache_service::protocol::{BuildFailure, FailureKind};
use nix_builder::engine::{Failure, MessageStyle, Reason};
use nix_builder::outputs::OutputFailure;
use nix_formats::StoreDir;

use crate::exit::{BuildFault, Exit};

const FAILED: Exit = Exit::Failed(BuildFault::Nix(100));
const TIMED_OUT: Exit = Exit::Failed(BuildFault::Nix(101));
const HASH_MISMATCH: Exit = Exit::Failed(BuildFault::Nix(102));
const REFUSED: Exit = Exit::Failed(BuildFault::Refused);

/// What a failure is. `ran_out_of_memory`: the kernel ended processes of this pod meanwhile.
pub(super) fn verdict(failure: &Failure, ran_out_of_memory: bool) -> (Exit, BuildFailure) {
    let (exit, kind) = match &failure.reason {
        Reason::Builder { .. } if ran_out_of_memory => {
            (Exit::OutOfMemory, FailureKind::OutOfMemory)
        }
        Reason::OutOfMemory => (Exit::OutOfMemory, FailureKind::OutOfMemory),
        // With the network, too: the next run may try again, since the service remembers only what lasts.
        Reason::Builder {
            is_disk_full: true, ..
        }
        | Reason::Builder {
            is_transient: true, ..
        } => (Exit::Machine, FailureKind::Machine),
        Reason::Builder { .. } | Reason::Environment(_) | Reason::NotAllowed(_) => {
            (FAILED, FailureKind::Builder)
        }
        Reason::TimedOut(_) => (TIMED_OUT, FailureKind::TimedOut),
        Reason::LogLimit(_) => (REFUSED, FailureKind::LogLimit),
        Reason::Outputs(error) => match error.failure() {
            OutputFailure::HashMismatch => (HASH_MISMATCH, FailureKind::HashMismatch),
            OutputFailure::OutputRejected | OutputFailure::NotDeterministic => {
                (REFUSED, FailureKind::OutputsRefused)
            }
            OutputFailure::Misc => (Exit::Machine, FailureKind::Machine),
        },
        Reason::Sandbox { .. } => (Exit::NoSandbox, FailureKind::Machine),
        _ => (Exit::Machine, FailureKind::Machine),
    };
    let style = MessageStyle {
        store_dir: &StoreDir::default(),
        log_command: None,
    };
    let message = failure.message(style);
    (exit, BuildFailure { kind, message })
}

/// How the agent ends when the service does not take what it delivered.
pub(super) fn exit_of(kind: FailureKind) -> Exit {
    match kind {
        FailureKind::Builder => FAILED,
        FailureKind::TimedOut => TIMED_OUT,
        FailureKind::HashMismatch => HASH_MISMATCH,
        FailureKind::LogLimit | FailureKind::OutputsRefused => REFUSED,
        FailureKind::OutOfMemory => Exit::OutOfMemory,
        FailureKind::Machine => Exit::Machine,
    }
}
