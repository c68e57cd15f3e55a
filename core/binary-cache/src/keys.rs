//! Public keys as command lines name them: in words and in files.

use std::io;
use std::path::{Path, PathBuf};

use nix_formats::signature::SignatureError;
use nix_formats::{PublicKey, PublicKeys};
use thiserror::Error;

/// Keys that can't be had.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A word is no key. It is not repeated, for it can be a secret one.
    #[error("one of the trusted public keys cannot be used")]
    Word {
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
        let key = word.parse().map_err(|source| KeysError::Word { source })?;
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

#[cfg(test)]
mod tests {
    use nix_formats::SecretKey;

    use super::*;

    #[test]
    fn secret_keys_in_place_of_public_ones_are_named_and_not_repeated() {
        let secret = SecretKey::from_seed("shop-1", [7; 32]).to_secret_string();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, &secret).unwrap();
        let by_word = read_keys(std::slice::from_ref(&secret), &[] as &[&Path]).unwrap_err();
        let by_file = read_keys(&[], &[file]).unwrap_err();
        for error in [by_word, by_file] {
            let text = nix_formats::chain(&error);
            assert!(
                text.ends_with("expected the public half of key 'shop-1', found its secret half"),
                "{text}"
            );
            assert!(!format!("{text} {error:?}").contains(&secret[10..20]));
        }
    }
}
