//! What can go wrong with a sandbox itself.

use std::io;

use super::hint::hint;
use super::message::Fault;

/// A builder could not be run, or not watched to its end.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The program could not start itself as the sandbox's process.
    #[error("failed to start the process of the sandbox (/proc/self/exe)")]
    Start(#[source] io::Error),
    /// A part of the isolation could not be set up.
    #[error("failed to {action}{}", hinted(hint.as_ref()))]
    Setup {
        /// What failed: a verb with its object.
        action: String,
        /// What the machine lacks, and how to get it.
        hint: Option<String>,
        /// The error.
        source: io::Error,
    },
    /// The connection with the sandbox's process failed.
    #[error("failed to talk to the process of the sandbox")]
    Connection(#[source] io::Error),
    /// The sandbox's process ended without a word of the builder: something killed it.
    #[error("the process of the sandbox was killed")]
    Vanished,
    /// What a builder started does not end although it was killed.
    #[error(
        "the processes of a builder do not end although they were killed: they wait for a device or a file system"
    )]
    Stuck,
}

impl From<Fault> for SandboxError {
    fn from(fault: Fault) -> Self {
        Self::Setup {
            hint: hint(fault.part, fault.errno),
            action: fault.action,
            source: fault.errno.map_or_else(
                || io::Error::other("the sandbox's process gives no reason"),
                io::Error::from_raw_os_error,
            ),
        }
    }
}

fn hinted(hint: Option<&String>) -> String {
    hint.map_or_else(String::new, |hint| format!("; {hint}"))
}
