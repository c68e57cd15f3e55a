//! Digests as Nix writes and reads them: five algorithms, four textual forms.

use std::str::FromStr;
use std::{fmt, io};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::Digest;
use thiserror::Error;

use crate::nix32;

/// An algorithm that Nix knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// 16 bytes; only to check what old expressions say.
    Md5,
    /// 20 bytes; git's.
    Sha1,
    /// 32 bytes; what store paths are made of.
    Sha256,
    /// 64 bytes.
    Sha512,
    /// 32 bytes.
    Blake3,
}

/// How a hash is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFormat {
    /// Lower-case hexadecimal.
    Base16,
    /// Nix's base-32, see [`nix32`].
    Nix32,
    /// Base-64 with padding.
    Base64,
    /// `<algorithm>-<base64>`, as in Subresource Integrity.
    Sri,
}

/// Why a text is not a hash. The messages are Nix's own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HashError {
    /// The algorithm's name is not known.
    #[error("unknown hash algorithm '{0}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")]
    UnknownAlgorithm(String),
    /// The format's name is not known.
    #[error("unknown hash format '{0}', expect 'base16', 'base32', 'base64', or 'sri'")]
    UnknownFormat(String),
    /// The text names no algorithm and must.
    #[error("hash '{0}' does not include a type")]
    NoType(String),
    /// The text names no algorithm and neither did the caller.
    #[error("hash '{0}' does not include a type, nor is the type otherwise known from context")]
    TypeUnknown(String),
    /// The text names another algorithm than the caller.
    #[error("hash '{text}' should have type '{expected}'")]
    WrongType {
        /// The hash without its prefix.
        text: String,
        /// What the caller asked for.
        expected: HashAlgorithm,
    },
    /// The length fits none of the textual forms.
    #[error("hash '{text}' has wrong length for hash algorithm '{algorithm}'")]
    WrongLength {
        /// The hash without its prefix.
        text: String,
        /// The algorithm it was read for.
        algorithm: HashAlgorithm,
    },
    /// The text does not decode to as many bytes as the algorithm has.
    #[error("invalid {format} hash '{text}', length {actual} != expected length {expected}")]
    Undecodable {
        /// The form it was read as.
        format: &'static str,
        /// The hash without its prefix.
        text: String,
        /// Bytes that were decoded, 0 when a character was invalid.
        actual: usize,
        /// Bytes of the algorithm.
        expected: usize,
    },
    /// An SRI hash was wanted.
    #[error("hash '{0}' is not SRI")]
    NotSri(String),
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Blake3,
    ];

    /// Whether different contents with the same hash can be made, so that a hash does not prove contents.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }

    /// Bytes of a digest.
    pub const fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Nix's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Hash {
        match self {
            Self::Md5 => Hash::from_parts(self, &md5::Md5::digest(data)),
            Self::Sha1 => Hash::from_parts(self, &sha1::Sha1::digest(data)),
            Self::Sha256 => Hash::from_parts(self, &sha2::Sha256::digest(data)),
            Self::Sha512 => Hash::from_parts(self, &sha2::Sha512::digest(data)),
            Self::Blake3 => Hash::from_parts(self, blake3::hash(data).as_bytes()),
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashAlgorithm {
    type Err = HashError;

    fn from_str(name: &str) -> Result<Self, HashError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| HashError::UnknownAlgorithm(name.to_owned()))
    }
}

impl FromStr for HashFormat {
    type Err = HashError;

    /// Takes `base32` too, the deprecated alias of `nix32`.
    fn from_str(name: &str) -> Result<Self, HashError> {
        match name {
            "base16" => Ok(Self::Base16),
            "nix32" | "base32" => Ok(Self::Nix32),
            "base64" => Ok(Self::Base64),
            "sri" => Ok(Self::Sri),
            _ => Err(HashError::UnknownFormat(name.to_owned())),
        }
    }
}

impl HashFormat {
    const fn decoder_name(self) -> &'static str {
        match self {
            Self::Base16 => "base16",
            Self::Nix32 => "nix32",
            Self::Base64 => "Base64",
            Self::Sri => "SRI",
        }
    }
}

/// A digest and the algorithm that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    algorithm: HashAlgorithm,
    // Zero beyond the algorithm's size, so that the derived comparisons hold.
    bytes: [u8; 64],
}

impl Hash {
    /// A hash of these bytes; `None` when their number is not the algorithm's.
    pub fn from_bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.size()).then(|| Self::from_parts(algorithm, bytes))
    }

    /// A SHA-256 hash of these bytes.
    pub fn sha256(bytes: [u8; 32]) -> Self {
        Self::from_parts(HashAlgorithm::Sha256, &bytes)
    }

    fn from_parts(algorithm: HashAlgorithm, digest: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes[..digest.len()].copy_from_slice(digest);
        Self { algorithm, bytes }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest, as many bytes as the algorithm has.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size()]
    }

    /// The hash as text. `with_prefix` puts `<algorithm>:` before it; SRI has
    /// its own prefix always.
    pub fn to_string(&self, format: HashFormat, with_prefix: bool) -> String {
        let mut out = String::with_capacity(140);
        if format == HashFormat::Sri || with_prefix {
            out.push_str(self.algorithm.name());
            out.push(if format == HashFormat::Sri { '-' } else { ':' });
        }
        match format {
            HashFormat::Base16 => HEXLOWER.encode_append(self.as_bytes(), &mut out),
            HashFormat::Nix32 => nix32::encode_to(self.as_bytes(), &mut out),
            HashFormat::Base64 | HashFormat::Sri => {
                BASE64.encode_append(self.as_bytes(), &mut out);
            }
        }
        out
    }

    /// Reads any form, prefixed (`sha256:…`, `sha256-…`) or not. The algorithm
    /// must be known from the text or from the caller; if from both, the same.
    pub fn parse_any(text: &str, algorithm: Option<HashAlgorithm>) -> Result<Self, HashError> {
        Self::parse_any_with_format(text, algorithm).map(|(hash, _)| hash)
    }

    /// Like [`Hash::parse_any`], and tells which form it was.
    pub fn parse_any_with_format(
        text: &str,
        algorithm: Option<HashAlgorithm>,
    ) -> Result<(Self, HashFormat), HashError> {
        let (named, sri, rest) = split_prefix(text)?;
        let algorithm = match (named, algorithm) {
            (None, None) => return Err(HashError::TypeUnknown(text.to_owned())),
            (Some(named), Some(wanted)) if named != wanted => {
                return Err(HashError::WrongType {
                    text: text.to_owned(),
                    expected: wanted,
                });
            }
            (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
        };
        let format = if sri {
            HashFormat::Sri
        } else {
            guess_format(rest, algorithm)?
        };
        Ok((Self::decode(rest, algorithm, format)?, format))
    }

    /// Reads any form that names its algorithm.
    pub fn parse_any_prefixed(text: &str) -> Result<Self, HashError> {
        match split_prefix(text)? {
            (None, ..) => Err(HashError::NoType(text.to_owned())),
            (Some(algorithm), true, rest) => Self::decode(rest, algorithm, HashFormat::Sri),
            (Some(algorithm), false, rest) => Self::parse_non_sri_unprefixed(rest, algorithm),
        }
    }

    /// Reads base-16, base-32 or base-64 without a prefix, by its length.
    pub fn parse_non_sri_unprefixed(
        text: &str,
        algorithm: HashAlgorithm,
    ) -> Result<Self, HashError> {
        Self::decode(text, algorithm, guess_format(text, algorithm)?)
    }

    /// Reads `<algorithm>-<base64>`.
    pub fn parse_sri(text: &str) -> Result<Self, HashError> {
        let (name, rest) = text
            .split_once('-')
            .ok_or_else(|| HashError::NotSri(text.to_owned()))?;
        Self::decode(rest, name.parse()?, HashFormat::Sri)
    }

    fn decode(text: &str, algorithm: HashAlgorithm, format: HashFormat) -> Result<Self, HashError> {
        let bytes = match format {
            HashFormat::Base16 => HEXLOWER_PERMISSIVE
                .decode(text.as_bytes())
                .unwrap_or_default(),
            HashFormat::Nix32 => nix32::decode(text.as_bytes()).unwrap_or_default(),
            HashFormat::Base64 | HashFormat::Sri => {
                decode_base64(text.as_bytes()).unwrap_or_default()
            }
        };
        Self::from_bytes(algorithm, &bytes).ok_or_else(|| HashError::Undecodable {
            format: format.decoder_name(),
            text: text.to_owned(),
            actual: bytes.len(),
            expected: algorithm.size(),
        })
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string(HashFormat::Sri, true))
    }
}

type Prefixed<'a> = (Option<HashAlgorithm>, bool, &'a str);

fn split_prefix(text: &str) -> Result<Prefixed<'_>, HashError> {
    if let Some((name, rest)) = text.split_once(':') {
        return Ok((Some(name.parse()?), false, rest));
    }
    if let Some((name, rest)) = text.split_once('-') {
        return Ok((Some(name.parse()?), true, rest));
    }
    Ok((None, false, text))
}

fn guess_format(text: &str, algorithm: HashAlgorithm) -> Result<HashFormat, HashError> {
    let size = algorithm.size();
    match text.len() {
        length if length == size * 2 => Ok(HashFormat::Base16),
        length if length == nix32::encoded_len(size) => Ok(HashFormat::Nix32),
        length if length == BASE64.encode_len(size) => Ok(HashFormat::Base64),
        _ => Err(HashError::WrongLength {
            text: text.to_owned(),
            algorithm,
        }),
    }
}

/// Base-64 as Nix reads it: padding may be missing, newlines are skipped and
/// everything behind the first `=` is ignored.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for &character in text {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'\n' => continue,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

/// Folds a digest to `N` bytes by exclusive or, as store paths do.
pub fn compress_hash<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (index, byte) in digest.iter().enumerate() {
        out[index % N] ^= byte;
    }
    out
}

/// Hashes what is written to it, and counts it.
#[derive(Debug, Clone)]
pub struct Hasher {
    state: State,
    written: u64,
}

#[derive(Debug, Clone)]
enum State {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        let state = match algorithm {
            HashAlgorithm::Md5 => State::Md5(md5::Md5::new()),
            HashAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            HashAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            HashAlgorithm::Blake3 => State::Blake3(Box::default()),
        };
        Self { state, written: 0 }
    }

    /// Adds `data`.
    pub fn update(&mut self, data: &[u8]) {
        self.written += data.len() as u64;
        match &mut self.state {
            State::Md5(state) => state.update(data),
            State::Sha1(state) => state.update(data),
            State::Sha256(state) => state.update(data),
            State::Sha512(state) => state.update(data),
            State::Blake3(state) => {
                state.update(data);
            }
        }
    }

    /// Bytes seen so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The digest of all that was written.
    pub fn finish(self) -> Hash {
        match self.state {
            State::Md5(state) => Hash::from_parts(HashAlgorithm::Md5, &state.finalize()),
            State::Sha1(state) => Hash::from_parts(HashAlgorithm::Sha1, &state.finalize()),
            State::Sha256(state) => Hash::from_parts(HashAlgorithm::Sha256, &state.finalize()),
            State::Sha512(state) => Hash::from_parts(HashAlgorithm::Sha512, &state.finalize()),
            State::Blake3(state) => {
                Hash::from_parts(HashAlgorithm::Blake3, state.finalize().as_bytes())
            }
        }
    }
}

/// Hashes and counts what is written through it.
#[derive(Debug)]
pub struct HashWriter<W> {
    out: W,
    hasher: Hasher,
}

impl<W: io::Write> HashWriter<W> {
    /// A writer to `out`.
    pub fn new(algorithm: HashAlgorithm, out: W) -> Self {
        Self {
            out,
            hasher: Hasher::new(algorithm),
        }
    }

    /// What was written to, and the hash and the size in bytes of what was written.
    pub fn finish(self) -> (W, Hash, u64) {
        let size = self.hasher.written();
        (self.out, self.hasher.finish(), size)
    }
}

impl<W: io::Write> io::Write for HashWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.out.write(data)?;
        self.hasher.update(&data[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
