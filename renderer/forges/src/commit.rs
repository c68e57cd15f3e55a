//! Commits.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The full name of a commit: 40 or 64 digits in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

/// A text that names no commit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a commit of 40 or 64 hexadecimal digits, found '{0}'")]
pub struct CommitError(String);

impl Commit {
    /// The commit of this name.
    pub fn new(text: &str) -> Result<Self, CommitError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if matches!(text.len(), 40 | 64) && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CommitError(nix_formats::shortened(text, 80).into_owned()))
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Commit {
    type Error = CommitError;

    fn try_from(text: String) -> Result<Self, CommitError> {
        Self::new(&text)
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> Self {
        commit.0
    }
}
