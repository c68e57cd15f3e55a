//! Store paths and how they are computed.
//!
//! The scheme is Nix's `store-path` specification: a path is named by the first
//! 160 bits (folded) of the SHA-256 of `<type>:<hash>:<store dir>:<name>`.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::content_address::{ContentAddress, ContentAddressMethod};
use crate::hash::{Hash, HashAlgorithm, HashFormat, Hasher, compress_hash};
use crate::nix32;

/// Characters of the hash part of a base name.
pub const HASH_PART_LEN: usize = 32;

/// Longest name of a store path, the hash part not counted.
pub const MAX_NAME_LEN: usize = 211;

/// Why a name or path is refused. The messages are Nix's own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StorePathError {
    /// The name is empty.
    #[error("name must not be empty")]
    EmptyName,
    /// The name is too long.
    #[error("name '{0}' must be no longer than {MAX_NAME_LEN} characters")]
    NameTooLong(String),
    /// The name is `.` or `..`.
    #[error("name '{0}' is not valid")]
    DotName(String),
    /// The name starts with `.-` or `..-`.
    #[error("name '{name}' is not valid: first dash-separated component must not be '{component}'")]
    DotComponent {
        /// The name.
        name: String,
        /// `.` or `..`.
        component: &'static str,
    },
    /// The name holds a character that store paths don't.
    #[error("name '{name}' contains illegal character '{character}'")]
    IllegalCharacter {
        /// The name.
        name: String,
        /// The first such character.
        character: char,
    },
    /// The base name's name part is refused.
    #[error("path '{path}' is not a valid store path: {reason}")]
    BadName {
        /// The base name.
        path: String,
        /// Why.
        reason: Box<StorePathError>,
    },
    /// The base name has no room for hash and dash.
    #[error("'{0}' is too short to be a valid store path")]
    TooShort(String),
    /// The hash part does not end where it must.
    #[error("'{0}' can't name a store path because the hash part is not followed by a '-'")]
    NoDash(String),
    /// The hash part is not base-32.
    #[error("store path '{path}' contains illegal base-32 character '{character}'")]
    IllegalHashCharacter {
        /// The base name.
        path: String,
        /// The first such character.
        character: char,
    },
    /// The empty string.
    #[error("empty path is not a valid store path")]
    EmptyPath,
    /// The path does not start with `/`.
    #[error("not an absolute path: '{0}'")]
    NotAbsolute(String),
    /// The path is elsewhere.
    #[error("path '{0}' is not in the Nix store")]
    NotInStore(String),
    /// Git objects are hashed with git's algorithms only.
    #[error("Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {0}")]
    GitAlgorithm(HashAlgorithm),
    /// Only SHA-256 NAR hashes leave room for references.
    #[error(
        "fixed output derivation '{0}' is not allowed to refer to other store paths.\nYou may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details."
    )]
    FixedOutputReferences(String),
    /// Text is hashed with SHA-256 only, and never refers to itself.
    #[error("a text path needs a SHA-256 hash and no self-reference")]
    BadText,
}

/// Checks a store path's name.
pub fn check_name(name: impl AsRef<[u8]>) -> Result<(), StorePathError> {
    let name = name.as_ref();
    let text = || String::from_utf8_lossy(name).into_owned();
    if name.is_empty() {
        return Err(StorePathError::EmptyName);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(StorePathError::NameTooLong(text()));
    }
    for component in [".", ".."] {
        if let Some(rest) = name.strip_prefix(component.as_bytes()) {
            match rest.first() {
                None => return Err(StorePathError::DotName(text())),
                Some(b'-') => {
                    return Err(StorePathError::DotComponent {
                        name: text(),
                        component,
                    });
                }
                Some(_) => {}
            }
        }
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte);
    if let Some(index) = name.iter().position(|byte| !legal(byte)) {
        let character = String::from_utf8_lossy(&name[index..]).chars().next();
        return Err(StorePathError::IllegalCharacter {
            name: text(),
            character: character.unwrap_or(char::REPLACEMENT_CHARACTER),
        });
    }
    Ok(())
}

/// A store path without its store directory: `<32 base-32 digits>-<name>`.
///
/// Ordered by base name. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    base_name: Arc<str>,
}

impl StorePath {
    /// Reads a base name.
    pub fn from_base_name(base_name: impl AsRef<[u8]>) -> Result<Self, StorePathError> {
        let bytes = base_name.as_ref();
        let text = || String::from_utf8_lossy(bytes).into_owned();
        if bytes.len() < HASH_PART_LEN + 1 {
            return Err(StorePathError::TooShort(text()));
        }
        let (hash, rest) = bytes.split_at(HASH_PART_LEN);
        let Some(name) = rest.strip_prefix(b"-") else {
            return Err(StorePathError::NoDash(text()));
        };
        if let Some(&byte) = hash.iter().find(|&&byte| !nix32::is_digit(byte)) {
            return Err(StorePathError::IllegalHashCharacter {
                path: text(),
                character: char::from(byte),
            });
        }
        check_name(name).map_err(|reason| StorePathError::BadName {
            path: text(),
            reason: Box::new(reason),
        })?;
        // The checks leave ASCII only, so nothing is replaced here.
        Ok(Self {
            base_name: String::from_utf8_lossy(bytes).into(),
        })
    }

    /// A path of this hash and name.
    pub fn from_parts(hash: [u8; 20], name: &str) -> Result<Self, StorePathError> {
        let mut base_name = String::with_capacity(HASH_PART_LEN + 1 + name.len());
        nix32::encode_to(&hash, &mut base_name);
        base_name.push('-');
        base_name.push_str(name);
        check_name(name).map_err(|reason| StorePathError::BadName {
            path: base_name.clone(),
            reason: Box::new(reason),
        })?;
        Ok(Self {
            base_name: base_name.into(),
        })
    }

    /// `<hash part>-<name>`.
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The 32 base-32 digits.
    pub fn hash_part(&self) -> &str {
        &self.base_name[..HASH_PART_LEN]
    }

    /// The 20 bytes that the hash part stands for.
    pub fn hash_bytes(&self) -> [u8; 20] {
        nix32::decode_exact(self.hash_part().as_bytes()).unwrap_or_default()
    }

    /// The name behind the dash.
    pub fn name(&self) -> &str {
        &self.base_name[HASH_PART_LEN + 1..]
    }

    /// Whether the name ends in `.drv`.
    pub fn is_derivation(&self) -> bool {
        self.base_name.ends_with(".drv")
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base_name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePath({})", self.base_name)
    }
}

impl Borrow<str> for StorePath {
    fn borrow(&self) -> &str {
        &self.base_name
    }
}

/// What a fixed output is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedOutput {
    /// What was hashed.
    pub method: ContentAddressMethod,
    /// The hash.
    pub hash: Hash,
    /// Other paths that the contents name.
    pub references: BTreeSet<StorePath>,
    /// Whether the contents name their own path.
    pub self_reference: bool,
}

impl From<ContentAddress> for FixedOutput {
    /// Without references.
    fn from(ca: ContentAddress) -> Self {
        Self {
            method: ca.method,
            hash: ca.hash,
            references: BTreeSet::new(),
            self_reference: false,
        }
    }
}

/// The directory that store paths lie in, `/nix/store` unless said otherwise.
/// Its name takes part in every path's hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreDir(String);

impl Default for StoreDir {
    fn default() -> Self {
        Self("/nix/store".to_owned())
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StoreDir {
    /// A store directory by its absolute path, which is made canonical.
    pub fn new(path: &str) -> Result<Self, StorePathError> {
        let path = canonical(path.as_bytes())?;
        Ok(Self(String::from_utf8_lossy(&path).into_owned()))
    }

    /// The directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole path.
    pub fn print(&self, path: &StorePath) -> String {
        let mut out = String::with_capacity(self.0.len() + 1 + path.base_name().len());
        out.push_str(&self.0);
        out.push('/');
        out.push_str(path.base_name());
        out
    }

    /// Appends the whole path to `out`.
    pub fn print_to(&self, path: &StorePath, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'/');
        out.extend_from_slice(path.base_name().as_bytes());
    }

    /// Reads a whole path. Redundant slashes, `.` and `..` are resolved first.
    pub fn parse(&self, path: impl AsRef<[u8]>) -> Result<StorePath, StorePathError> {
        let path = path.as_ref();
        if path.is_empty() {
            return Err(StorePathError::EmptyPath);
        }
        self.parse_canonical(canonical(path)?)
    }

    /// Reads a whole path as it stands, as derivations hold them.
    pub fn parse_canonical(&self, path: impl AsRef<[u8]>) -> Result<StorePath, StorePathError> {
        let path = path.as_ref();
        let base_name = self
            .strip(path)
            .filter(|rest| !rest.contains(&b'/'))
            .ok_or_else(|| StorePathError::NotInStore(lossy(path)))?;
        StorePath::from_base_name(base_name)
    }

    /// Splits a path inside the store into the store path and the rest, which
    /// is empty or starts with a slash.
    pub fn parse_subpath<'a>(
        &self,
        path: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Result<(StorePath, &'a [u8]), StorePathError> {
        let path = path.as_ref();
        let inside = self
            .strip(path)
            .ok_or_else(|| StorePathError::NotInStore(lossy(path)))?;
        let end = memchr::memchr(b'/', inside).unwrap_or(inside.len());
        let (base_name, rest) = inside.split_at(end);
        Ok((StorePath::from_base_name(base_name)?, rest))
    }

    /// Whether a canonical path is below the store directory.
    pub fn contains(&self, path: impl AsRef<[u8]>) -> bool {
        self.strip(path.as_ref())
            .is_some_and(|rest| !rest.is_empty())
    }

    fn strip<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(self.0.as_bytes())?.strip_prefix(b"/")
    }

    /// The path of a thing of this type (`source`, `output:out`, `text:…`).
    pub fn make_store_path(
        &self,
        kind: &str,
        hash: &Hash,
        name: &str,
    ) -> Result<StorePath, StorePathError> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let inner = hash.to_string(HashFormat::Base16, true);
        for part in [kind, ":", &inner, ":", &self.0, ":", name] {
            hasher.update(part.as_bytes());
        }
        StorePath::from_parts(compress_hash(hasher.finish().as_bytes()), name)
    }

    /// The path of an input-addressed output of a derivation with this hash
    /// (see [`crate::derivation::HashModulo`]) and this name without `.drv`.
    pub fn make_output_path(
        &self,
        output: &str,
        hash: &Hash,
        derivation_name: &str,
    ) -> Result<StorePath, StorePathError> {
        let name = output_path_name(derivation_name, output);
        self.make_store_path(&format!("output:{output}"), hash, &name)
    }

    /// The path of content-addressed contents: fixed outputs, `builtins.path`,
    /// fetched sources and, with [`ContentAddressMethod::Text`], text.
    pub fn make_fixed_output_path(
        &self,
        output: &FixedOutput,
        name: &str,
    ) -> Result<StorePath, StorePathError> {
        let FixedOutput {
            method,
            hash,
            references,
            self_reference,
        } = output;
        let algorithm = hash.algorithm();
        match method {
            ContentAddressMethod::Text => {
                if algorithm != HashAlgorithm::Sha256 || *self_reference {
                    return Err(StorePathError::BadText);
                }
                return self.make_store_path(&self.kind("text", references, false), hash, name);
            }
            ContentAddressMethod::Git
                if !matches!(algorithm, HashAlgorithm::Sha1 | HashAlgorithm::Sha256) =>
            {
                return Err(StorePathError::GitAlgorithm(algorithm));
            }
            ContentAddressMethod::Recursive if algorithm == HashAlgorithm::Sha256 => {
                let kind = self.kind("source", references, *self_reference);
                return self.make_store_path(&kind, hash, name);
            }
            _ => {}
        }
        if *self_reference || !references.is_empty() {
            return Err(StorePathError::FixedOutputReferences(name.to_owned()));
        }
        let inner = format!(
            "fixed:out:{}{}:",
            method.prefix(),
            hash.to_string(HashFormat::Base16, true)
        );
        let digest = HashAlgorithm::Sha256.digest(inner.as_bytes());
        self.make_store_path("output:out", &digest, name)
    }

    /// The path of a text file with these contents, as `builtins.toFile` and
    /// derivations have it.
    pub fn make_text_path(
        &self,
        name: &str,
        contents: &[u8],
        references: &BTreeSet<StorePath>,
    ) -> Result<StorePath, StorePathError> {
        let hash = HashAlgorithm::Sha256.digest(contents);
        self.make_store_path(&self.kind("text", references, false), &hash, name)
    }

    fn kind(&self, kind: &str, references: &BTreeSet<StorePath>, self_reference: bool) -> String {
        let mut out = kind.to_owned();
        for reference in references {
            out.push(':');
            out.push_str(&self.0);
            out.push('/');
            out.push_str(reference.base_name());
        }
        if self_reference {
            out.push_str(":self");
        }
        out
    }
}

/// The name of an output's path: the derivation's, and `-<output>` unless it
/// is `out`.
pub fn output_path_name(derivation_name: &str, output: &str) -> String {
    if output == "out" {
        derivation_name.to_owned()
    } else {
        format!("{derivation_name}-{output}")
    }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Resolves redundant slashes, `.` and `..` by name alone.
fn canonical(path: &[u8]) -> Result<Vec<u8>, StorePathError> {
    if path.first() != Some(&b'/') {
        return Err(StorePathError::NotAbsolute(lossy(path)));
    }
    let mut out = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(component);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}
