//! The lines of a closure, and their digest.

use std::fmt::{self, Write as _};
use std::num::ParseIntError;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use nix_formats::store_path::StorePathError;
use nix_formats::{NarHash, NarHashError, NarInfo, StoreDir, StorePath};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Why lines are not a closure, or a text no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// A closure has at least its root.
    #[error("a closure without any store path")]
    Empty,
    /// The same path with two different lines.
    #[error("store path '{0}' is in the closure twice, with different hashes or sizes")]
    Conflict(StorePath),
    /// The sizes add up to more than 2^63 − 1, the largest number that Kubernetes holds.
    #[error("the NAR sizes of the closure add up to more than 2^63 - 1 bytes")]
    TooLarge,
    /// Not `sha256:` and 64 lower-case hexadecimal digits.
    #[error(
        "'{0}' is not a closure digest: expected 'sha256:' and 64 lower-case hexadecimal digits"
    )]
    BadDigest(String),
}

/// Why a text is not the lines of a closure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureTextError {
    /// A line has other parts.
    #[error("line {0}: expected '<store path> <NAR hash> <NAR size>'")]
    Parts(usize),
    /// A line's store path.
    #[error("line {line}: the store path is not valid")]
    Path {
        /// The line's number, from 1.
        line: usize,
        /// Why.
        source: StorePathError,
    },
    /// A line's hash.
    #[error("line {line}: the NAR hash is not valid")]
    NarHash {
        /// The line's number, from 1.
        line: usize,
        /// Why.
        source: NarHashError,
    },
    /// A line's size.
    #[error("line {line}: the NAR size is not valid")]
    NarSize {
        /// The line's number, from 1.
        line: usize,
        /// Why.
        source: ParseIntError,
    },
    /// Lines are sorted, each path once.
    #[error("line {0}: expected a store path that sorts after that of the line before")]
    Order(usize),
    /// The lines as a whole.
    #[error(transparent)]
    Closure(#[from] ClosureError),
}

/// One store path of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosureLine {
    /// The path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
}

/// What a narinfo says of a path.
impl From<&NarInfo> for ClosureLine {
    fn from(info: &NarInfo) -> Self {
        Self {
            path: info.path.clone(),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
        }
    }
}

/// All store paths of a closure: sorted by path, each once, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosureLines {
    lines: Vec<ClosureLine>,
    nar_size: u64,
}

impl ClosureLines {
    /// Sorts and checks lines. Equal lines count once.
    pub fn new(mut lines: Vec<ClosureLine>) -> Result<Self, ClosureError> {
        lines.sort_by(|a, b| a.path.cmp(&b.path));
        lines.dedup();
        let mut nar_size = 0_u64;
        let mut previous: Option<&StorePath> = None;
        for line in &lines {
            if previous == Some(&line.path) {
                return Err(ClosureError::Conflict(line.path.clone()));
            }
            nar_size = nar_size
                .checked_add(line.nar_size)
                .filter(|&sum| i64::try_from(sum).is_ok())
                .ok_or(ClosureError::TooLarge)?;
            previous = Some(&line.path);
        }
        if lines.is_empty() {
            return Err(ClosureError::Empty);
        }
        Ok(Self { lines, nar_size })
    }

    /// The lines, sorted by store path.
    pub fn as_slice(&self) -> &[ClosureLine] {
        &self.lines
    }

    /// How many store paths there are.
    pub fn path_count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The NAR sizes of all paths together, in bytes.
    pub fn nar_size(&self) -> u64 {
        self.nar_size
    }

    /// The SHA-256 of [`ClosureLines`]' text, as `sha256sum` computes it from the committed file.
    pub fn digest(&self) -> ClosureDigest {
        let mut writer = DigestWriter(Sha256::new());
        // Hashing does not fail.
        let _ = write!(writer, "{self}");
        ClosureDigest(writer.0.finalize().into())
    }
}

/// The text that is hashed and committed: `<storePath> <narHash> <narSize>\n` for each path.
impl fmt::Display for ClosureLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = StoreDir::default();
        for line in &self.lines {
            writeln!(
                f,
                "{store}/{} {} {}",
                line.path, line.nar_hash, line.nar_size
            )?;
        }
        Ok(())
    }
}

/// Reads the text that [`ClosureLines`] are printed as.
impl FromStr for ClosureLines {
    type Err = ClosureTextError;

    fn from_str(text: &str) -> Result<Self, ClosureTextError> {
        let mut lines: Vec<ClosureLine> = Vec::new();
        for (text, number) in text.lines().zip(1..) {
            let line = parse_line(text, number)?;
            if lines.last().is_some_and(|before| before.path >= line.path) {
                return Err(ClosureTextError::Order(number));
            }
            lines.push(line);
        }
        Ok(Self::new(lines)?)
    }
}

fn parse_line(text: &str, line: usize) -> Result<ClosureLine, ClosureTextError> {
    let mut parts = text.split(' ');
    let (Some(path), Some(nar_hash), Some(nar_size), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ClosureTextError::Parts(line));
    };
    let path = StoreDir::default().parse_canonical(path);
    let path = path.map_err(|source| ClosureTextError::Path { line, source })?;
    let nar_hash = nar_hash.parse();
    let nar_hash = nar_hash.map_err(|source| ClosureTextError::NarHash { line, source })?;
    let nar_size = nar_size.parse();
    let nar_size = nar_size.map_err(|source| ClosureTextError::NarSize { line, source })?;
    Ok(ClosureLine {
        path,
        nar_hash,
        nar_size,
    })
}

struct DigestWriter(Sha256);

impl fmt::Write for DigestWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A closure's digest: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClosureDigest([u8; 32]);

impl ClosureDigest {
    /// The digest of the text that [`ClosureLines`] are printed as.
    pub fn of_text(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The hexadecimal digits alone, as they stand in names of files.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads what [`hex`](Self::hex) prints.
    pub fn from_hex(digits: &str) -> Result<Self, ClosureError> {
        let bytes = HEXLOWER.decode(digits.as_bytes()).ok();
        bytes
            .and_then(|bytes| Some(Self(bytes.try_into().ok()?)))
            .ok_or_else(|| ClosureError::BadDigest(digits.to_owned()))
    }
}

impl fmt::Display for ClosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode_display(&self.0))
    }
}

impl fmt::Debug for ClosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClosureDigest({self})")
    }
}

impl FromStr for ClosureDigest {
    type Err = ClosureError;

    fn from_str(text: &str) -> Result<Self, ClosureError> {
        text.strip_prefix("sha256:")
            .and_then(|digits| Self::from_hex(digits).ok())
            .ok_or_else(|| ClosureError::BadDigest(text.to_owned()))
    }
}

impl Serialize for ClosureDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClosureDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ClosureDigest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClosureDigest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 71,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^sha256:[0-9a-f]{64}$')",
                "message": "must be sha256: and 64 lower-case hexadecimal digits",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use nix_formats::{HashAlgorithm, HashFormat};

    use super::*;

    fn line(base_name: &str, nar_size: u64) -> ClosureLine {
        let path = StorePath::from_base_name(base_name).unwrap();
        ClosureLine {
            path,
            nar_hash: [7; 32].into(),
            nar_size,
        }
    }

    const WEB: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";
    const LIBC: &str = "9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-libc-2.40";

    #[test]
    fn lines_are_sorted_and_counted_once() {
        let closure =
            ClosureLines::new(vec![line(LIBC, 20), line(WEB, 1), line(LIBC, 20)]).unwrap();
        insta::assert_snapshot!(closure, @r#"
        /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 1
        /nix/store/9n2kxxqb2d7sl6jkdwi1k5fnabg9n0kr-libc-2.40 sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7 20
        "#);
        assert_eq!(closure.path_count(), 2);
        assert_eq!(closure.nar_size(), 21);
    }

    #[test]
    fn digest_is_the_sha256_of_the_text() {
        let closure = ClosureLines::new(vec![line(WEB, 1), line(LIBC, 20)]).unwrap();
        let text = closure.to_string();
        let of_text = HashAlgorithm::Sha256.digest(text.as_bytes());
        let hex = of_text.to_string(HashFormat::Base16, false);
        assert_eq!(closure.digest().to_string(), format!("sha256:{hex}"));
        assert_eq!(closure.digest().hex(), hex);
        assert_eq!(ClosureDigest::of_text(&text), closure.digest());
    }

    #[test]
    fn digest_does_not_depend_on_the_order_of_discovery() {
        let one = ClosureLines::new(vec![line(WEB, 1), line(LIBC, 20)]).unwrap();
        let other = ClosureLines::new(vec![line(LIBC, 20), line(WEB, 1)]).unwrap();
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn what_is_no_closure_is_refused() {
        let path = StorePath::from_base_name(WEB).unwrap();
        assert_eq!(ClosureLines::new(vec![]), Err(ClosureError::Empty));
        assert_eq!(
            ClosureLines::new(vec![line(WEB, 1), line(WEB, 2)]),
            Err(ClosureError::Conflict(path))
        );
        assert_eq!(
            ClosureLines::new(vec![line(WEB, u64::MAX >> 1), line(LIBC, 1)]),
            Err(ClosureError::TooLarge)
        );
    }

    #[test]
    fn digests_round_trip_and_bad_ones_are_refused() {
        let digest = ClosureLines::new(vec![line(WEB, 1)]).unwrap().digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(ClosureDigest::from_hex(&digest.hex()), Ok(digest));
        assert_eq!(
            ClosureDigest::from_hex(&digest.to_string()),
            Err(ClosureError::BadDigest(digest.to_string()))
        );
        let upper = digest.to_string().to_uppercase();
        for bad in ["", "sha256:", "sha256:00", "sha512:00", &upper, "sha256:é"] {
            assert_eq!(
                bad.parse::<ClosureDigest>(),
                Err(ClosureError::BadDigest(bad.into()))
            );
        }
    }

    #[test]
    fn lines_are_read_as_they_are_printed() {
        let closure = ClosureLines::new(vec![line(WEB, 1), line(LIBC, 20)]).unwrap();
        assert_eq!(closure.to_string().parse(), Ok(closure));
    }

    #[test]
    fn a_text_that_is_no_closure_is_refused_with_the_line() {
        let (web, libc) = (
            ClosureLines::new(vec![line(WEB, 1)]).unwrap().to_string(),
            ClosureLines::new(vec![line(LIBC, 1)]).unwrap().to_string(),
        );
        let refusal = |text: &str| {
            let error = text.parse::<ClosureLines>().unwrap_err();
            nix_formats::chain(&error)
        };
        insta::assert_snapshot!(refusal(""), @"a closure without any store path");
        insta::assert_snapshot!(refusal(&format!("{web}x")), @"line 2: expected '<store path> <NAR hash> <NAR size>'");
        insta::assert_snapshot!(refusal(&web.replace(" 1\n", " 1 2\n")), @"line 1: expected '<store path> <NAR hash> <NAR size>'");
        insta::assert_snapshot!(refusal(&web.replace("/nix/store/", "/store/")), @"line 1: the store path is not valid: path '/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0' is not in the Nix store");
        insta::assert_snapshot!(refusal(&web.replace("sha256:", "sha256:0")), @"line 1: the NAR hash is not valid: hash '001q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7' has wrong length for hash algorithm 'sha256'");
        let weak = web.replace(
            "sha256:01q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q70w3hf1q7",
            "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        );
        insta::assert_snapshot!(refusal(&weak), @"line 1: the NAR hash is not valid: expected a sha256 hash, found one by sha1");
        insta::assert_snapshot!(refusal(&web.replace(" 1\n", " -1\n")), @"line 1: the NAR size is not valid: invalid digit found in string");
        insta::assert_snapshot!(refusal(&format!("{libc}{web}")), @"line 2: expected a store path that sorts after that of the line before");
        insta::assert_snapshot!(refusal(&format!("{web}{web}")), @"line 2: expected a store path that sorts after that of the line before");
        let largest = web.replace(" 1\n", " 9223372036854775807\n");
        insta::assert_snapshot!(refusal(&format!("{largest}{libc}")), @"the NAR sizes of the closure add up to more than 2^63 - 1 bytes");
    }
}
