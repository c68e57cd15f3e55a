//! Public keys as command lines name them: in words and in files.

use std::io;
use std::path::{Path, PathBuf};

use nix_formats::signature::SignatureError;
use nix_formats::{PublicKey, PublicKeys};
use thiserror::Error;

/// Keys that can't be had.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A word is no key.
    #[error("'{word}' is not a trusted public key")]
    Word {
        /// The word.
        word: String,
        /// Why.
        source: SignatureError,
    },
    /// A file can't be read.
    #[error("cannot read '{}'", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of a file is no key.
    #[error("in '{}'", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SignatureError,
    },
}

/// The keys in `words`, each `name:base64`, and those in `files`, which have one on a line.
pub fn read_keys(words: &[String], files: &[impl AsRef<Path>]) -> Result<PublicKeys, KeysError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for word in words {
        let key = word.parse().map_err(|source| KeysError::Word {
            word: word.clone(),
            source,
        })?;
        keys.push(key);
    }
    for file in files {
        let path = file.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| KeysError::Read {
            path: path.to_owned(),
            source,
        })?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = line.parse().map_err(|source| KeysError::Line {
                path: path.to_owned(),
                source,
            })?;
            keys.push(key);
        }
    }
    Ok(PublicKeys::from_iter(keys))
}
