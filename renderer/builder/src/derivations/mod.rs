//! What builds begin with: derivations and sources, as an evaluation made them or a folder has them.

mod known;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use nix_formats::derivation::DerivationError;
use nix_formats::{ContentAddress, Derivation, StorePath};

pub use known::DerivationFolder;

/// Knows derivations.
pub trait Derivations: Send + Sync {
    /// The derivation with this path. None: it is not known here.
    fn derivation(&self, path: &StorePath) -> Result<Option<Arc<Derivation>>, UnreadDerivation>;
}

/// Knows store paths that nothing builds: sources, texts, and the files of derivations. They are content-addressed.
pub trait Sources: Send + Sync {
    /// What a path refers to. None: it is not known here.
    fn references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>>;

    /// Writes the NAR of a path, and tells what the path was made of. The contents are checked against the path. If they are
    /// others by now this is an error in the end, and what was written must not be used.
    fn write_nar(
        &self,
        path: &StorePath,
        out: &mut dyn Write,
    ) -> Result<ContentAddress, UnreadSource>;
}

/// A derivation that is known, and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadDerivation {
    /// Its file cannot be read.
    #[error("failed to read derivation '{path}'")]
    Io {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its text is none of a derivation.
    #[error("failed to parse derivation '{path}'")]
    Malformed {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: DerivationError,
    },
}

/// A source that is not written.
#[derive(Debug, thiserror::Error)]
pub enum UnreadSource {
    /// It is not known here.
    #[error("'{0}' is not a source that is known here")]
    Unknown(StorePath),
    /// Reading or writing failed.
    #[error("failed to pack source '{path}'")]
    Io {
        /// Its path.
        path: StorePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files are others than those that gave the path its name.
    #[error(
        "the files of '{path}' changed after they were evaluated: its path is that of other contents; run again"
    )]
    Changed {
        /// Its path.
        path: StorePath,
    },
}
