//! Why outputs are refused, in Nix's words.

use std::io;
use std::path::PathBuf;

use niphas_store::{PackError, StoreError};
use nix_formats::nar::{MAX_DEPTH, ReaderError};
use nix_formats::store_path::StorePathError;
use thiserror::Error;

use super::compare::Difference;

/// The outputs of a build are refused, or cannot be read or stored.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The builder did not make an output.
    #[error(
        "builder for '{derivation}' failed to produce output path for output '{output}' at \"{}\"", path.display()
    )]
    Missing {
        /// The derivation.
        derivation: String,
        /// The output.
        output: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// It is not known where an output is.
    #[error("output '{output}' of '{derivation}' is missing")]
    Unknown {
        /// The derivation.
        derivation: String,
        /// The output.
        output: String,
    },
    /// An output is said to be another path than it is.
    #[error("output '{output}' has the path '{path}', not '{said}'")]
    OtherPath {
        /// The output.
        output: String,
        /// Its path.
        path: String,
        /// What was said.
        said: String,
    },
    /// The NAR of an output is not sound.
    #[error("failed to read the NAR of output '{output}'")]
    Nar {
        /// The output.
        output: String,
        /// What is wrong.
        #[source]
        source: ReaderError,
    },
    /// Others than the builder may have changed an output.
    #[error(
        "suspicious ownership or permission on \"{}\" for output '{output}'; rejecting this build output", path.display()
    )]
    Suspicious {
        /// The output.
        output: String,
        /// Where it is.
        path: PathBuf,
    },
    /// Something that is no file, folder or symlink.
    #[error("file \"{}\" has an unsupported type", .0.display())]
    UnsupportedType(PathBuf),
    /// A file that is not the builder's.
    #[error("invalid ownership on file \"{}\"", .0.display())]
    InvalidOwnership(PathBuf),
    /// Folders are nested too deeply.
    #[error("path '{}' exceeds maximum NAR directory depth of {MAX_DEPTH}", .0.display())]
    TooDeep(PathBuf),
    /// An output has more files than a store path may have.
    #[error("\"{}\" has more than {limit} files, folders and symlinks; split the output into several", path.display())]
    TooManyFiles {
        /// The output, or a folder of it.
        path: PathBuf,
        /// How many it may have.
        limit: u64,
    },
    /// An output has more contents than a store path may have.
    #[error("\"{}\" has {size} bytes, and a store path has {limit} at most", path.display())]
    TooManyBytes {
        /// The output.
        path: PathBuf,
        /// The size of its NAR.
        size: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// Outputs refer to each other.
    #[error(
        "cycle detected in build of '{derivation}' in the references of output '{output}' from output '{parent}'"
    )]
    Cycle {
        /// The derivation.
        derivation: String,
        /// An output of the cycle.
        output: String,
        /// One that refers to it.
        parent: String,
    },
    /// Only the bytes of a plain file can be hashed without its metadata.
    #[error(
        "output path \"{}\" should be a non-executable regular file since recursive hashing is not enabled (one of outputHashMode={{flat,text}} is true)", .0.display()
    )]
    NotAPlainFile(PathBuf),
    /// Text names no path that is made of its hash.
    #[error("self-reference not allowed with text hashing")]
    TextSelfReference,
    /// Names are others once hash parts in them are rewritten, and in another order.
    #[error("bad archive: NAR directory is not sorted")]
    NotSorted,
    /// Trees of Git objects are not hashed here.
    #[error("output '{0}' is hashed as Git does, which cannot be done here")]
    Git(String),
    /// The derivation still has placeholders of its inputs' paths.
    #[error("output '{0}' has no path before the derivation's inputs are resolved")]
    Deferred(String),
    /// No path can be made of the contents.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// A fixed output has other contents.
    #[error(
        "hash mismatch in fixed-output derivation '{derivation}':\n  specified: {specified}\n     got:    {got}"
    )]
    HashMismatch {
        /// The derivation.
        derivation: String,
        /// The hash that it specifies, in the form of SRI.
        specified: String,
        /// That of the output.
        got: String,
    },
    /// A fixed output names other paths.
    #[error(
        "fixed-output derivations must not reference store paths: '{derivation}' references {count} distinct paths, e.g. '{example}'"
    )]
    FixedReferences {
        /// The derivation.
        derivation: String,
        /// How many it names.
        count: usize,
        /// The first.
        example: String,
    },
    /// An output is larger than it may be.
    #[error("path '{path}' is too large at {size} bytes; limit is {limit} bytes")]
    TooLarge {
        /// Its path.
        path: String,
        /// The size of its NAR.
        size: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// The closure of an output is larger than it may be.
    #[error("closure of path '{path}' is too large at {size} bytes; limit is {limit} bytes")]
    ClosureTooLarge {
        /// The path.
        path: String,
        /// The sum of the sizes of NARs.
        size: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// A check names an output that there is not.
    #[error(
        "derivation '{derivation}' output check for '{output}' contains output name '{name}', but this is not a valid output of this derivation. (Valid outputs are [{valid}].)"
    )]
    NoSuchOutput {
        /// The derivation.
        derivation: String,
        /// The output that is checked.
        output: String,
        /// The name.
        name: String,
        /// The outputs that there are.
        valid: String,
    },
    /// An output refers to what it must not.
    #[error("output '{output}' is not allowed to refer to the following paths:{paths}")]
    Forbidden {
        /// The output's path.
        output: String,
        /// The paths, each on a line of its own.
        paths: String,
    },
    /// A path of an output's closure is not known.
    #[error("path '{0}' is not valid")]
    NotValid(String),
    /// What is known of a path of an output's closure cannot be read.
    #[error("failed to read what is known of '{path}'")]
    Info {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A second build gave other contents.
    #[error(
        "derivation '{derivation}' may not be deterministic: output \"{output}\" differs{}{}",
        kept.as_ref().map(|kept| format!(" from \"{}\"", kept.display())).unwrap_or_default(),
        shown(differences)
    )]
    NotDeterministic {
        /// The derivation.
        derivation: String,
        /// The output's path.
        output: String,
        /// Where the second one was kept.
        kept: Option<PathBuf>,
        /// The first files that differ.
        differences: Vec<Difference>,
    },
    /// A file of an output cannot be read.
    #[error("failed to {action} \"{}\"", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// An output cannot be stored.
    #[error("failed to store output '{output}'")]
    Pack {
        /// The output.
        output: String,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The kinds of failures that the exit status of a build tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFailure {
    /// The outputs are not as they must be.
    OutputRejected,
    /// A fixed output has other contents.
    HashMismatch,
    /// A second build gave other contents.
    NotDeterministic,
    /// Any other.
    Misc,
}

impl OutputError {
    /// The kind of failure, as Nix has it.
    pub fn failure(&self) -> OutputFailure {
        match self {
            Self::Missing { .. }
            | Self::Unknown { .. }
            | Self::OtherPath { .. }
            | Self::Nar { .. }
            | Self::Suspicious { .. }
            | Self::InvalidOwnership(_)
            | Self::Cycle { .. }
            | Self::NotAPlainFile(_)
            | Self::TooManyFiles { .. }
            | Self::TooManyBytes { .. }
            | Self::TooLarge { .. }
            | Self::ClosureTooLarge { .. }
            | Self::NoSuchOutput { .. }
            | Self::Forbidden { .. } => OutputFailure::OutputRejected,
            Self::HashMismatch { .. } | Self::FixedReferences { .. } => OutputFailure::HashMismatch,
            Self::NotDeterministic { .. } => OutputFailure::NotDeterministic,
            _ => OutputFailure::Misc,
        }
    }
}

fn shown(differences: &[Difference]) -> String {
    let lines = differences
        .iter()
        .map(|difference| format!("\n  {difference}"));
    lines.collect::<Vec<_>>().concat()
}
