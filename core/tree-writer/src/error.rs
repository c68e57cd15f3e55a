//! What can go wrong.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A tree is refused, or can't be written.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The system refused.
    #[error("failed to {action} '{}'", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The folder to write to has something in it.
    #[error("expected an empty folder, found files in '{}'; name an empty folder, or one that does not exist yet", .0.display())]
    NotEmpty(PathBuf),
    /// Empty, `.`, `..`, or with a slash or NUL.
    #[error("expected the name of a file, found '{name}' in '{}'", folder.display())]
    Name {
        /// The directory.
        folder: PathBuf,
        /// The name.
        name: String,
    },
    /// A name for the second time.
    #[error("expected each name once in a folder, found '{}' again", .0.display())]
    Repeated(PathBuf),
    /// More entries than [`Limits`](crate::Limits) allow.
    #[error("expected a tree of at most {0} files, symlinks and folders, found more")]
    TooManyEntries(u64),
    /// More bytes than [`Limits`](crate::Limits) allow.
    #[error("expected a tree of at most {0} bytes, found more")]
    TooManyBytes(u64),
    /// More directories in each other than [`Limits`](crate::Limits) allow.
    #[error("expected a tree of at most {0} nested folders, found more")]
    TooDeep(usize),
    /// A file's contents are not as long as was said.
    #[error("expected {expected} bytes for '{}', found {}", path.display(), found.map_or("more".to_owned(), |found| found.to_string()))]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        expected: u64,
        /// How long its contents are; none if longer.
        found: Option<u64>,
    },
}
