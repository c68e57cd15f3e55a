//! Errors of lock files.

use thiserror::Error;

use super::RefError;

/// A lock file that can't be read or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LockFileError {
    /// Not JSON, or not of a lock file's shape.
    #[error("could not parse '{path}': {reason}")]
    Parse {
        /// Where it came from.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// A version older than 5 or newer than 7.
    #[error("lock file '{path}' has unsupported version {version}")]
    Version {
        /// Where it came from.
        path: String,
        /// What it says it is.
        version: u64,
    },
    /// A node's `locked` or `original` is not there.
    #[error("attribute '{0}' missing in lock file")]
    Missing(&'static str),
    /// An input names a node that is not there.
    #[error("lock file references missing node '{0}'")]
    MissingNode(String),
    /// An input names the root.
    #[error("lock file contains cycle to root node")]
    CycleToRoot,
    /// An input that leads back to its node.
    #[error("lock file contains a cycle through node '{0}'")]
    Cycle(String),
    /// An input that isn't locked: fetching it could give anything.
    #[error(
        "Lock file contains unlocked input '{0}'. Use '--allow-dirty-locks' to accept this lock file."
    )]
    Unlocked(String),
    /// More nodes than any flake has.
    #[error("the lock file has more than {0} nodes")]
    TooLarge(usize),
    /// Follows that lead in a circle.
    #[error("follow cycle detected: [{0}]")]
    FollowCycle(String),
    /// Follows that lead nowhere.
    #[error("input '{input}' follows a non-existent input '{target}'")]
    FollowsNothing {
        /// The input that follows.
        input: String,
        /// What it follows.
        target: String,
    },
    /// A reference in it can't be read.
    #[error(transparent)]
    Ref(#[from] RefError),
}
