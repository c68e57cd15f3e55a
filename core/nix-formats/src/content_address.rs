//! Content addresses: how a store object's contents determine its path.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{Hash, HashAlgorithm, HashError, HashFormat};

/// What of a file system object is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddressMethod {
    /// The bytes of one regular file.
    Flat,
    /// The NAR.
    Recursive,
    /// The git object: a blob or a tree.
    Git,
    /// The bytes of one file that may hold references; derivations and `toFile`.
    Text,
}

/// Why a text is not a content address. The messages are Nix's own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContentAddressError {
    /// No colon at all.
    #[error("not a content address because it is not in the form '<prefix>:<rest>': {0}")]
    NoPrefix(String),
    /// No colon behind the algorithm.
    #[error("content address hash must be in form '<algo>:<hash>', but found: {0}")]
    NoAlgorithm(String),
    /// Neither `text` nor `fixed`.
    #[error(
        "content address prefix '{0}' is unrecognized. Recogonized prefixes are 'text' or 'fixed'"
    )]
    UnknownPrefix(String),
    /// A method by another name than `flat`, `nar`, `git` or `text`.
    #[error("unknown file ingestion method, expect `flat`, `nar`, or `git`")]
    UnknownMethod(String),
    /// The hash.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl ContentAddressMethod {
    /// What ATerm and content addresses put before the algorithm.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Flat => "",
            Self::Recursive => "r:",
            Self::Git => "git:",
            Self::Text => "text:",
        }
    }

    /// Takes one of the prefixes off `text`.
    pub fn split_prefix(text: &str) -> (Self, &str) {
        for method in [Self::Recursive, Self::Git, Self::Text] {
            if let Some(rest) = text.strip_prefix(method.prefix()) {
                return (method, rest);
            }
        }
        (Self::Flat, text)
    }

    /// The name in JSON and in `nix store add --mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Recursive => "nar",
            Self::Git => "git",
            Self::Text => "text",
        }
    }
}

impl FromStr for ContentAddressMethod {
    type Err = ContentAddressError;

    /// Reads a [`ContentAddressMethod::name`].
    fn from_str(name: &str) -> Result<Self, ContentAddressError> {
        [Self::Flat, Self::Recursive, Self::Git, Self::Text]
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| ContentAddressError::UnknownMethod(name.to_owned()))
    }
}

/// A content address: the method and the hash it gave. Printed as in narinfo:
/// `text:sha256:…`, `fixed:sha256:…`, `fixed:r:sha256:…`, hashes in base-32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    /// What was hashed.
    pub method: ContentAddressMethod,
    /// What came out.
    pub hash: Hash,
}

impl ContentAddress {
    /// `r:sha256` and the like, as in ATerm.
    pub fn method_and_algorithm(&self) -> String {
        format!("{}{}", self.method.prefix(), self.hash.algorithm())
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.method != ContentAddressMethod::Text {
            f.write_str("fixed:")?;
        }
        f.write_str(self.method.prefix())?;
        f.write_str(&self.hash.to_string(HashFormat::Nix32, true))
    }
}

impl FromStr for ContentAddress {
    type Err = ContentAddressError;

    fn from_str(text: &str) -> Result<Self, ContentAddressError> {
        let (prefix, rest) = text
            .split_once(':')
            .ok_or_else(|| ContentAddressError::NoPrefix(text.to_owned()))?;
        let (method, rest) = match prefix {
            "text" => (ContentAddressMethod::Text, rest),
            "fixed" => match rest.strip_prefix("r:") {
                Some(rest) => (ContentAddressMethod::Recursive, rest),
                None => match rest.strip_prefix("git:") {
                    Some(rest) => (ContentAddressMethod::Git, rest),
                    None => (ContentAddressMethod::Flat, rest),
                },
            },
            _ => return Err(ContentAddressError::UnknownPrefix(prefix.to_owned())),
        };
        let (algorithm, rest) = rest
            .split_once(':')
            .ok_or_else(|| ContentAddressError::NoAlgorithm(text.to_owned()))?;
        let algorithm: HashAlgorithm = algorithm.parse()?;
        Ok(Self {
            method,
            hash: Hash::parse_non_sri_unprefixed(rest, algorithm)?,
        })
    }
}
