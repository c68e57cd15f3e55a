//! narinfo: what a binary cache says about a store path.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use thiserror::Error;

use crate::compression::Compression;
use crate::content_address::{ContentAddress, ContentAddressError, ContentAddressMethod};
use crate::hash::{Hash, HashAlgorithm, HashError, HashFormat};
use crate::nar_hash::NarHash;
use crate::signature::{PublicKeys, SecretKey, Signature, SignatureError};
use crate::store_path::{FixedOutput, StoreDir, StorePath, StorePathError};

/// A narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The store path.
    pub path: StorePath,
    /// Where the NAR is, as a rule relative to the cache.
    pub url: String,
    /// How it is compressed there.
    pub compression: Compression,
    /// The hash of the compressed file.
    pub file_hash: Option<Hash>,
    /// The size of the compressed file.
    pub file_size: Option<u64>,
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// The size of the NAR, never 0.
    pub nar_size: u64,
    /// Store paths that the contents name; may hold the path itself.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Signatures of the fingerprint.
    pub signatures: Vec<Signature>,
    /// The content address, if the path is made from the contents.
    pub ca: Option<ContentAddress>,
}

/// Why a narinfo is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NarInfoError {
    /// A line without a colon.
    #[error("line {0} has no ':'")]
    NoColon(usize),
    /// The last line has no end: the file was cut off.
    #[error("line {0} has no end: the file is truncated")]
    Truncated(usize),
    /// A field that must stand there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field that stands there twice.
    #[error("the field {0} is given twice")]
    Duplicate(&'static str),
    /// A field that is longer than it can be.
    #[error("the field {0} is longer than any can be")]
    TooLong(&'static str),
    /// The whole is longer than any narinfo.
    #[error("it has {found} bytes, more than the {limit} that a narinfo may have")]
    TooLarge {
        /// The bytes that it has.
        found: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// More references than any path has.
    #[error("it has more than {MAX_REFERENCES} references")]
    TooManyReferences,
    /// A character that no field has.
    #[error("the field {field} has the control character {character:?}")]
    Control {
        /// The field.
        field: &'static str,
        /// The character.
        character: char,
    },
    /// A number that is not one, or is 0 where that can't be.
    #[error("{field} is not a size: '{value}'")]
    Number {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// The NAR's hash is not SHA-256.
    #[error("NarHash must be SHA-256, not {0}")]
    NarHashAlgorithm(HashAlgorithm),
    /// A store path in it.
    #[error("{field} is not a store path")]
    StorePath {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: StorePathError,
    },
    /// A hash in it.
    #[error("{field} is not a hash")]
    Hash {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: HashError,
    },
    /// A signature in it.
    #[error("Sig is not a signature")]
    Signature(#[source] SignatureError),
    /// The content address.
    #[error("CA is not a content address")]
    ContentAddress(#[source] ContentAddressError),
}

fn set<T>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), NarInfoError> {
    if slot.replace(value).is_some() {
        return Err(NarInfoError::Duplicate(field));
    }
    Ok(())
}

fn number(field: &'static str, value: &str) -> Result<u64, NarInfoError> {
    // `parse` alone would take a leading plus.
    if value.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = value.parse()
    {
        return Ok(number);
    }
    Err(NarInfoError::Number {
        field,
        value: value.to_owned(),
    })
}

fn hash(field: &'static str, value: &str) -> Result<Hash, NarInfoError> {
    Hash::parse_any_prefixed(value).map_err(|source| NarInfoError::Hash { field, source })
}

fn base_name(field: &'static str, value: &str) -> Result<StorePath, NarInfoError> {
    StorePath::from_base_name(value).map_err(|source| NarInfoError::StorePath { field, source })
}

/// The fields that are known, and how many bytes each can have. References are counted one by one.
const FIELDS: [(&str, usize); 11] = [
    ("StorePath", 4096),
    ("URL", 2048),
    ("Compression", 64),
    ("FileHash", 256),
    ("FileSize", 32),
    ("NarHash", 256),
    ("NarSize", 32),
    ("References", usize::MAX),
    ("Deriver", MAX_BASE_NAME),
    ("Sig", 1024),
    ("CA", 256),
];

/// Most bytes of a narinfo. Those of Nix with the most references have some 100 KiB.
pub const MAX_SIZE: usize = 1 << 20;

/// Most bytes of a narinfo that was accepted earlier.
const MAX_KEPT_SIZE: usize = 2 * MAX_SIZE;

/// Most references of a narinfo.
pub const MAX_REFERENCES: usize = 16_384;

/// Most signatures that are kept of a narinfo.
pub const MAX_SIGNATURES: usize = 64;

/// Most signatures that are kept of one key name.
pub const MAX_SIGNATURES_OF_NAME: usize = 8;

/// More than the 32 digits, the dash and the 211 characters of a name.
const MAX_BASE_NAME: usize = 256;

/// Refuses what no field can have, so that errors about it are short and can be shown.
fn check(name: &str, value: &str) -> Result<(), NarInfoError> {
    let known = FIELDS.iter().find(|(field, _)| *field == name);
    let Some(&(field, longest)) = known else {
        return Ok(());
    };
    if value.len() > longest {
        return Err(NarInfoError::TooLong(field));
    }
    match value.chars().find(|character| character.is_control()) {
        Some(character) => Err(NarInfoError::Control { field, character }),
        None => Ok(()),
    }
}

fn reference(value: &str) -> Result<StorePath, NarInfoError> {
    if value.len() > MAX_BASE_NAME {
        return Err(NarInfoError::TooLong("References"));
    }
    base_name("References", value)
}

/// The `Sig` lines that are kept: [`MAX_SIGNATURES`], and [`MAX_SIGNATURES_OF_NAME`] of one name, those of preferred names
/// before others and else the first.
#[derive(Default)]
struct SignatureLines<'a> {
    /// Each with its place among all.
    preferred: Vec<(usize, &'a str)>,
    others: Vec<(usize, &'a str)>,
}

impl<'a> SignatureLines<'a> {
    fn add(&mut self, place: usize, line: &'a str, is_preferred: impl Fn(&str) -> bool) {
        fn name(line: &str) -> &str {
            line.split_once(':').map_or(line, |(name, _)| name)
        }
        let kept = if is_preferred(name(line)) {
            &mut self.preferred
        } else {
            &mut self.others
        };
        let of_name = || kept.iter().filter(|(_, other)| name(other) == name(line));
        if kept.len() < MAX_SIGNATURES
            && of_name().count() < MAX_SIGNATURES_OF_NAME
            && of_name().all(|(_, other)| *other != line)
        {
            kept.push((place, line));
        }
    }

    fn parse(mut self) -> Result<Vec<Signature>, NarInfoError> {
        self.others.truncate(MAX_SIGNATURES - self.preferred.len());
        let mut lines = [self.preferred, self.others].concat();
        lines.sort_unstable();
        let mut signatures: Vec<Signature> = Vec::with_capacity(lines.len());
        for (_, line) in lines {
            let signature = line.parse().map_err(NarInfoError::Signature)?;
            // The same in two ways of base-64.
            if !signatures.contains(&signature) {
                signatures.push(signature);
            }
        }
        Ok(signatures)
    }
}

impl NarInfo {
    /// Reads a narinfo. Fields that are not known are skipped, and so is what it has of signatures beyond [`MAX_SIGNATURES`]
    /// or, of one key name, [`MAX_SIGNATURES_OF_NAME`].
    pub fn parse(store_dir: &StoreDir, text: &str) -> Result<Self, NarInfoError> {
        Self::parse_preferring(store_dir, text, |_| false)
    }

    /// As [`Self::parse`], but signatures by keys of preferred names are kept before all others, so that no number of
    /// others displaces them.
    pub fn parse_preferring(
        store_dir: &StoreDir,
        text: &str,
        is_preferred: impl Fn(&str) -> bool,
    ) -> Result<Self, NarInfoError> {
        Self::parse_within(store_dir, text, MAX_SIZE, MAX_REFERENCES, is_preferred)
    }

    /// As [`Self::parse`], of a narinfo that was accepted earlier and printed by [`Self::print`]. Once 1 MiB of references were
    /// accepted, so the text may have twice the bytes of [`MAX_SIZE`], and as many references as fit.
    pub fn parse_kept(store_dir: &StoreDir, text: &str) -> Result<Self, NarInfoError> {
        Self::parse_within(store_dir, text, MAX_KEPT_SIZE, usize::MAX, |_| false)
    }

    #[expect(clippy::too_many_lines, reason = "a grammar: one arm for each field")]
    fn parse_within(
        store_dir: &StoreDir,
        text: &str,
        max_size: usize,
        max_references: usize,
        is_preferred: impl Fn(&str) -> bool,
    ) -> Result<Self, NarInfoError> {
        if text.len() > max_size {
            return Err(NarInfoError::TooLarge {
                found: text.len(),
                limit: max_size,
            });
        }
        let (mut path, mut url, mut compression, mut deriver) = (None, None, None, None);
        let (mut file_hash, mut file_size, mut nar_hash, mut nar_size) = (None, None, None, None);
        let (mut references, mut ca, mut signatures) = (None, None, SignatureLines::default());
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let line = line
                .strip_suffix('\n')
                .ok_or(NarInfoError::Truncated(index + 1))?;
            let (name, value) = line
                .split_once(':')
                .ok_or(NarInfoError::NoColon(index + 1))?;
            let value = value.strip_prefix(' ').unwrap_or(value);
            check(name, value)?;
            match name {
                "StorePath" => {
                    let value =
                        store_dir
                            .parse(value)
                            .map_err(|source| NarInfoError::StorePath {
                                field: "StorePath",
                                source,
                            })?;
                    set(&mut path, "StorePath", value)?;
                }
                "URL" => set(&mut url, "URL", value.to_owned())?,
                "Compression" => {
                    let Ok(value) = value.parse();
                    set(&mut compression, "Compression", value)?;
                }
                "FileHash" => set(&mut file_hash, "FileHash", hash("FileHash", value)?)?,
                "FileSize" => set(&mut file_size, "FileSize", number("FileSize", value)?)?,
                "NarHash" => set(&mut nar_hash, "NarHash", hash("NarHash", value)?)?,
                "NarSize" => set(&mut nar_size, "NarSize", number("NarSize", value)?)?,
                "References" => {
                    let names = || value.split_ascii_whitespace();
                    if names().count() > max_references {
                        return Err(NarInfoError::TooManyReferences);
                    }
                    let value = names().map(reference).collect::<Result<_, _>>()?;
                    set(&mut references, "References", value)?;
                }
                "Deriver" if value != "unknown-deriver" && !value.is_empty() => {
                    set(&mut deriver, "Deriver", base_name("Deriver", value)?)?;
                }
                "Sig" => signatures.add(index, value, &is_preferred),
                "CA" if !value.is_empty() => {
                    set(
                        &mut ca,
                        "CA",
                        value.parse().map_err(NarInfoError::ContentAddress)?,
                    )?;
                }
                _ => {}
            }
        }
        let nar_hash = nar_hash.ok_or(NarInfoError::Missing("NarHash"))?;
        let nar_hash = NarHash::try_from(nar_hash)
            .map_err(|_| NarInfoError::NarHashAlgorithm(nar_hash.algorithm()))?;
        let nar_size = nar_size.ok_or(NarInfoError::Missing("NarSize"))?;
        if nar_size == 0 {
            return Err(NarInfoError::Number {
                field: "NarSize",
                value: "0".to_owned(),
            });
        }
        Ok(Self {
            path: path.ok_or(NarInfoError::Missing("StorePath"))?,
            url: url
                .filter(|url| !url.is_empty())
                .ok_or(NarInfoError::Missing("URL"))?,
            compression: compression.unwrap_or(Compression::Bzip2),
            file_hash,
            file_size,
            nar_hash,
            nar_size,
            references: references.unwrap_or_default(),
            deriver,
            signatures: signatures.parse()?,
            ca,
        })
    }

    /// The name that the narinfo of a path has in a cache.
    pub fn file_name(path: &StorePath) -> String {
        format!("{}.narinfo", path.hash_part())
    }

    /// The narinfo's text, fields in Nix's order.
    pub fn print(&self, store_dir: &StoreDir) -> String {
        let mut out = String::with_capacity(1024);
        let mut field = |name: &str, value: &dyn fmt::Display| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{name}: {value}");
        };
        field("StorePath", &store_dir.print(&self.path));
        field("URL", &self.url);
        field("Compression", &self.compression);
        if let Some(hash) = &self.file_hash {
            field("FileHash", &hash.to_string(HashFormat::Nix32, true));
        }
        if let Some(size) = self.file_size {
            field("FileSize", &size);
        }
        field("NarHash", &self.nar_hash.to_string());
        field("NarSize", &self.nar_size);
        let references: Vec<_> = self.references.iter().map(StorePath::base_name).collect();
        field("References", &references.join(" "));
        if let Some(deriver) = &self.deriver {
            field("Deriver", deriver);
        }
        for signature in &self.signatures {
            field("Sig", signature);
        }
        if let Some(ca) = &self.ca {
            field("CA", ca);
        }
        out
    }

    /// What is signed: path, NAR hash, NAR size and references.
    pub fn fingerprint(&self, store_dir: &StoreDir) -> String {
        let references: Vec<_> = self
            .references
            .iter()
            .map(|reference| store_dir.print(reference))
            .collect();
        format!(
            "1;{};{};{};{}",
            store_dir.print(&self.path),
            self.nar_hash,
            self.nar_size,
            references.join(","),
        )
    }

    /// Adds a signature.
    pub fn sign(&mut self, store_dir: &StoreDir, key: &SecretKey) {
        let signature = key.sign(self.fingerprint(store_dir).as_bytes());
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// The trusted keys that signed it, by name. Empty: it must not be trusted,
    /// unless it [is content-addressed](Self::is_content_addressed).
    pub fn signers(&self, store_dir: &StoreDir, keys: &PublicKeys) -> Vec<String> {
        keys.signers(self.fingerprint(store_dir).as_bytes(), &self.signatures)
    }

    /// Whether the path is the one that its content address and references
    /// give, so that contents that were checked against [`NarInfo::ca`] need no
    /// signature. Addresses by [weak](HashAlgorithm::is_weak) algorithms do not
    /// count: others can have the same.
    ///
    /// Where the content address is the NAR's SHA-256, it must be
    /// [`NarInfo::nar_hash`]. In the other cases the NAR hash is not vouched
    /// for until the contents are there and have been checked.
    pub fn is_content_addressed(&self, store_dir: &StoreDir) -> bool {
        let Some(ca) = self.ca.filter(|ca| !ca.hash.algorithm().is_weak()) else {
            return false;
        };
        let mut output = FixedOutput {
            references: self.references.clone(),
            ..ca.into()
        };
        output.self_reference = output.references.remove(&self.path);
        let is_nar_hash = ca.method == ContentAddressMethod::Recursive
            && ca.hash.algorithm() == HashAlgorithm::Sha256
            && !output.self_reference;
        if is_nar_hash && ca.hash != self.nar_hash {
            return false;
        }
        store_dir
            .make_fixed_output_path(&output, self.path.name())
            .is_ok_and(|path| path == self.path)
    }
}
