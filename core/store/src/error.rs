//! What can go wrong.

use std::io;
use std::path::PathBuf;

use niphas_api::ClosureDigest;
use nix_formats::{StorePath, nar};
use thiserror::Error;

use crate::layout::PackId;

/// A file or folder of the store, or one that was named by the caller, can't be used.
#[derive(Debug, Error)]
#[error("cannot {action} '{}'", path.display())]
pub struct FileError {
    /// What was tried: a verb.
    pub action: &'static str,
    /// With which file or folder.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            action,
            path: path.into(),
            source,
        }
    }
}

impl FileError {
    /// Whether there was no space left for it.
    pub fn is_out_of_space(&self) -> bool {
        let kind = self.source.kind();
        matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Makes a closure that gives an I/O error its file.
pub(crate) fn failed<'a, E: Into<io::Error>>(
    action: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(E) -> FileError + 'a {
    move |source| FileError::new(action, path, source.into())
}

/// A store can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process writes to it.
    #[error("the store '{}' is in use by {}; one process at a time may write to it", dir.display(), pid.map_or("another process".to_owned(), |pid| format!("pid {pid}")))]
    InUse {
        /// The store's folder.
        dir: PathBuf,
        /// The process, if it told.
        pid: Option<u32>,
    },
    /// There is no store in the folder, and none was to be made.
    #[error("there is no store in '{}'", .0.display())]
    NotAStore(PathBuf),
    /// A newer program made it.
    #[error("'{}' has version {found}, and this program knows {known} at most; use a newer one", path.display())]
    TooNew {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A store path, or something in it, can't be read or changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store was opened for reading only.
    #[error("the store '{}' is open for reading only", .0.display())]
    ReadOnly(PathBuf),
    /// The store path is not in the store.
    #[error("store path '{0}' is not in the store")]
    NotStored(StorePath),
    /// The store path has no such file or folder.
    #[error("store path '{path}' has no '{name}'")]
    NoSuchFile {
        /// The store path.
        path: StorePath,
        /// What was looked for in it.
        name: String,
    },
    /// It is there, but has no contents to read.
    #[error("'{name}' of store path '{path}' is {kind}, not a regular file")]
    NotAFile {
        /// The store path.
        path: StorePath,
        /// What was to be read.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A pack that a path's files lie in is not there.
    #[error("pack {pack}, which has files of store path '{path}', is missing")]
    PackMissing {
        /// The store path.
        path: StorePath,
        /// The pack.
        pack: PackId,
    },
    /// The record is not what was written.
    #[error("the record of store path '{path}' is damaged")]
    BadRecord {
        /// The store path.
        path: StorePath,
        /// What is wrong with it.
        source: crate::record::RecordError,
    },
    /// Bytes on disk are not those that were written.
    #[error("store path '{path}' is damaged{}", files(.names))]
    Damaged {
        /// The store path.
        path: StorePath,
        /// Which files have other contents; none if the path as a whole has another hash.
        names: Vec<String>,
    },
    /// A NAR can't be written, as a rule because its reader went away.
    #[error("cannot write the NAR of store path '{path}'")]
    Nar {
        /// The store path.
        path: StorePath,
        /// Why.
        source: nar::WriterError,
    },
    /// The closure's image.
    #[error("cannot make the image of closure {digest}")]
    Image {
        /// The closure.
        digest: ClosureDigest,
        /// Why.
        source: niphas_erofs::Error,
    },
    /// Paths are no closure that a digest can be computed of.
    #[error("the closure has no digest")]
    Lines(#[from] niphas_api::ClosureError),
    /// The folder to export to has something in it.
    #[error("the folder '{}' is not empty; export to one that is, or to one that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    /// A store path has a tree that cannot be written as files.
    #[error("cannot export the closure")]
    Export(#[source] tree_writer::TreeError),
    /// The disk has no room for it, garbage aside.
    #[error("the store's disk has no room for {0} bytes more")]
    NoSpace(u64),
    /// The store's own key can't be read.
    #[error("'{}' is no key; remove it to have another made, and what this store built is built again", path.display())]
    BadKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it; nothing if it went while it was made.
        source: Option<nix_formats::signature::SignatureError>,
    },
    /// A root's file is damaged.
    #[error("the root '{}' is damaged: {reason}; as long as it is there, nothing is collected", path.display())]
    BadRoot {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
}

impl StoreError {
    /// Whether the store has lost what it had of a path, so that repairing it helps.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::PackMissing { .. } | Self::BadRecord { .. } | Self::Damaged { .. }
        )
    }
}

fn files(names: &[String]) -> String {
    const SHOWN: usize = 3;
    if names.is_empty() {
        return String::new();
    }
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if more == 0 {
        format!(" in {shown}")
    } else {
        format!(" in {shown} and {more} more")
    }
}
